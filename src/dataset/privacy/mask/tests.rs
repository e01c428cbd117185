use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

#[test]
fn addresses_lose_their_last_part_wherever_they_stand() {
    for (text, expected) in [
        ("203.0.113.77", "203.0.113.0"),
        ("203%2E0%2E113%2e77", "203%2E0%2E113%2e0"),
        ("203%252E0%252E113%252E77", "203%252E0%252E113%252E0"),
        ("a%252520203.0.113.77", "a%252520203.0.113.0"),
        ("203.0.113.77_x", "203.0.113.0_x"),
        ("ip_2001:db8:1:2::3_x", "ip_2001:db8:1::_x"),
        (
            "ip%3D2001%3Adb8%3A1%3A2%3A3%3A4%3A5%3A6%26x",
            "ip%3D2001%3Adb8%3A1%3A%3A%26x",
        ),
        ("2001%3adb8%3a1%3a2%3a%3a3", "2001%3adb8%3a1%3a%3a"),
        (
            "%255B2001%253Adb8%253A%253A1%255D",
            "%255B2001%253Adb8%253A%253A%255D",
        ),
        ("ip%3A2001:db8::1", "ip%3A2001:db8::"),
        ("v1.2001:db8:1:2::3", "v1.2001:db8:1::"),
        ("12:34:56:2001:db8:1:2::3", "12:34:56:2001:db8:1::"),
        ("12:34:56:2001:db8:1:2:3:4:5:6", "12:34:56:2001:db8:1::"),
        ("12:34 2001:db8:1:2:3:4:5:6", "12:34 2001:db8:1::"),
        ("2001:db8:1:2:3:4:5:6:8080", "2001:db8:1:::8080"),
        ("1:2:3:2001:db8:1:2:3:4:5:6", "1:2:3::"),
        ("x2001:db8:1:2::3y", "x2001:db8:1::y"),
        ("a2001:db8:1:2::3:12345", "a2001:db8:1::"),
        ("host::2001:db8:1:2::3", "host::2001:db8:1::"),
        ("fe80::1ff:fe23:4567:890a%eth0", "fe80::%eth0"),
        (
            "http://[2001:DB8:1:2::3]:80/?q=[2001:DB8:1:2::4]",
            "http://[2001:db8:1::]:80/?q=[2001:db8:1::]",
        ),
        ("::FFFF:cb00:714d", "::ffff:203.0.113.0"),
        ("0:0:0:0:0:ffff:203.0.113.77_", "::ffff:203.0.113.0_"),
        ("64:ff9b::203.0.113.77", "64:ff9b::"),
        (
            r#"x {\"ip\":\"2001:db8:1:2::3\"}"#,
            r#"x {\"ip\":\"2001:db8:1::\"}"#,
        ),
        (
            r"a\n2001:db8:1:2::3\n203.0.113.7\u0020203.0.113.8",
            r"a\n2001:db8:1::\n203.0.113.0\u0020203.0.113.0",
        ),
        ("203.0.113.77, 10.1.2.3", "203.0.113.0, 10.1.2.0"),
        ("203.0.113.77:8080", "203.0.113.0:8080"),
        ("it is 203.0.113.77.", "it is 203.0.113.0."),
        ("(203.0.113.77)", "(203.0.113.0)"),
        ("ip=203.0.113.77&x=1", "ip=203.0.113.0&x=1"),
        ("2001:db8:85a3:8d3:1319:8a2e:370:7348", "2001:db8:85a3::"),
        ("[2001:db8::1]:443", "[2001:db8::]:443"),
        ("::ffff:203.0.113.77", "::ffff:203.0.113.0"),
        (
            "ip:203.0.113.12 X-Forwarded-For:203.0.113.13",
            "ip:203.0.113.0 X-Forwarded-For:203.0.113.0",
        ),
        ("{ip:203.0.113.14}", "{ip:203.0.113.0}"),
        ("12:30:45:203.0.113.23", "12:30:45:203.0.113.0"),
        (
            "?u=a%20203.0.113.16&ip%3D203.0.113.17",
            "?u=a%20203.0.113.0&ip%3D203.0.113.0",
        ),
        (
            "user_203.0.113.18 x.203.0.113.42 203.0.113.19.nip.io",
            "user_203.0.113.0 x.203.0.113.0 203.0.113.0.nip.io",
        ),
        ("wait...203.0.113.21", "wait...203.0.113.0"),
        ("203.0.113.020", "203.0.113.0"),
        ("addr:2001:db8:1:2::3", "addr:2001:db8:1::"),
        ("2001:db8:1:cafe::", "2001:db8:1::"),
        ("2001:db8:1:2::3.", "2001:db8:1::."),
        ("::1", "::"),
        ("mein Gerät: 203.0.113.77 ü", "mein Gerät: 203.0.113.0 ü"),
    ] {
        assert_eq!(masked(text), expected, "{text}");
        assert_eq!(masked(expected), expected, "twice: {text}");
    }
}

