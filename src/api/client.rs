//! Asks the Export API for one page, as often as it takes and as the budget allows.

use std::error::Error as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{ACCEPT, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use tokio::time::Instant;
use url::Url;

use super::{ApiKey, Ask, AskError, Attempt, Budget, Decision, Failure, Patience, Sent, decide};

/// How to reach the API.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The API's root; paths of endpoints are appended.
    pub base_url: Url,
    /// Sent with every request to `base_url`'s host, and to no other.
    pub key: ApiKey,
    /// The largest body accepted, in bytes, after decompression.
    pub max_page_bytes: u64,
    /// The longest silence while an answer is awaited or read.
    pub silence: Duration,
    /// How long to go on asking for a page.
    pub patience: Patience,
}

/// One page as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The body, decompressed.
    pub body: Vec<u8>,
    /// When the page was asked for, by the server's own clock where it tells, by ours otherwise.
    pub asked_at: Timestamp,
}

/// What asking has cost so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests sent, retries included.
    pub requests: AtomicU64,
    /// Requests that repeated a failed one.
    pub retries: AtomicU64,
    /// Requests that the server refused with 429.
    pub rate_limited: AtomicU64,
    /// Bytes of bodies, after decompression.
    pub bytes_received: AtomicU64,
}

/// Talks to one API with one key; connections are kept and reused.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    connection: Connection,
    answered: AtomicBool,
}

impl Client {
    /// Prepares connections; nothing is sent yet.
    ///
    /// # Errors
    /// Where the system's TLS or proxy settings cannot be used.
    pub fn new(connection: Connection) -> Result<Self, Failure> {
        // a second call finds the provider installed already, which is as good
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("converse-export/", env!("CARGO_PKG_VERSION")))
            .redirect(same_origin())
            .connect_timeout(Duration::from_secs(15))
            .read_timeout(connection.silence)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| Failure::Connect(innermost(&error)))?;
        Ok(Self {
            http,
            connection,
            answered: AtomicBool::new(false),
        })
    }

    /// Asks until there is a page that `read` accepts. The first attempt's permit was spent for `sent`, later
    /// ones take theirs from `budget`; a refusal pauses all that share it. Where `repeatable` is false nothing is asked twice.
    ///
    /// # Errors
    /// See [`AskError`]: by what the caller can do.
    pub async fn page<T>(
        &self,
        ask: &Ask,
        repeatable: bool,
        budget: &Budget,
        mut sent: Sent,
        tally: &Tally,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<(Answer, T), AskError> {
        let begin = Instant::now();
        let mut number = 1;
        loop {
            tally.requests.fetch_add(1, Ordering::Relaxed);
            let failure = match self.attempt(ask, tally).await {
                Ok(answer) => match read(&answer.body) {
                    Ok(page) => {
                        self.answered.store(true, Ordering::Relaxed);
                        return Ok((answer, page));
                    }
                    Err(why) => Failure::BadPage(why),
                },
                Err(failure) => failure,
            };
            if failure.is_refusal() {
                tally.rate_limited.fetch_add(1, Ordering::Relaxed);
                budget.refused(&sent, failure.retry_after());
            } else if ask.cursor.is_some() && failure.may_be_a_dead_cursor() {
                return Err(AskError::CursorDied { failure });
            } else if !repeatable && failure.may_heal() {
                return Err(AskError::Lost { failure });
            }
            let attempt = Attempt {
                number,
                elapsed: begin.elapsed(),
                server_known: self.answered.load(Ordering::Relaxed),
            };
            match decide(&failure, attempt, self.connection.patience, rand::random()) {
                Decision::Wait(wait) => {
                    tracing::info!(window = %ask.window, attempt = number, ?wait, "{failure}; asking again");
                    tokio::time::sleep(wait).await;
                }
                Decision::GiveUp => {
                    return Err(AskError::GaveUp {
                        failure,
                        attempts: number,
                    });
                }
                Decision::Fail => return Err(AskError::Failed { failure }),
            }
            number += 1;
            tally.retries.fetch_add(1, Ordering::Relaxed);
            sent = budget.permit().await.spend();
        }
    }

    /// Asks once, whatever comes of it; the body is not looked at.
    ///
    /// # Errors
    /// What went wrong with the attempt.
    pub async fn attempt(&self, ask: &Ask, tally: &Tally) -> Result<Answer, Failure> {
        let asked = Timestamp::now();
        let mut response = self
            .http
            .get(self.url(ask))
            .header("x-api-key", self.connection.key.header())
            .header(ACCEPT, "application/json")
            .send()
            .await
            .map_err(|error| transport(&error))?;
        let limit = self.connection.max_page_bytes;
        let status = response.status();
        let headers = response.headers().clone();
        if status.is_redirection()
            && let Some(to) = headers.get(LOCATION).and_then(|to| to.to_str().ok())
        {
            return Err(Failure::Redirect { to: shortened(to) });
        }
        let cap = if status.is_success() {
            limit
        } else {
            limit.min(64 * 1024)
        };
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    if (body.len() + chunk.len()) as u64 > cap {
                        if status.is_success() {
                            return Err(Failure::TooLarge { limit });
                        }
                        break;
                    }
                    body.extend_from_slice(&chunk);
                }
                Ok(None) => break,
                // of an error's body, what came is enough
                Err(_) if !status.is_success() => break,
                Err(error) => return Err(transport(&error)),
            }
        }
        tally
            .bytes_received
            .fetch_add(body.len() as u64, Ordering::Relaxed);
        if !status.is_success() {
            return Err(Failure::Status {
                status: status.as_u16(),
                retry_after: retry_after(&headers, Timestamp::now()),
                excerpt: message(&body),
            });
        }
        // the answer's own date is at or after the asking; our clock tells how much later
        let asked_at = match server_time(&headers) {
            Some(answered) => answered - (Timestamp::now() - asked),
            None => asked,
        };
        Ok(Answer { body, asked_at })
    }

    fn url(&self, ask: &Ask) -> Url {
        let mut url = self.connection.base_url.clone();
        let path = format!("{}{}", url.path().trim_end_matches('/'), ask.endpoint);
        url.set_path(&path);
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("start_time", &ask.window.start.to_string())
                .append_pair("end_time", &ask.window.end.to_string())
                .append_pair("bot_name", &ask.bot)
                .append_pair("per_page", &ask.per_page.to_string());
            if let Some(cursor) = &ask.cursor {
                query.append_pair("cursor", cursor);
            }
        }
        url
    }
}

