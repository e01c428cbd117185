//! JSON text, written straight into bytes.

use jiff::Timestamp;
use jiff::tz::Offset;

use super::choices::TimeFormat;
use super::id::Id;

/// A body that is being written. Every method appends and returns the text, so that a record reads as it will
/// stand.
pub(super) struct Text(pub(super) Vec<u8>);

impl Text {
    pub(super) fn raw(&mut self, json: &str) -> &mut Self {
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    /// A JSON string whose content needs no escapes or has them already.
    pub(super) fn quoted(&mut self, escaped: &str) -> &mut Self {
        self.raw("\"").raw(escaped).raw("\"")
    }

    pub(super) fn int(&mut self, value: impl Into<i64>) -> &mut Self {
        let value = value.into();
        if value < 0 {
            self.0.push(b'-');
        }
        let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
        self.digits(value.unsigned_abs(), digits)
    }

    /// The last `width` decimal digits, with leading zeros.
    pub(super) fn digits(&mut self, mut value: u64, width: u32) -> &mut Self {
        let mut buffer = [b'0'; 20];
        let from = 20_usize.saturating_sub(width as usize);
        for digit in buffer[from..].iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
        self.0.extend_from_slice(&buffer[from..]);
        self
    }

    pub(super) fn id(&mut self, id: Id) -> &mut Self {
        self.hex(u64::from(id.second), 8).hex(id.rest, 16)
    }

    /// The last `width` hexadecimal digits.
    pub(super) fn hex(&mut self, value: u64, width: u32) -> &mut Self {
        for nth in (0..width).rev() {
            self.0
                .push(b"0123456789abcdef"[((value >> (4 * nth)) & 15) as usize]);
        }
        self
    }

    /// A JSON value for a time in Unix microseconds.
    pub(super) fn time(&mut self, format: TimeFormat, us: i64) -> &mut Self {
        let (second, fraction) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000).unsigned_abs());
        match format {
            TimeFormat::Seconds => self.int(second),
            TimeFormat::SecondsText => self.raw("\"").int(second).raw("\""),
            TimeFormat::Milliseconds => self.int(us.div_euclid(1_000)),
            TimeFormat::Microseconds => self.int(us),
            TimeFormat::FloatSeconds => {
                let whole = us.unsigned_abs();
                self.raw(if us < 0 { "-" } else { "" });
                self.int((whole / 1_000_000).cast_signed())
                    .raw(".")
                    .digits(whole % 1_000_000, 6)
            }
            TimeFormat::Iso => self
                .raw("\"")
                .civil(us)
                .raw(".")
                .digits(fraction / 1_000, 3)
                .raw("Z\""),
            TimeFormat::IsoOffset => self
                .raw("\"")
                .civil(us + 7_200_000_000)
                .raw(".")
                .digits(fraction, 6)
                .raw("+02:00\""),
        }
    }

    fn civil(&mut self, us: i64) -> &mut Self {
        let at = Offset::UTC.to_datetime(Timestamp::from_microsecond(us).unwrap_or_default());
        let two = |value: i8| u64::from(value.unsigned_abs());
        self.digits(u64::from(at.year().unsigned_abs()), 4)
            .raw("-")
            .digits(two(at.month()), 2);
        self.raw("-")
            .digits(two(at.day()), 2)
            .raw("T")
            .digits(two(at.hour()), 2);
        self.raw(":")
            .digits(two(at.minute()), 2)
            .raw(":")
            .digits(two(at.second()), 2)
    }
}

/// The same JSON, indented by two spaces. Text that is no JSON is indented as far as it looks like it.
pub(super) fn indented(compact: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(compact.len() * 3 / 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    for &byte in compact {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                depth += 1;
                line(&mut out, depth);
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Text) -> &mut Text) -> String {
        let mut text = Text(Vec::new());
        write(&mut text);
        String::from_utf8(text.0).unwrap()
    }

    #[test]
    fn numbers() {
        for value in [0, 7, 10, -1, 99, 100, i64::MAX, i64::MIN] {
            assert_eq!(written(|text| text.int(value)), value.to_string());
        }
        assert_eq!(written(|text| text.digits(42, 5)), "00042");
        assert_eq!(
            written(|text| text.id(Id {
                second: 0x1f,
                rest: 0xabc
            })),
            "0000001f0000000000000abc"
        );
    }

    #[test]
    fn times_in_every_format() {
        let time = |format, us| written(|text| text.time(format, us));
        let us = 1_744_750_665_123_456;
        assert_eq!(time(TimeFormat::Seconds, us), "1744750665");
        assert_eq!(time(TimeFormat::Milliseconds, us), "1744750665123");
        assert_eq!(time(TimeFormat::Microseconds, us), "1744750665123456");
        assert_eq!(time(TimeFormat::FloatSeconds, us), "1744750665.123456");
        assert_eq!(time(TimeFormat::Iso, us), "\"2025-04-15T20:57:45.123Z\"");
        assert_eq!(
            time(TimeFormat::IsoOffset, us),
            "\"2025-04-15T22:57:45.123456+02:00\""
        );
        assert_eq!(time(TimeFormat::SecondsText, us), "\"1744750665\"");
        assert_eq!(time(TimeFormat::FloatSeconds, -500_000), "-0.500000");
        assert_eq!(time(TimeFormat::Seconds, -500_000), "-1");
    }

    #[test]
    fn indenting_keeps_the_value() {
        let compact = r#"{"a":[1,2,{"b":"x,:{}[]\"\\"}],"c":{},"d":[]}"#;
        let pretty = indented(compact.as_bytes());
        assert!(pretty.starts_with(b"{\n  \"a\": [\n    1,\n"));
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        assert_eq!(value(&pretty), value(compact.as_bytes()));
    }
}