#[test]
fn what_is_no_address_stays() {
    for text in [
        "",
        "1.2.3",
        "1.2.3.4.5",
        "Chrome/118.0.5993.70",
        "12:30:45",
        "2023-10-01T08:00:00.123Z",
        "256.1.1.1",
        "a::b::c",
        "cafe",
        "e.g. this: that",
        "std::add",
        "https://example.com:8080/a.b",
        "12:34:56",
        "2023:10:01:12:34:56",
        "00:1a:2b:3c:4d:5e",
        "00-1A-2B-3C-4D-5E",
        "43:51:43:a1:b5:fc:8b:b7:0a:3a:a9:b1:0f:66:73:a8",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "sha256:9f86d081884c7d659a2feaa0c55ad015",
        "550e8400-e29b-41d4-a716-446655440000",
        "v1.2.3-rc.4",
        "1.2.3.4.5.6.7.8",
        "base64::decode(x)",
        "std::u8::MAX and Foo::Bar1::baz2",
        "abc1::def2::ghi3",
        "ratio 16:9, 1:2:3, a:b:c:d",
        "08:00:00-17:30:00",
        "::",
        ":::1",
        "100%",
        "50%3A50",
    ] {
        assert!(
            matches!(masked(text), Cow::Borrowed(_)),
            "{text}: {}",
            masked(text)
        );
    }
}

/// Texts that may stand before an address.
const BEFORE: &[&str] = &[
    "",
    " ",
    "_",
    "ip_",
    "v1.",
    "12:34:56 ",
    "12:34:56:",
    "2023-10-01T12:34:56Z ",
    "(",
    "[",
    "{",
    "<",
    "\"",
    "'",
    "\\\"",
    "=",
    "ip=",
    "?a=1&ip=",
    "%20",
    "%3D",
    "%5B",
    "%2520",
    "%2F",
    "/",
    "//",
    "@",
    "#",
    ",",
    ";",
    "|",
    "-",
    "+",
    "~",
    "*",
    "ü",
    "ip:",
    "ip: ",
    "é_",
    "\n",
    "\\n",
    "\\u0020",
    "\t",
    "x",
    "客户",
    "1.5 ",
    "00:1a:2b:3c:4d:5e ",
    "Chrome/118.0.5993.70 ",
    "addr=\\\"",
    "::ffff:203.0.113.9 ",
    "http://",
    "$",
];
/// Texts that may stand behind one.
const BEHIND: &[&str] = &[
    "",
    " ",
    "_",
    "_x",
    ")",
    "]",
    "]:443",
    "}",
    ">",
    "\"",
    "\\\"",
    "&x=1",
    "%20",
    "%5D",
    "%26x",
    "/",
    "/64",
    "%eth0",
    "%25eth0",
    ",",
    ";",
    "|",
    "-",
    "+",
    ". ",
    ".",
    "!",
    "?",
    "ü",
    "\n",
    "\\n",
    " 12:34:56",
    "#",
    "@",
    "x",
    "y1",
    "客户",
    "'",
    "~",
    ": ",
    " 00:1a:2b:3c:4d:5e",
    ".x",
];

fn spelled(address: Ipv6Addr, how: u8) -> String {
    let groups = address.segments();
    let of = |format: &dyn Fn(&u16) -> String| groups.iter().map(format).collect::<Vec<_>>().join(":");
    match how {
        0 => address.to_string(),
        1 => of(&|group| format!("{group:x}")),
        2 => of(&|group| format!("{group:04x}")),
        3 => of(&|group| format!("{group:04X}")),
        4 => address.to_string().to_uppercase(),
        5 => address.to_string().replace(':', "%3A"),
        6 => of(&|group| format!("{group:x}")).replace(':', "%3a"),
        _ => of(&|group| format!("{group:x}")).replace(':', "%253A"),
    }
}

