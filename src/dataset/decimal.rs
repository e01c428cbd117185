//! Parses decimal numbers without loss of digits.

use std::iter;

/// `whole.fraction × 10^power`.
pub(super) struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    power: i64,
}

impl<'a> Decimal<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, power) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, parse_power(power)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let any = !whole.is_empty() || !fraction.is_empty();
        let number = Self {
            negative: text.starts_with('-'),
            whole,
            fraction,
            power,
        };
        (any && number.digits().all(|digit| digit.is_ascii_digit())).then_some(number)
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    /// Returns the significant digits, and how many of them precede the decimal point after the power is applied.
    /// `None` for zero.
    fn significant(&self) -> Option<(impl Iterator<Item = u8> + Clone, i64)> {
        let digits = self.whole.bytes().chain(self.fraction.bytes());
        let zeros = digits.clone().take_while(|digit| *digit == b'0').count();
        let digits = digits.skip(zeros);
        digits.clone().next()?;
        let places = i64::try_from(self.whole.len()).unwrap_or(i64::MAX);
        let places = places.saturating_sub_unsigned(zeros as u64);
        Some((digits, places.saturating_add(self.power)))
    }

    /// Returns the number if it is an integer of 64 bits.
    pub(super) fn as_i64(&self) -> Option<i64> {
        let Some((digits, places)) = self.significant() else {
            return Some(0);
        };
        let places = usize::try_from(places).ok().filter(|places| *places <= 19)?;
        if digits.clone().skip(places).any(|digit| digit != b'0') {
            return None;
        }
        // at most 19 digits, which fit into an i128
        let number = digits.chain(iter::repeat(b'0')).take(places);
        let number = number.fold(0, |sum, digit| sum * 10 + i128::from(digit - b'0'));
        i64::try_from(if self.negative { -number } else { number }).ok()
    }

    /// Converts the number to a time in microseconds, rounded down; `None` if it is too large.
    pub(super) fn unix_micros(&self) -> Option<i64> {
        let Some((digits, places)) = self.significant() else {
            return Some(0);
        };
        let kept = match places {
            ..=11 => places.saturating_add(6),
            12..=14 => places + 3,
            15..=17 => places,
            _ => return None,
        };
        // at most 17, which fit into an i64
        let kept = usize::try_from(kept).unwrap_or(0);
        let micros = digits.clone().chain(iter::repeat(b'0')).take(kept);
        let micros = micros.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        let exact = digits.clone().skip(kept).all(|digit| digit == b'0');
        Some(if self.negative {
            -micros - i64::from(!exact)
        } else {
            micros
        })
    }
}

/// Parses the exponent, clamped to `i64`.
fn parse_power(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(
        text.parse()
            .unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_exact_and_nothing_else_is_one() {
        let whole = |text: &str| Decimal::parse(text)?.as_i64();
        for (text, number) in [
            ("0", 0),
            ("-0.0", 0),
            ("007", 7),
            ("+5", 5),
            ("5.000", 5),
            ("-1.5e1", -15),
            ("1200e-2", 12),
            ("0.001e3", 1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(whole(text), Some(number), "{text}");
        }
        for text in [
            "",
            " 5",
            "5.5",
            "1e-1",
            "1e400",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "9223372036854775808",
            "-9223372036854775809",
            "0x10",
            "five",
            "1_000",
            "NaN",
        ] {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
