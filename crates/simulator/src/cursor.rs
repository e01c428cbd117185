//! Cursors: what they are made of, and how long they live.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::choices::{CursorKind, CursorLife, Endpoint};
use super::options::Options;
use super::random::mix;
use super::select::{Key, Window};
use super::token::Token;

/// What a request asks for, apart from its cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    pub(super) endpoint: Endpoint,
    /// The bot's number.
    pub(super) bot: usize,
    pub(super) window: Window,
    pub(super) per_page: u32,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// After this record; of tokens and scrolls.
    pub(super) after: Option<Key>,
    /// How many records came before.
    pub(super) skip: u64,
    /// Whether the page before was empty by choice, so that this one is not.
    pub(super) rested: bool,
}

/// A page that is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) asked: Asked,
    pub(super) position: Position,
    scroll: Option<String>,
}

/// Why a cursor does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It never was one, or is one of another window.
    Invalid,
    Dead,
}

/// The requests and milliseconds that an endpoint has seen: what cursors age by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    pub(super) requests: u64,
    pub(super) ms: u64,
}

struct Scroll {
    asked: Asked,
    position: Position,
    born: u64,
}

pub(super) struct Cursors {
    kind: CursorKind,
    life: Option<CursorLife>,
    seed: u64,
    scrolls: Mutex<Scrolls>,
}

#[derive(Default)]
struct Scrolls {
    opened: u64,
    open: HashMap<String, Scroll>,
}

