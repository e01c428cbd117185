//! Tokens: cursors that hold all they need, and are sealed.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::cursor::{Asked, Position};

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) position: Position,
    /// The age of the endpoint when it was made.
    pub(super) born: u64,
}

impl Token {
    /// Hexadecimal digits: 2 of flags, 16 for each number, and the seal, among signs that a URL must escape, as
    /// Base64 has them.
    pub(super) fn write(self, seed: u64, asked: Asked) -> String {
        let Position { after, skip, rested } = self.position;
        let (key, tie) = after.unwrap_or_default();
        let flags = u8::from(rested) + 2 * u8::from(after.is_some());
        let said = format!("{flags:02x}{key:016x}{tie:016x}{skip:016x}{:016x}", self.born);
        let seal = seal(seed, asked, &said);
        format!("{said}+{seal}==")
    }

    /// `None` where the text is no token, or was made for something else.
    pub(super) fn read(text: &str, seed: u64, asked: Asked) -> Option<Self> {
        let (said, sealed) = text.strip_suffix("==")?.split_once('+')?;
        if said.len() != 66 || sealed != seal(seed, asked, said) {
            return None;
        }
        let number = |nth: usize| u64::from_str_radix(&said[2 + 16 * nth..18 + 16 * nth], 16).ok();
        let flags = u8::from_str_radix(&said[..2], 16).ok()?;
        let key = (number(0)?.cast_signed(), number(1)?);
        let after = (flags & 2 != 0).then_some(key);
        let position = Position {
            after,
            skip: number(2)?,
            rested: flags & 1 != 0,
        };
        Some(Self {
            position,
            born: number(3)?,
        })
    }
}

/// Ties a token to what it was made for, so that it works with nothing else.
fn seal(seed: u64, asked: Asked, said: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (seed, asked, said).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::super::choices::Endpoint;
    use super::super::select::Window;
    use super::*;

    const ASKED: Asked = Asked {
        endpoint: Endpoint::Messages,
        bot: 0,
        window: Window {
            start: 10,
            end: 20,
            conversation: None,
        },
        per_page: 100,
    };

    #[test]
    fn a_token_says_what_it_was_told() {
        for after in [None, Some((i64::MIN, u64::MAX)), Some((0, 0))] {
            let token = Token {
                position: Position {
                    after,
                    skip: 7,
                    rested: true,
                },
                born: 3,
            };
            assert_eq!(Token::read(&token.write(1, ASKED), 1, ASKED), Some(token));
        }
    }

    #[test]
    fn a_token_works_with_its_window_only() {
        let text = Token {
            position: Position::default(),
            born: 0,
        }
        .write(1, ASKED);
        assert_eq!(
            Token::read(
                &text,
                1,
                Asked {
                    per_page: 99,
                    ..ASKED
                }
            ),
            None
        );
        assert_eq!(
            Token::read(
                &text,
                1,
                Asked {
                    endpoint: Endpoint::Conversations,
                    ..ASKED
                }
            ),
            None
        );
        assert_eq!(Token::read(&text, 2, ASKED), None);
        let damaged = [
            text.replacen('0', "1", 1),
            text[1..].to_owned(),
            String::new(),
            "é".repeat(33) + "+==",
        ];
        for damaged in damaged {
            assert_eq!(Token::read(&damaged, 1, ASKED), None, "{damaged}");
        }
    }
}
