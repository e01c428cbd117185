//! A column chunk while it grows: the values of one of Parquet's columns in a row group, in pages.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::io;

use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, EncodingMask, PageType, Type};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::bounds::Bounds;
use super::dictionary::Dictionary;
use super::values::{Known, Values};
use super::{Rows, bits, hybrid};

// making one anew takes as long as compressing a small page
thread_local! {
    static COMPRESSOR: RefCell<(i32, Matches, Compressor<'static>)> = RefCell::default();
}

/// Where a compressor looks for what repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Matches {
    /// As its level has it.
    #[default]
    Anywhere,
    /// Not far back: each value begins as the one before it does, and what else is the same in both is chance, which costs
    /// more to describe than it saves. Ids take a tenth less space than at the level's own, and half the time.
    Nearby,
}

impl Matches {
    /// Binary logarithms of the window, and of the table of places to look at; 0 for the level's own.
    fn parameters(self) -> [CParameter; 2] {
        let (window, table) = match self {
            Self::Anywhere => (0, 0),
            Self::Nearby => (15, 7),
        };
        [CParameter::WindowLog(window), CParameter::HashLog(table)]
    }
}

/// A column chunk. Its bytes depend on its rows alone, not on how they were given.
pub(super) struct Leaf {
    column: ColumnDescPtr,
    is_text: bool,
    /// The definition level of values.
    definition: u8,
    is_repeated: bool,
    layout: Layout,
    page: OpenPage,
    values: Values,
    written: Written,
    /// Values that are in no dictionary, where a filter of them is wanted.
    filtered: Option<Dictionary>,
}

/// How a chunk is laid out.
struct Layout {
    compression: Compression,
    matches: Matches,
    page_rows: usize,
    page_bytes: usize,
    dictionary_bytes: usize,
    /// The share of values that are not there and seem to be, where a filter is wanted.
    filter: Option<f64>,
}

/// The page that is not ended yet.
struct OpenPage {
    repetitions: Vec<u8>,
    definitions: Vec<u8>,
    rows: usize,
    values: usize,
    nulls: usize,
    bounds: Bounds,
}

/// The pages that are ended. How many values have which level is not told: few readers ask, and all have to read it
/// whenever they open the file.
struct Written {
    dictionary: Vec<u8>,
    pages: TrackedWrite<Vec<u8>>,
    uncompressed: usize,
    encodings: Vec<PageEncodingStats>,
    rows: usize,
    values: usize,
    nulls: usize,
    bounds: Bounds,
    /// The bounds of the last page that has values, as they are written, and how those of all pages so far follow each
    /// other: readers search them by that order.
    last: Option<[Vec<u8>; 2]>,
    ascends: bool,
    descends: bool,
    /// The bounds of each page, where they are wanted and short ones exist.
    columns: Option<ColumnIndexBuilder>,
    offsets: OffsetIndexBuilder,
}

