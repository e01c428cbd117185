//! What the terminal can do.

use std::io::{self, IsTerminal, Write};

/// Where text goes.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(super) fn is_terminal(self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
        }
    }

    /// Whether colours can be shown and are wanted.
    pub(super) fn has_colours(self) -> bool {
        // see https://no-color.org: an empty variable asks for nothing
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        self.is_terminal() && !no_colour && !is_dumb()
    }

    /// Columns, where it is a terminal.
    pub(super) fn width(self) -> Option<usize> {
        let size = match self {
            Self::Stdout => terminal_size::terminal_size_of(io::stdout()),
            Self::Stderr => terminal_size::terminal_size_of(io::stderr()),
        };
        // some terminals say 0 where they do not know
        size.map(|(width, _)| usize::from(width.0))
            .filter(|width| *width >= 20)
    }
}

/// Whether the terminal can do nothing but write on.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Colours of a terminal.
#[derive(Clone, Copy)]
pub(super) enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
}

/// Text in a colour, bold; plain where there are no colours.
pub(super) fn bold(text: &str, colour: Colour, stream: Stream) -> String {
    if stream.has_colours() {
        format!("\x1b[1;{}m{text}\x1b[0m", colour as u8)
    } else {
        text.to_owned()
    }
}

/// Writes a line for people.
pub(super) fn write_stderr(text: &str) {
    // where standard error is closed nobody reads it
    let _ = writeln!(io::stderr(), "{text}");
}

/// A text after a word such as `error:`, in lines that fit the terminal and stand under each other.
pub(super) fn hanging(word: &str, text: &str, width: Option<usize>) -> String {
    let indent = word.chars().count() + 1;
    let Some(room) = width.map(|width| width.saturating_sub(indent).max(20)) else {
        return text.to_owned();
    };
    let mut lines: Vec<String> = Vec::new();
    for part in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + part.chars().count() <= room => {
                line.push(' ');
                line.push_str(part);
            }
            _ => lines.push(part.to_owned()),
        }
    }
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_hang_after_their_word() {
        let text = "check the key: only a site admin can see it, in the dashboard";
        assert_eq!(hanging("hint:", text, None), text);
        assert_eq!(
            hanging("hint:", text, Some(40)),
            "check the key: only a site admin\n      can see it, in the dashboard"
        );
        assert_eq!(
            hanging("hint:", "unbreakable".repeat(9).as_str(), Some(40)),
            "unbreakable".repeat(9)
        );
    }
}
