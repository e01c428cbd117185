//! The values of a page while it grows, in one of Parquet's encodings.

use parquet::basic::{Encoding, Type};

use super::bounds::Bounds;
use super::dictionary::{Dictionary, NO_NUMBER, length};
use super::{bits, hybrid};

/// Values, each given in its PLAIN encoding without length.
#[derive(Debug)]
pub(super) enum Values {
    /// Numbers of a dictionary that pages share.
    Dictionary {
        dictionary: Box<Dictionary>,
        numbers: Vec<u32>,
        /// Which page it is, counted from 1.
        page: u32,
    },
    Plain(Vec<u8>),
    /// Each a byte, for now.
    Booleans(Vec<u8>),
}

/// What is known of a value; all of it, once the value was appended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Its number in the dictionary.
    number: u32,
    /// The last page that it is in.
    page: u32,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            number: NO_NUMBER,
            page: 0,
        }
    }
}

impl Values {
    /// Values in a dictionary, where one is wanted, or plain ones: encodings that every reader knows.
    pub(super) fn new(r#type: Type, has_dictionary: bool) -> Self {
        match r#type {
            Type::BOOLEAN => Self::Booleans(Vec::new()),
            _ if has_dictionary => Self::Dictionary {
                dictionary: Box::new(Dictionary::new(r#type == Type::BYTE_ARRAY)),
                numbers: Vec::new(),
                page: 1,
            },
            _ => Self::Plain(Vec::new()),
        }
    }

    /// Forgets what is known of another value than this one.
    #[inline]
    pub(super) fn check(&self, known: &mut Known, value: &[u8]) {
        let dictionary = self.dictionary();
        if dictionary
            .and_then(|values| values.get(known.number))
            .is_none_or(|known| known != value)
        {
            *known = Known::default();
        }
    }

    /// Appends a value of which so much is known.
    #[inline]
    pub(super) fn push(&mut self, value: &[u8], known: &mut Known, has_length: bool, bounds: &mut Bounds) {
        match self {
            Self::Dictionary {
                dictionary,
                numbers,
                page,
            } => {
                if known.number == NO_NUMBER {
                    known.number = dictionary.number(value);
                }
                numbers.push(known.number);
                // bounds need to look at it but once
                if known.page != *page {
                    known.page = *page;
                    bounds.add(value);
                }
                return;
            }
            Self::Plain(values) => {
                if has_length {
                    values.extend_from_slice(&length(value));
                }
                values.extend_from_slice(value);
            }
            Self::Booleans(values) => values.extend_from_slice(value),
        }
        bounds.add(value);
    }

    /// Bytes that the page's values take when they are encoded, about.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Dictionary {
                dictionary, numbers, ..
            } => numbers.len() * number_bits(dictionary) as usize / 8,
            Self::Plain(values) => values.len(),
            Self::Booleans(values) => values.len() / 8,
        }
    }

    /// Appends the page's values to `out`, and begins the next page.
    pub(super) fn end_page(&mut self, out: &mut Vec<u8>) -> Encoding {
        match self {
            Self::Dictionary {
                dictionary,
                numbers,
                page,
                ..
            } => {
                let width = number_bits(dictionary);
                out.extend_from_slice(&width.to_le_bytes()[..1]);
                hybrid::encode(numbers, width, out);
                numbers.clear();
                *page += 1;
                Encoding::RLE_DICTIONARY
            }
            Self::Plain(values) => {
                out.append(values);
                Encoding::PLAIN
            }
            Self::Booleans(values) => {
                bits::pack(values.drain(..).map(u64::from), 1, out);
                Encoding::PLAIN
            }
        }
    }

    pub(super) fn dictionary(&self) -> Option<&Dictionary> {
        match self {
            Self::Dictionary { dictionary, .. } => Some(dictionary),
            _ => None,
        }
    }
}

/// Bits of the largest number of a dictionary.
fn number_bits(dictionary: &Dictionary) -> u32 {
    bits::width(dictionary.len().saturating_sub(1) as u64)
}