impl Leaf {
    pub(super) fn new(column: ColumnDescPtr, properties: &WriterProperties) -> Self {
        let (path, r#type) = (column.path(), column.physical_type());
        let filter = properties.bloom_filter_properties(path);
        let has_dictionary = properties.dictionary_enabled(path);
        Self {
            is_text: r#type == Type::BYTE_ARRAY,
            definition: level(column.max_def_level()),
            is_repeated: column.max_rep_level() > 0,
            layout: Layout {
                compression: properties.compression(path),
                matches: match properties.encoding(path) {
                    Some(Encoding::PLAIN) if !has_dictionary => Matches::Nearby,
                    _ => Matches::Anywhere,
                },
                page_rows: properties.column_data_page_row_count_limit(path),
                page_bytes: properties.column_data_page_size_limit(path),
                dictionary_bytes: properties.column_dictionary_page_size_limit(path),
                filter: filter.map(|filter| filter.fpp()),
            },
            page: OpenPage {
                repetitions: Vec::new(),
                definitions: Vec::new(),
                rows: 0,
                values: 0,
                nulls: 0,
                bounds: Bounds::new(r#type),
            },
            values: Values::new(r#type, has_dictionary),
            written: Written::new(
                &column,
                properties.statistics_enabled(path) == EnabledStatistics::Page,
            ),
            filtered: (filter.is_some() && !has_dictionary)
                .then(|| Dictionary::new(r#type == Type::BYTE_ARRAY)),
            column,
        }
    }

    /// Appends the texts of rows at these places, each an array and a place in it.
    pub(super) fn texts(&mut self, arrays: &[Rows<'_>], places: &[(usize, usize)]) -> Result<()> {
        // of texts that arrays tell by number, which arrays of one file have in common, and of the last one of all others
        let (mut known, mut of_array) = (Vec::<Vec<Known>>::new(), Vec::new());
        for (number, rows) in arrays.iter().enumerate() {
            let before = number.checked_sub(1).map(|before| &arrays[before].texts);
            if !before.is_some_and(|before| before.shares_numbers_with(&rows.texts)) {
                known.push(Vec::new());
            }
            of_array.push(known.len() - 1);
        }
        let mut last = Known::default();
        for &(array, row) in places {
            let rows = &arrays[array];
            let places = rows.places(row);
            if places.is_empty() {
                self.nothing(rows.array.is_valid(row));
            }
            let first = self.all_there(places.len());
            for (entry, place) in places.enumerate() {
                if !rows.texts.is_valid(place) {
                    self.not_there(first + entry);
                    continue;
                }
                let value = rows.texts.value(place).as_bytes();
                let known = match rows.texts.number(place) {
                    Some(number) => {
                        let known = &mut known[of_array[array]];
                        if known.is_empty() {
                            known.resize(rows.texts.numbers(), Known::default());
                        }
                        &mut known[number]
                    }
                    None => {
                        self.values.check(&mut last, value);
                        &mut last
                    }
                };
                self.push(value, known);
            }
            self.end_row()?;
        }
        Ok(())
    }

    /// Appends a value of a row.
    #[inline]
    pub(super) fn value(&mut self, value: &[u8]) {
        self.all_there(1);
        self.push(value, &mut Known::default());
    }

    /// Appends a null of a row.
    #[inline]
    pub(super) fn null(&mut self) {
        let place = self.all_there(1);
        self.not_there(place);
    }

    #[inline]
    fn push(&mut self, value: &[u8], known: &mut Known) {
        if let Some(filtered) = &mut self.filtered {
            filtered.add(value);
        }
        self.values
            .push(value, known, self.is_text, &mut self.page.bounds);
    }

    /// Appends that the list or map of a row is null, or that it is there and has no entries.
    fn nothing(&mut self, is_there: bool) {
        let place = self.all_there(1);
        self.not_there(place);
        let entry = self.definition - u8::from(self.column.self_type().is_optional());
        self.page.definitions[place] = if is_there { entry.saturating_sub(1) } else { 0 };
    }

    /// Appends the levels of a row of so many values, if none of them is null. Answers the place of the first.
    #[inline]
    fn all_there(&mut self, count: usize) -> usize {
        let page = &mut self.page;
        let first = page.definitions.len();
        if self.definition > 0 {
            page.definitions.resize(first + count, self.definition);
        }
        if self.is_repeated && count > 0 {
            page.repetitions.push(0);
            page.repetitions.resize(first + count, 1);
        }
        page.values += count;
        first
    }

    /// Makes the value whose level is at this place a null.
    #[inline]
    fn not_there(&mut self, place: usize) {
        self.page.definitions[place] = self.definition.saturating_sub(1);
        self.page.nulls += 1;
        self.page.values -= 1;
    }

    /// Ends a row.
    #[inline]
    pub(super) fn end_row(&mut self) -> Result<()> {
        self.page.rows += 1;
        let full = self.page.rows >= self.layout.page_rows || self.values.bytes() >= self.layout.page_bytes;
        let dictionary = self.values.dictionary();
        let dictionary_full =
            dictionary.is_some_and(|values| values.plain().len() >= self.layout.dictionary_bytes);
        if full || dictionary_full {
            self.end_page()?;
        }
        if dictionary_full {
            self.end_dictionary()?;
        }
        Ok(())
    }

    fn end_page(&mut self) -> Result<()> {
        let page = &mut self.page;
        if page.rows == 0 {
            return Ok(());
        }
        let mut body = Vec::with_capacity(self.values.bytes() + page.definitions.len());
        let levels = [
            (&page.repetitions, u8::from(self.is_repeated)),
            (&page.definitions, self.definition),
        ];
        for (levels, most) in levels.into_iter().filter(|(_, most)| *most > 0) {
            let start = body.len();
            body.extend_from_slice(&[0; 4]);
            hybrid::encode(levels, bits::width(u64::from(most)), &mut body);
            let length = length(body.len() - start - 4)?;
            body[start..start + 4].copy_from_slice(&length.to_le_bytes());
        }
        let encoding = self.values.end_page(&mut body);
        let data = Page::DataPage {
            buf: compressed(self.layout.compression, self.layout.matches, &body)?,
            num_values: length(page.values + page.nulls)?,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let written = write(&mut self.written.pages, data, body.len())?;
        self.written.add(page, encoding, &written)?;
        page.clear();
        Ok(())
    }

    /// Goes on without a dictionary.
    fn end_dictionary(&mut self) -> Result<()> {
        let plain = Values::Plain(Vec::new());
        let Values::Dictionary { dictionary, .. } = std::mem::replace(&mut self.values, plain) else {
            return Ok(());
        };
        let data = Page::DictionaryPage {
            buf: compressed(self.layout.compression, Matches::Anywhere, dictionary.plain())?,
            num_values: length(dictionary.len())?,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let mut output = TrackedWrite::new(Vec::new());
        let page = write(&mut output, data, dictionary.plain().len())?;
        self.written.dictionary = output.into_inner()?;
        self.written.uncompressed += page.uncompressed_size;
        self.written.count(PageType::DICTIONARY_PAGE, Encoding::PLAIN);
        self.filtered = self.layout.filter.is_some().then_some(*dictionary);
        Ok(())
    }

    /// The chunk's bytes, and what the file has to know of it.
    pub(super) fn close(mut self) -> Result<(Bytes, ColumnCloseResult)> {
        self.end_page()?;
        self.end_dictionary()?;
        let filter = match (self.layout.filter, &self.filtered) {
            (Some(share), Some(values)) => Some(filter(values, share)?),
            _ => None,
        };
        self.written.close(&self.column, self.layout.compression, filter)
    }
}

impl OpenPage {
    fn clear(&mut self) {
        self.repetitions.clear();
        self.definitions.clear();
        self.bounds.clear();
        (self.rows, self.values, self.nulls) = (0, 0, 0);
    }
}

impl Written {
    fn new(column: &ColumnDescPtr, has_index: bool) -> Self {
        Self {
            dictionary: Vec::new(),
            pages: TrackedWrite::new(Vec::new()),
            uncompressed: 0,
            encodings: Vec::new(),
            rows: 0,
            values: 0,
            nulls: 0,
            bounds: Bounds::new(column.physical_type()),
            last: None,
            ascends: true,
            descends: true,
            columns: has_index.then(|| ColumnIndexBuilder::new(column.physical_type())),
            offsets: OffsetIndexBuilder::new(),
        }
    }

    /// Takes note of a page.
    fn add(&mut self, page: &OpenPage, encoding: Encoding, written: &PageWriteSpec) -> Result<()> {
        self.count(PageType::DATA_PAGE, encoding);
        self.uncompressed += written.uncompressed_size;
        self.rows += page.rows;
        self.values += page.values;
        self.nulls += page.nulls;
        self.bounds.merge(&page.bounds);
        self.add_bounds(page);
        self.offsets.append_row_count(page.rows as i64);
        let bytes = i32::try_from(written.compressed_size)?;
        self.offsets.append_offset_and_size(written.offset as i64, bytes);
        Ok(())
    }

    /// Takes note of a page's bounds. Where a page has none that are short, the chunk has no index of bounds.
    fn add_bounds(&mut self, page: &OpenPage) {
        let bounds = &page.bounds;
        let written = bounds.told();
        let is_null = page.values == 0;
        let Some(columns) = self.columns.as_mut().filter(|_| is_null || written.is_some()) else {
            self.columns = None;
            return;
        };
        let ((least, _), (greatest, _)) = written.unwrap_or_default();
        let nans = bounds.is_double().then_some(0);
        columns.append(is_null, least.clone(), greatest.clone(), page.nulls as i64, nans);
        if is_null {
            return;
        }
        if let Some([last_least, last_greatest]) = &self.last {
            let orders = [
                bounds.order(&least, last_least),
                bounds.order(&greatest, last_greatest),
            ];
            self.ascends &= !orders.contains(&Ordering::Less);
            self.descends &= !orders.contains(&Ordering::Greater);
        }
        self.last = Some([least, greatest]);
    }

    fn count(&mut self, page_type: PageType, encoding: Encoding) {
        match self.encodings.last_mut() {
            Some(last) if (last.page_type, last.encoding) == (page_type, encoding) => last.count += 1,
            _ => self.encodings.push(PageEncodingStats {
                page_type,
                encoding,
                count: 1,
            }),
        }
    }

    fn close(
        mut self,
        column: &ColumnDescPtr,
        compression: Compression,
        filter: Option<Sbbf>,
    ) -> Result<(Bytes, ColumnCloseResult)> {
        io::Write::flush(&mut self.pages)?;
        let pages = self.pages.inner();
        let encodings: Vec<Encoding> = self.encodings.iter().map(|pages| pages.encoding).collect();
        let bytes = self.dictionary.len() + pages.len();
        let metadata = ColumnChunkMetaData::builder(column.clone())
            .set_compression(compression)
            .set_encodings_mask(EncodingMask::new_from_encodings(
                encodings.iter().chain([&Encoding::RLE]),
            ))
            .set_page_encoding_stats(self.encodings)
            .set_total_compressed_size(bytes as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_num_values((self.values + self.nulls) as i64)
            .set_data_page_offset(0)
            .set_statistics(self.bounds.statistics(self.nulls as u64))
            .build()?;
        let order = match (self.ascends, self.descends) {
            (true, _) => BoundaryOrder::ASCENDING,
            (false, true) => BoundaryOrder::DESCENDING,
            (false, false) => BoundaryOrder::UNORDERED,
        };
        let index = self.columns.map(|mut columns| {
            columns.set_boundary_order(order);
            columns.build()
        });
        let close = ColumnCloseResult {
            bytes_written: bytes as u64,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: filter,
            column_index: index.transpose()?,
            offset_index: Some(self.offsets.build()),
        };
        let close = close.update_dictionary_location(self.dictionary.len())?;
        let mut chunk = self.dictionary;
        chunk.extend_from_slice(pages);
        Ok((chunk.into(), close))
    }
}

/// A level, which is never negative and never large.
fn level(level: i16) -> u8 {
    u8::try_from(level).unwrap_or_default()
}

fn length(length: usize) -> Result<u32> {
    Ok(u32::try_from(length)?)
}

fn write(output: &mut TrackedWrite<Vec<u8>>, page: Page, uncompressed: usize) -> Result<PageWriteSpec> {
    SerializedPageWriter::new(output).write_page(CompressedPage::new(page, uncompressed))
}

fn compressed(compression: Compression, matches: Matches, body: &[u8]) -> Result<Bytes> {
    let level = match compression {
        Compression::ZSTD(level) => level.compression_level(),
        Compression::UNCOMPRESSED => return Ok(Bytes::copy_from_slice(body)),
        other => return Err(ParquetError::NYI(format!("pages compressed by {other}"))),
    };
    COMPRESSOR.with_borrow_mut(|(set, looks, compressor)| {
        if (*set, *looks) != (level, matches) {
            compressor.set_compression_level(level)?;
            for parameter in matches.parameters() {
                compressor.set_parameter(parameter)?;
            }
            (*set, *looks) = (level, matches);
        }
        Ok(compressor.compress(body)?.into())
    })
}

/// A Bloom filter of distinct values.
fn filter(values: &Dictionary, share: f64) -> Result<Sbbf> {
    let mut filter = Sbbf::new_with_ndv_fpp(values.len() as u64, share)?;
    values.values().for_each(|value| filter.insert(value));
    Ok(filter)
}
