//! Information of a response apart from its page: time to wait, server time, error message.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use crate::display;

/// Estimates the server's clock from the dates of its responses. A date has whole seconds only; many of them give a
/// finer estimate.
#[derive(Debug)]
pub(super) struct ServerClock {
    begin: Instant,
    /// The server's time at `begin`, or slightly earlier.
    at_begin: Mutex<Option<Timestamp>>,
}

impl ServerClock {
    pub(super) fn new() -> Self {
        Self {
            begin: Instant::now(),
            at_begin: Mutex::new(None),
        }
    }

    /// Returns the server's time now, from this response and the previous ones; `None` if the response has no date.
    pub(super) fn read(&self, headers: &HeaderMap) -> Option<Timestamp> {
        let date = http_date(headers.get(DATE)?.to_str().ok()?)?;
        let elapsed = SignedDuration::try_from(self.begin.elapsed()).ok()?;
        let shown = date.checked_sub(elapsed).ok()?;
        let mut at_begin = self.at_begin.lock().unwrap_or_else(PoisonError::into_inner);
        let best = at_begin.map_or(shown, |known| known.max(shown));
        *at_begin = Some(best);
        let end = date.checked_add(SignedDuration::from_millis(999)).ok()?;
        Some(best.checked_add(elapsed).ok()?.clamp(date, end))
    }
}

/// Parses `Retry-After` as seconds or as an HTTP date, relative to the server's time `now`; `None` if it is invalid.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    }
    let at = http_date(text)?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// Returns the server's message in a JSON body, or else the beginning of the body.
pub(super) fn message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum ErrorField {
        Plain(String),
        Object { message: String },
    }
    #[derive(serde::Deserialize)]
    struct Body {
        error: Option<ErrorField>,
        message: Option<String>,
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let told = serde_json::from_slice::<Body>(body)
        .ok()
        .and_then(|body| match body.error {
            Some(ErrorField::Plain(text) | ErrorField::Object { message: text }) => Some(text),
            None => body.message,
        });
    told.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

/// Shortens a text to one line of at most 200 characters that is safe to print.
pub(super) fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line = display::safe(&line).into_owned();
    if let Some((cut, _)) = line.char_indices().nth(200) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let read = |text: &str| {
            let headers: HeaderMap = [(RETRY_AFTER, text.parse().unwrap())].into_iter().collect();
            retry_after(&headers, now)
        };
        assert_eq!(read("2"), Some(Duration::from_secs(2)));
        assert_eq!(read("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(
            read("Thu, 01 Jan 2026 00:00:07 GMT"),
            Some(Duration::from_secs(7))
        );
        assert_eq!(read("Wed, 31 Dec 2025 23:59:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
        assert_eq!(read("1e400"), None);
        assert_eq!(read("-3"), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn many_dates_tell_the_time_more_finely_than_one() {
        // the server's time at the begin, 0.7 s into a second
        let begin: Timestamp = "2026-01-01T00:00:00.7Z".parse().unwrap();
        let clock = ServerClock::new();
        let mut off = SignedDuration::MAX;
        for step in 0..10 {
            let now = begin + Duration::from_millis(step * 130);
            let date = Timestamp::from_second(now.as_second()).unwrap();
            let text = rfc2822::DateTimePrinter::new()
                .timestamp_to_rfc9110_string(&date)
                .unwrap();
            let headers: HeaderMap = [(DATE, text.parse().unwrap())].into_iter().collect();
            let read = clock.read(&headers).unwrap();
            assert!(read <= now && read.as_second() == now.as_second(), "{read}");
            off = now.duration_since(read);
            tokio::time::sleep(Duration::from_millis(130)).await;
        }
        assert!(off < SignedDuration::from_millis(130), "{off}");
        assert_eq!(clock.read(&HeaderMap::new()), None);
    }

    #[test]
    fn the_servers_message_is_found_and_shortened() {
        assert_eq!(
            message(br#"{"error":{"code":"x","message":"no such bot"}}"#),
            "no such bot"
        );
        assert_eq!(shortened(&message(br#"{"message":"no\nkey"}"#)), "no key");
        assert_eq!(shortened(&message(b"<html>\n<p>Bad")), "<html> <p>Bad");
        assert_eq!(
            shortened("a\u{1b}[2J\u{202e}b\u{200b}"),
            r"a\u{1b}[2J\u{202e}b\u{200b}"
        );
        assert_eq!(shortened(&"ä".repeat(500)).chars().count(), 201);
    }
}
