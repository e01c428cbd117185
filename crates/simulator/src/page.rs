//! The body of one page.

use std::io::{self, Write};

use axum::http::{HeaderMap, header};

use super::choices::{Compression, CursorKind};
use super::cursor::{Age, Position, Turn};
use super::random::Random;
use super::render;
use super::restriction::{PageAnswer, effective};
use super::server::App;
use super::text::{Text, indented};

pub(super) struct Page {
    pub(super) body: Vec<u8>,
    pub(super) records: usize,
}

impl Page {
    /// No records, and a null cursor.
    pub(super) fn empty() -> Self {
        Self {
            body: br#"{"data":[],"cursor":null}"#.to_vec(),
            records: 0,
        }
    }
}

/// Makes the page of `turn` from the archive as it is now. `repeated` replaces its cursor. An error
/// where the page is larger than the server can make.
pub(super) fn make(app: &App, turn: Turn, now: Age, repeated: Option<&str>) -> Result<Page, PageAnswer> {
    let (archive, options) = (&app.archive, &app.options);
    let (asked, position) = (turn.asked, turn.position);
    let view = archive.serve(asked.endpoint);
    let bot = archive.bot_at(asked.bot);
    let selected = app
        .selections
        .get((asked.bot, asked.endpoint, asked.window, view), || {
            let window = effective(options, asked.window);
            bot.select(asked.endpoint, &window, view, archive.rule())
        });
    let key = |index: u32| bot.key(asked.endpoint, index, view);
    let from = match position.after {
        Some(after) => selected.partition_point(|&index| key(index) <= after),
        None => usize::try_from(position.skip)
            .unwrap_or(usize::MAX)
            .min(selected.len()),
    };
    let per_page = asked.per_page as usize;
    let number = position.skip / u64::from(asked.per_page) + 1;
    let turn_to_rest = options.empty_every > 0 && number % u64::from(options.empty_every) == 0;
    let rests = turn_to_rest && !position.rested && from < selected.len();
    let left = match u64::from(options.listing_cap) {
        0 => usize::MAX,
        cap => usize::try_from(cap.saturating_sub(position.skip)).unwrap_or(usize::MAX),
    };
    let to = if rests {
        from
    } else {
        let to = selected.len().min(from + per_page.min(left));
        to - left_out(app, turn.position, &selected[from..to], to < selected.len())
    };
    let records = &selected[from..to];
    let refusal = options.page_refused_above;
    if let Some(answer) = refusal.and_then(|refusal| refusal.of(asked.per_page, records.len())) {
        return Err(answer);
    }

    let is_full = records.len() == per_page;
    let mut random = Random::new(options.seed ^ (13 + asked.endpoint as u64), now.requests);
    let false_end =
        is_full && options.null_behind_full_page > 0 && random.one_in(options.null_behind_full_page);
    let goes_on =
        records.len() < left && !false_end && (to < selected.len() || (!options.exact_end && is_full));
    let next = goes_on.then(|| {
        let last = records.last().map(|&index| key(index)).or(position.after);
        let after = last.filter(|_| options.cursor != CursorKind::Offset);
        Position {
            after,
            skip: position.skip + records.len() as u64,
            rested: rests,
        }
    });
    let written = app.cursors.write(turn, next, now);

    let mut out = Text(Vec::with_capacity(64 + records.len() * 1_200));
    out.raw(r#"{"data":["#);
    for (nth, &index) in records.iter().enumerate() {
        out.raw(if nth == 0 { "" } else { "," });
        render::record(&mut out, bot, asked.endpoint, index, view, options.times);
    }
    out.raw(r#"],"cursor":"#);
    match repeated.or(written.as_deref()) {
        Some(cursor) => out.quoted(cursor),
        None => out.raw("null"),
    };
    out.raw("}");
    let body = if options.pretty { indented(&out.0) } else { out.0 };
    Ok(Page {
        body,
        records: records.len(),
    })
}

/// How many of a page's records are left for the next one, where pages in mid-chain can be short.
fn left_out(app: &App, position: Position, records: &[u32], is_followed: bool) -> usize {
    let options = &app.options;
    let mut random = Random::new(options.seed ^ 12, position.skip);
    if options.short_pages == 0 || !is_followed || !random.one_in(options.short_pages) {
        return 0;
    }
    random.small(super::tables::count(records.len())) as usize
}

type Pack = fn(&[u8]) -> io::Result<Vec<u8>>;

/// The body as it is sent, and its `Content-Encoding`.
pub(super) fn packed(
    body: Vec<u8>,
    compression: Compression,
    headers: &HeaderMap,
) -> (Vec<u8>, Option<&'static str>) {
    let (name, pack): (_, Pack) = match compression {
        Compression::None => return (body, None),
        Compression::Gzip => ("gzip", |body| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body)?;
            encoder.finish()
        }),
        Compression::Zstd => ("zstd", |body| zstd::bulk::compress(body, 1)),
    };
    let accepted = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut names = accepted
        .flat_map(|value| value.split(','))
        .map(|part| part.split(';').next().unwrap_or(""));
    match names.any(|accepted| accepted.trim() == name).then(|| pack(&body)) {
        Some(Ok(packed)) => (packed, Some(name)),
        _ => (body, None),
    }
}