/// Follows redirects within one origin only, since the key's header would be sent along.
fn same_origin() -> Policy {
    Policy::custom(|attempt| {
        let from = attempt.previous().first().map(Url::origin);
        if from == Some(attempt.url().origin()) && attempt.previous().len() < 5 {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

fn transport(error: &reqwest::Error) -> Failure {
    let cause = innermost(error);
    if error.is_timeout() {
        Failure::Timeout
    } else if error.is_connect() {
        let mut source = error.source();
        while let Some(inner) = source {
            if inner.is::<rustls::Error>() || inner.to_string().contains("certificate") {
                return Failure::Tls(cause);
            }
            source = inner.source();
        }
        Failure::Connect(cause)
    } else {
        Failure::Broken(cause)
    }
}

/// The last cause of an error: what the system said, without the URL around it.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    shortened(&last.to_string())
}

/// `Retry-After` in seconds or as an HTTP date; nothing where it is neither.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    }
    let at = http_date(text)?;
    // a date is read against the server's own clock where it tells it
    let now = server_time(headers).unwrap_or(now);
    Some(Duration::try_from(at - now).unwrap_or(Duration::ZERO))
}

fn server_time(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// The server's own message where the body is JSON that has one, else the start of the body.
fn message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Told {
        Plain(String),
        Object { message: String },
    }
    #[derive(serde::Deserialize)]
    struct Body {
        error: Option<Told>,
        message: Option<String>,
    }
    let told = serde_json::from_slice::<Body>(body)
        .ok()
        .and_then(|body| match body.error {
            Some(Told::Plain(text) | Told::Object { message: text }) => Some(text),
            None => body.message,
        });
    shortened(&told.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned()))
}

/// One line of at most 200 characters.
fn shortened(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = line.char_indices().nth(200) {
        line.truncate(cut);
        line.push('…');
    }
    line.replace(char::is_control, " ")
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
    }

    #[test]
    fn the_servers_message_is_found_and_shortened() {
        assert_eq!(
            message(br#"{"error":{"code":"x","message":"no such bot"}}"#),
            "no such bot"
        );
        assert_eq!(message(br#"{"message":"no\nkey"}"#), "no key");
        assert_eq!(message(b"<html>\n<p>Bad"), "<html> <p>Bad");
        assert_eq!(message("ä".repeat(500).as_bytes()).chars().count(), 201);
    }
}
