use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::store::{Written, names, remove_unfinished};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn invariant_7_pages_and_quarantine_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path());
    let own = folder.path().join("_export");
    for private in PRIVATE {
        let key = format!("_export/{private}/deep/object");
        store.put(&key, Bytes::from_static(b"x")).unwrap();
        let Written::Done(version) = store.put_new(&format!("{key}-new"), Bytes::new()).unwrap() else {
            panic!("it is new");
        };
        let _ = store
            .replace(&format!("{key}-new"), Bytes::new(), &version)
            .unwrap();
        for path in [own.join(private), own.join(private).join("deep")] {
            assert_eq!(mode(&path), 0o700, "{}", path.display());
        }
        for name in ["object", "object-new"] {
            assert_eq!(mode(&own.join(private).join("deep").join(name)), 0o600);
        }
    }
    for open in [
        "_export/log/1.json",
        "conversations/pages/part.parquet",
        "_exports/pages/x",
    ] {
        store.put(open, Bytes::new()).unwrap();
        assert_ne!(mode(&folder.path().join(open)), 0o600, "{open}");
    }
    assert_ne!(mode(&own), 0o700);
}

#[test]
fn keys_are_paths() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path());
    store
        .put("bot=a%20b/date=2023-10-01/x", Bytes::from_static(b"1"))
        .unwrap();
    let path = folder.path().join("bot=a%20b").join("date=2023-10-01").join("x");
    assert_eq!(fs::read(path).unwrap(), b"1");
}

#[test]
fn unfinished_files_are_not_listed_and_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path());
    store.put("a/b", Bytes::new()).unwrap();
    // as a crash leaves it
    let unfinished = store
        .unfinished(&folder.path().join("a/b"), |file| file.write_all(b"half"))
        .unwrap();
    let hidden = unfinished.path.clone();
    std::mem::forget(unfinished);
    assert!(hidden.exists());
    let listed: Vec<_> = store
        .list("", None)
        .unwrap()
        .into_iter()
        .map(|entry| entry.key)
        .collect();
    assert_eq!(listed, ["a/b"]);
    remove_unfinished(folder.path()).unwrap();
    assert_eq!(names(&folder.path().join("a")).unwrap(), ["b"]);
    // an error leaves nothing
    let failed = store.overwrite(&folder.path().join("a/c"), |_| {
        Err(io::ErrorKind::StorageFull.into())
    });
    failed.unwrap_err();
    assert_eq!(names(&folder.path().join("a")).unwrap(), ["b"]);
}

#[test]
fn no_two_contents_have_the_same_version() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path());
    let mut versions: Vec<String> = (0..500)
        .map(|n| {
            store
                .put("x", Bytes::from(format!("{n:03}")))
                .unwrap()
                .etag
                .unwrap()
        })
        .collect();
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), 500);
}