impl Cursors {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            kind: options.cursor,
            life: options.cursor_life,
            seed: mix(options.seed),
            scrolls: Mutex::default(),
        }
    }

    /// Reads the cursor of a request.
    pub(super) fn read(&self, asked: Asked, cursor: Option<&str>, now: Age) -> Result<Turn, Unusable> {
        let Some(text) = cursor else {
            return Ok(Turn {
                asked,
                position: Position::default(),
                scroll: None,
            });
        };
        match self.kind {
            CursorKind::Token => {
                let Token { position, born } =
                    Token::read(text, self.seed, asked).ok_or(Unusable::Invalid)?;
                self.alive(born, now)?;
                Ok(Turn {
                    asked,
                    position,
                    scroll: None,
                })
            }
            CursorKind::Offset => {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                let skip = text.parse().ok().filter(|_| digits).ok_or(Unusable::Invalid)?;
                let rested = text.len() > 1 && text.starts_with('0');
                Ok(Turn {
                    asked,
                    position: Position {
                        after: None,
                        skip,
                        rested,
                    },
                    scroll: None,
                })
            }
            CursorKind::Scroll => {
                let scrolls = self.scrolls.lock().unwrap_or_else(PoisonError::into_inner);
                // A scroll that has come to its end is forgotten, as is one of another run: both are dead.
                let scroll = scrolls.open.get(text).ok_or(Unusable::Dead)?;
                self.alive(scroll.born, now)?;
                Ok(Turn {
                    asked: scroll.asked,
                    position: scroll.position,
                    scroll: Some(text.to_owned()),
                })
            }
        }
    }

    /// The cursor of the page after `turn`, which begins at `next`; `None` where there is none.
    pub(super) fn write(&self, turn: Turn, next: Option<Position>, now: Age) -> Option<String> {
        let born = match self.life {
            Some(CursorLife::Requests(_)) => now.requests,
            Some(CursorLife::Milliseconds(_)) => now.ms,
            None => 0,
        };
        match self.kind {
            CursorKind::Token => next.map(|position| Token { position, born }.write(self.seed, turn.asked)),
            // A leading zero tells the skip of a page that was left empty from the same skip after it.
            CursorKind::Offset => next.map(|at| {
                if at.rested {
                    format!("0{}", at.skip)
                } else {
                    at.skip.to_string()
                }
            }),
            CursorKind::Scroll => {
                let mut scrolls = self.scrolls.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(position) = next else {
                    turn.scroll.and_then(|id| scrolls.open.remove(&id));
                    return None;
                };
                scrolls.opened += 1;
                let id = turn
                    .scroll
                    .unwrap_or_else(|| format!("scroll-{:016x}", mix(self.seed ^ scrolls.opened)));
                scrolls.open.insert(
                    id.clone(),
                    Scroll {
                        asked: turn.asked,
                        position,
                        born,
                    },
                );
                Some(id)
            }
        }
    }

    fn alive(&self, born: u64, now: Age) -> Result<(), Unusable> {
        let (age, life) = match self.life {
            None => return Ok(()),
            Some(CursorLife::Requests(life)) => (now.requests.saturating_sub(born), life),
            Some(CursorLife::Milliseconds(life)) => (now.ms.saturating_sub(born), life),
        };
        if age > life { Err(Unusable::Dead) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
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
    const NOW: Age = Age { requests: 5, ms: 5 };

    fn cursors(cursor: CursorKind, cursor_life: Option<CursorLife>) -> Cursors {
        Cursors::new(&Options {
            cursor,
            cursor_life,
            ..Options::default()
        })
    }

    fn next(cursors: &Cursors, position: Position) -> String {
        let turn = cursors.read(ASKED, None, NOW).unwrap();
        cursors.write(turn, Some(position), NOW).unwrap()
    }

    #[test]
    fn every_kind_comes_back_to_its_position() {
        let keyed = Position {
            after: Some((-7, u64::MAX)),
            skip: 300,
            rested: true,
        };
        for (kind, position) in [
            (CursorKind::Token, keyed),
            (CursorKind::Token, Position::default()),
            (CursorKind::Scroll, keyed),
            (CursorKind::Offset, Position { after: None, ..keyed }),
            (
                CursorKind::Offset,
                Position {
                    skip: 300,
                    ..Position::default()
                },
            ),
            (
                CursorKind::Offset,
                Position {
                    rested: true,
                    ..Position::default()
                },
            ),
        ] {
            let cursors = cursors(kind, None);
            let text = next(&cursors, position);
            assert_eq!(
                cursors.read(ASKED, Some(&text), NOW).unwrap().position,
                position,
                "{kind:?} {text}"
            );
        }
    }

    #[test]
    fn offsets_are_digits() {
        let cursors = cursors(CursorKind::Offset, None);
        for bad in ["", "-1", "+1", "1.0", "x", "99999999999999999999"] {
            assert_eq!(
                cursors.read(ASKED, Some(bad), NOW),
                Err(Unusable::Invalid),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_scroll_keeps_its_name_until_it_ends() {
        let cursors = cursors(CursorKind::Scroll, None);
        let id = next(
            &cursors,
            Position {
                skip: 1,
                ..Position::default()
            },
        );
        let turn = cursors.read(ASKED, Some(&id), NOW).unwrap();
        let further = Position {
            skip: 2,
            ..Position::default()
        };
        assert_eq!(cursors.write(turn, Some(further), NOW), Some(id.clone()));
        let turn = cursors.read(ASKED, Some(&id), NOW).unwrap();
        assert_eq!(turn.position, further);
        assert_eq!(cursors.write(turn, None, NOW), None);
        assert_eq!(cursors.read(ASKED, Some(&id), NOW), Err(Unusable::Dead));
    }

    #[test]
    fn cursors_die_of_age() {
        for kind in [CursorKind::Token, CursorKind::Scroll] {
            for life in [CursorLife::Requests(3), CursorLife::Milliseconds(3)] {
                let cursors = cursors(kind, Some(life));
                let text = next(&cursors, Position::default());
                let at = |later: u64| {
                    cursors.read(
                        ASKED,
                        Some(&text),
                        Age {
                            requests: 5 + later,
                            ms: 5 + later,
                        },
                    )
                };
                assert!(at(3).is_ok());
                assert_eq!(at(4), Err(Unusable::Dead), "{kind:?} {life:?}");
            }
        }
    }
}
