//! Capabilities of the terminal: colours, width, output streams.

use std::io::{self, IsTerminal, Write};

/// A standard stream.
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

    /// Whether colours are supported and not disabled.
    pub(super) fn has_colours(self) -> bool {
        // see https://no-color.org: an empty variable counts as not set
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        self.is_terminal() && !no_colour && !is_dumb()
    }

    /// Columns of the terminal; `None` if the stream is not a terminal.
    pub(super) fn width(self) -> Option<usize> {
        let size = match self {
            Self::Stdout => terminal_size::terminal_size_of(io::stdout()),
            Self::Stderr => terminal_size::terminal_size_of(io::stderr()),
        };
        // some terminals report 0 for an unknown width
        size.map(|(width, _)| usize::from(width.0))
            .filter(|width| *width >= 20)
    }
}

/// Whether `TERM` is `dumb`: the cursor cannot move.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// ANSI colour codes.
#[derive(Clone, Copy)]
pub(super) enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
}

/// Formats text in bold and in a colour, or plain where the stream has no colours.
pub(super) fn bold(text: &str, colour: Colour, stream: Stream) -> String {
    if stream.has_colours() {
        format!("\x1b[1;{}m{text}\x1b[0m", colour as u8)
    } else {
        text.to_owned()
    }
}

/// Writes a line to standard error.
pub(super) fn write_stderr(text: &str) {
    // standard error may be closed
    let _ = writeln!(io::stderr(), "{text}");
}

/// Wraps a text that follows a label such as `error:` to the terminal's width, with a hanging indent.
pub(super) fn hanging_indent(word: &str, text: &str, width: Option<usize>) -> String {
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
    fn long_texts_are_wrapped_after_their_label() {
        let text = "check the key: only a site admin can see it, in the dashboard";
        assert_eq!(hanging_indent("hint:", text, None), text);
        assert_eq!(
            hanging_indent("hint:", text, Some(40)),
            "check the key: only a site admin\n      can see it, in the dashboard"
        );
        assert_eq!(
            hanging_indent("hint:", "unbreakable".repeat(9).as_str(), Some(40)),
            "unbreakable".repeat(9)
        );
    }
}