/// Addresses as they are given to people, with groups of zeros at some places.
fn v6_address() -> impl Strategy<Value = Ipv6Addr> {
    let first = prop_oneof![0x2000..0x4000_u16, 0xfc00..0xfe00_u16, Just(0xfe80)];
    let group = prop_oneof![3 => any::<u16>(), 2 => Just(0), 1 => 0..256_u16];
    (first, prop::collection::vec(group, 6), 1..=u16::MAX).prop_map(|(first, groups, last)| {
        let mut all = [first, 0, 0, 0, 0, 0, 0, last];
        all[1..7].copy_from_slice(&groups);
        Ipv6Addr::from(all)
    })
}

proptest! {
    #[test]
    fn an_ipv6_address_is_found_wherever_it_stands(
        address in v6_address(),
        how in 0..8_u8,
        before in prop::sample::select(BEFORE),
        behind in prop::sample::select(BEHIND),
    ) {
        let text = format!("{before}{}{behind}", spelled(address, how));
        let [a, b, c, ..] = address.segments();
        let network = Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string();
        let colon = ["%3A", "%3a", "%253A"].get(usize::from(how).wrapping_sub(5)).unwrap_or(&":");
        let before = masked(before);
        let expected = format!("{before}{}", network.replace(':', colon));
        let found = masked(&text);
        prop_assert!(found.starts_with(&expected), "{} became {}, not {}…", text, found, expected);
        // of what stands behind it, digits may go with its last group
        let rest = &found[expected.len()..];
        prop_assert!(behind.ends_with(rest), "{} became {}", text, found);
        prop_assert_eq!(&masked(&found), &found);
    }

    #[test]
    fn an_ipv4_address_is_found_wherever_it_stands(
        address in any::<[u8; 4]>(),
        dot in prop::sample::select(&[".", "%2E", "%2e", "%252E"]),
        // behind it, five numbers are none
        before in prop::sample::select(BEFORE.iter().copied().filter(|before| *before != "v1.").collect::<Vec<_>>()),
        behind in prop::sample::select(BEHIND),
    ) {
        let [a, b, c, _] = address;
        let written = Ipv4Addr::from(address).to_string().replace('.', dot);
        let expected = Ipv4Addr::new(a, b, c, 0).to_string().replace('.', dot);
        let found = masked(&format!("{before}{written}{behind}")).into_owned();
        prop_assert_eq!(&found, &format!("{}{expected}{behind}", masked(before)));
        prop_assert_eq!(&masked(&found), &found);
    }

    #[test]
    fn an_ipv4_address_within_an_ipv6_address_is_found(
        address in any::<[u8; 4]>(),
        prefix in prop::sample::select(&["::ffff:", "::FFFF:", "0:0:0:0:0:ffff:", "0000:0000:0000:0000:0000:ffff:"]),
        in_hex in any::<bool>(),
        before in prop::sample::select(&["", " ", "ip=", "[", "\"", "%20", "(", "v1.", "_"]),
        behind in prop::sample::select(&["", " ", "]:80", "\"", "%26", "_", "%eth0", "/96"]),
    ) {
        let [a, b, c, d] = address;
        let written = match in_hex {
            true => format!("{prefix}{a:02x}{b:02x}:{c:02x}{d:02x}"),
            false => format!("{prefix}{a}.{b}.{c}.{d}"),
        };
        let found = masked(&format!("{before}{written}{behind}")).into_owned();
        // what is masked as an IPv4 address already may stay as it was written
        let long = format!("{before}{prefix}{a}.{b}.{c}.0{behind}");
        prop_assert!(found == format!("{before}::ffff:{a}.{b}.{c}.0{behind}") || found == long, "{} became {}", written, found);
    }

    /// Whatever the text, nothing fails, and what was masked once stays.
    #[test]
    fn any_text_is_masked_once_and_for_all(text in "[0-9a-f:.%ég3A25_ ]{0,40}") {
        let once = masked(&text).into_owned();
        prop_assert_eq!(masked(&once), once.clone(), "{}", text);
    }
}
