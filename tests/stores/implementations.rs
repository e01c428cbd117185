//! The suite, on every implementation; on servers also with faults between the client and the server.

use std::sync::Arc;

use converse_export::store::{LocalStore, Location, RemoteStore, Store, open};
use converse_export_simulator::gcs::Gcs;

use crate::proxy::{Faults, Proxy};
use crate::servers::{BUCKET, Server, azure, environment, s3};
use crate::suite;

/// A prefix that must not be decoded.
const PREFIX: &str = "lakes/a%20b c";

#[test]
fn local_disk() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::parse(&format!("file://{}/deep/lake", folder.path().display())).unwrap();
    let store = open(&location, &environment(&[])).unwrap();
    suite::run(&store, "suite");
    // below the table's own folder, where some folders are private
    let store: Arc<dyn Store> = Arc::new(LocalStore::new(&folder.path().join("other")));
    suite::run(&store, "_export/pages");
}

#[test]
fn memory() {
    let inner = Arc::new(object_store::memory::InMemory::new());
    for prefix in ["", PREFIX] {
        let store: Arc<dyn Store> = Arc::new(RemoteStore::new(inner.clone(), prefix, "memory:"));
        suite::run(&store, &format!("suite-{}", prefix.len()));
    }
}

#[test]
fn google_stub() {
    let gcs = Gcs::start(&[BUCKET]).unwrap();
    suite::run(&google(&gcs, &gcs.service_account_key()), "suite");
    with_faults(port(gcs.base_url()), |port| {
        let key = gcs
            .service_account_key()
            .replace(gcs.base_url(), &format!("http://127.0.0.1:{port}"));
        google(&gcs, &key)
    });
}

#[test]
fn moto() {
    let server = Server::moto();
    suite::run(&s3(server.port, PREFIX), "suite");
    with_faults(server.port, |port| s3(port, PREFIX));
}

#[test]
#[ignore = "needs SeaweedFS: make stores"]
fn seaweed() {
    let server = Server::seaweed();
    suite::run(&s3(server.port, PREFIX), "suite");
    with_faults(server.port, |port| s3(port, PREFIX));
}

#[test]
#[ignore = "needs azurite: make stores"]
fn azurite() {
    let server = Server::azurite();
    suite::run(&azure(server.port, PREFIX), "suite");
    with_faults(server.port, |port| azure(port, PREFIX));
}

fn google(gcs: &Gcs, key: &str) -> Arc<dyn Store> {
    let location = Location::parse(&format!("gs://{BUCKET}/{PREFIX}")).unwrap();
    let options = environment(&[]).with("google_service_account_key", key);
    open(&location, &options).unwrap_or_else(|error| panic!("{error} at {}", gcs.base_url()))
}

fn port(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().parse().unwrap()
}

/// Runs the suite through a proxy that loses answers, refuses requests and cuts answers off.
fn with_faults(server: u16, store: impl Fn(u16) -> Arc<dyn Store>) {
    let faults = Faults {
        refused: 0.03,
        dropped: 0.03,
        lost: 0.05,
        lost_with_503: 0.03,
        conflict: 0.15,
        cut: 0.02,
    };
    let proxy = Proxy::start(server, faults, 7);
    suite::run(&store(proxy.port()), "with-faults");
    let injected = proxy.injected();
    println!("faults: {injected:?}");
    assert!(injected.iter().all(|(_, number)| *number > 0), "{injected:?}");
}
