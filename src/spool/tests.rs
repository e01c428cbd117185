use std::fs;

use super::format::encode;
use super::*;

fn header() -> PageHeader {
    PageHeader {
        sequence: 0,
        dataset: "messages".into(),
        bot: "r3-218210".into(),
        run: "one".into(),
        chain: 4,
        index: 2,
        covers: Window::new(2, 9),
        requested: Window::new(1, 9),
        range: Window::new(2, 8),
        per_page: 1000,
        cursor: Some("ä\"".into()),
        conversation: None,
        erased: 0,
        requested_at: "2026-01-01T00:00:00Z".parse().unwrap(),
    }
}

#[test]
fn a_page_comes_back_as_it_was_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&folder.path().join("pages")).unwrap();
    spool.begin_at(7);
    let kept = spool.append(header(), b"{\"data\": []}").unwrap();
    assert_eq!(kept.sequence, 7);
    let spool = Spool::open(&folder.path().join("pages")).unwrap();
    assert_eq!(spool.next_sequence(), 8);
    assert_eq!(spool.list().unwrap(), (vec![kept], vec![]));
    assert_eq!(spool.read(7).unwrap(), &b"{\"data\": []}"[..]);
    spool.remove([7, 8]).unwrap();
    assert_eq!(spool.list().unwrap(), (vec![], vec![]));
    assert!(spool.read(7).is_err(), "a page that was removed is read");
}

#[test]
fn a_page_torn_at_any_byte_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&folder.path().join("pages")).unwrap();
    spool
        .append(header(), b"{\"data\": [1, 2, 3], \"cursor\": null}")
        .unwrap();
    let spool = Spool::open(&folder.path().join("pages")).unwrap();
    let path = spool.path(0);
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(matches!(spool.read(0), Err(Error::Damaged { .. })), "{length}");
    }
    for place in 0..whole.len() {
        let mut bent = whole.clone();
        bent[place] ^= 0x20;
        fs::write(&path, &bent).unwrap();
        if let Ok(body) = spool.read(0) {
            panic!(
                "a bent byte {place} was read as {:?}",
                String::from_utf8_lossy(&body)
            );
        }
    }
}

#[test]
fn kept_pages_are_pages_still_and_their_numbers_are_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&folder.path().join("pages")).unwrap();
    let page = spool.append(header(), b"{}").unwrap();
    for _ in 0..2 {
        spool.retain([0, 1]).unwrap();
        assert_eq!(spool.list().unwrap(), (vec![], vec![]));
        assert_eq!(spool.list_retained().unwrap(), (vec![page.clone()], vec![]));
        assert_eq!(spool.read_retained(0).unwrap(), &b"{}"[..]);
    }
    let spool = Spool::open(&folder.path().join("pages")).unwrap();
    assert_eq!(spool.next_sequence(), 1);
}

#[test]
fn other_tools_read_the_body() {
    let content = encode(&header(), b"body").unwrap();
    assert_eq!(zstd::decode_all(&content[..]).unwrap(), b"body");
}
