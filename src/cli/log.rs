//! The log on standard error, above any progress bar: plain lines, or one JSON object per line.

use std::fmt::{Debug, Write as _};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::args::{LogFormat, OutputArgs};
use super::progress_bars;
use super::terminal::{Colour, Stream, bold};
use crate::display;

/// Whether every line on standard error is a JSON object. Set before the first line is printed.
static JSON: AtomicBool = AtomicBool::new(false);

pub(super) fn set_format(format: LogFormat) {
    JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

pub(super) fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Installs the log of this process.
pub(super) fn init(output: &OutputArgs) {
    set_format(output.log_format);
    let level = match (output.quiet, output.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let filter =
        EnvFilter::try_new(format!("{level},hyper=warn,reqwest=warn,rustls=warn")).unwrap_or_default();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(StderrWriter)
        .event_format(EventFormat)
        .finish();
    // fails only if a test has installed one already
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Formats a line of JSON.
pub(super) fn object(level: &str, message: &str, fields: Map<String, Value>) -> String {
    let mut line = Map::new();
    let now = Timestamp::now();
    let now = now.round(jiff::Unit::Millisecond).unwrap_or(now);
    line.insert("time".into(), now.to_string().into());
    line.insert("level".into(), level.into());
    line.insert("message".into(), message.into());
    line.extend(fields);
    display::safe_json(&Value::Object(line).to_string()).into_owned()
}

/// Formats events as text or JSON.
struct EventFormat;

impl<S, N> FormatEvent<S, N> for EventFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut recorded = EventFields::default();
        event.record(&mut recorded);
        let (level, word, colour) = match *event.metadata().level() {
            Level::ERROR => ("error", "error:", Colour::Red),
            Level::WARN => ("warn", "warning:", Colour::Yellow),
            Level::INFO => ("info", "info:", Colour::Green),
            _ => ("debug", "debug:", Colour::Cyan),
        };
        if is_json() {
            return writeln!(writer, "{}", object(level, &recorded.message, recorded.fields));
        }
        let mut line = format!(
            "{} {}",
            bold(word, colour, Stream::Stderr),
            display::safe(&recorded.message)
        );
        for (name, value) in &recorded.fields {
            match value {
                Value::String(text) => write!(line, " {name}={}", display::safe(text))?,
                other => write!(line, " {name}={other}")?,
            }
        }
        writeln!(writer, "{line}")
    }
}

/// The message and the fields of an event.
#[derive(Default)]
struct EventFields {
    message: String,
    fields: Map<String, Value>,
}

impl EventFields {
    fn put(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }
}

impl Visit for EventFields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.put(field, text.into());
        }
    }
}

/// Writes to standard error while no progress bar is drawn.
#[derive(Clone, Copy)]
struct StderrWriter;

impl MakeWriter<'_> for StderrWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

impl Write for StderrWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress_bars::suspended(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
