//! A server behind TLS, with one of the certificates that lie in `tests/it/tls/`. The key beside them is of no other
//! use.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The file of a certificate: `good`, `expired`, `future` (all for localhost) or `other` (for another name).
pub(crate) fn certificate(name: &str) -> PathBuf {
    folder().join(format!("{name}.pem"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/tls")
}

/// Starts a server that answers every request with an empty page; its address, by name.
pub(crate) fn serve(name: &str) -> String {
    let certificate = CertificateDer::from_pem_file(certificate(name)).unwrap();
    let key = std::fs::read(folder().join("key.der")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key).unwrap())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            thread::spawn(move || answer(StreamOwned::new(connection, socket)));
        }
    });
    format!("https://localhost:{port}")
}

/// Answers until the other side hangs up.
fn answer(mut socket: impl Read + Write) {
    let page = br#"{"data":[],"cursor":null}"#;
    let mut head = Vec::new();
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = socket.read(&mut bytes) {
        head.extend_from_slice(&bytes[..count]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            let begin = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", page.len());
            if socket.write_all(&[begin.as_bytes(), page].concat()).is_err() {
                return;
            }
        }
    }
}
