//! The `_id` of a record.

/// Written as 24 hexadecimal digits that sort as this does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id {
    pub(super) second: u32,
    pub(super) rest: u64,
}

impl Id {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let parsed = digits.then(|| text.split_at(8))?;
        Some(Self {
            second: u32::from_str_radix(parsed.0, 16).ok()?,
            rest: u64::from_str_radix(parsed.1, 16).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_24_hexadecimal_digits_are_an_id() {
        assert_eq!(
            Id::parse("0000001f0000000000000abc"),
            Some(Id {
                second: 0x1f,
                rest: 0xabc
            })
        );
        for bad in ["0000001f0000000000000abg", "1f", "", "+000001f0000000000000abc"] {
            assert_eq!(Id::parse(bad), None, "{bad}");
        }
    }
}
