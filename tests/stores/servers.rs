//! Servers that a test starts on a free port of 127.0.0.1, and that end with it.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use converse_export::store::{Location, Store, StoreOptions, open};
use tempfile::TempDir;

pub(crate) const BUCKET: &str = "lake";
/// The account and the key of every emulator of Azure, which are public.
const AZURE_ACCOUNT: &str = "devstoreaccount1";

/// A running server, or several ports of one.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    folder: TempDir,
}

impl Server {
    /// Starts a program. It is killed by its process id when this is dropped, and also if the test dies: then the pipe
    /// closes that the shell reads.
    fn start(program: &Path, port: u16, arguments: &[String], folder: TempDir) -> Self {
        assert!(
            program.exists(),
            "{} is missing: run `make venv` for moto, or `make stores` for all servers",
            program.display()
        );
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new("sh")
            .args([
                "-c",
                "\"$@\" & server=$!; cat >/dev/null; kill -9 $server; wait $server",
                "guard",
            ])
            .arg(program)
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, port, folder }
    }

    /// Tries until it works, for at most 90 s.
    fn until<T>(&self, what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(90);
        while Instant::now() < end {
            if let Some(done) = attempt() {
                return done;
            }
            thread::sleep(Duration::from_millis(200));
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("the server is not ready: {what}\n{log}");
    }

    /// moto, an S3 of Python.
    pub(crate) fn moto() -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let arguments = ["-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
        let server = Self::start(&tool("moto_server"), port, &arguments, folder);
        server.create_bucket();
        server
    }

    /// SeaweedFS, with everything that it needs in one process.
    pub(crate) fn seaweed() -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let config = folder.path().join("s3.json");
        let identities = serde_json::json!({"identities": [
            {"name": "anonymous", "actions": ["Admin"]},
            {"name": "test", "credentials": [{"accessKey": "test", "secretKey": "test"}],
             "actions": ["Admin", "Read", "Write", "List", "Tagging"]},
        ]});
        std::fs::write(&config, identities.to_string()).unwrap();
        let arguments = [
            "-logtostderr".to_owned(),
            "server".to_owned(),
            format!("-dir={}", folder.path().display()),
            "-ip=127.0.0.1".to_owned(),
            "-ip.bind=127.0.0.1".to_owned(),
            "-master.telemetry=false".to_owned(),
            format!("-master.port={}", free_port_pair()),
            format!("-volume.port={}", free_port_pair()),
            format!("-filer.port={}", free_port_pair()),
            "-s3".to_owned(),
            format!("-s3.port={port}"),
            format!("-s3.config={}", config.display()),
            "-s3.port.lance=0".to_owned(),
            "-s3.port.iceberg=0".to_owned(),
            "-master.volumeSizeLimitMB=1024".to_owned(),
            "-volume.max=100".to_owned(),
        ];
        let server = Self::start(&tool("weed"), port, &arguments, folder);
        server.create_bucket();
        server
    }

    /// azurite, the emulator of Azure Blob Storage.
    pub(crate) fn azurite() -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let port_text = port.to_string();
        let arguments = [
            "--inMemoryPersistence",
            "--skipApiVersionCheck",
            "--disableTelemetry",
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            &port_text,
        ];
        let server = Self::start(&tool("azurite-blob"), port, &arguments.map(str::to_owned), folder);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/container.py");
        server.until("container", || {
            let mut command = Command::new("python3");
            let command = command
                .arg(&script)
                .args([&port_text, BUCKET])
                .stderr(Stdio::null());
            command.status().unwrap().success().then_some(())
        });
        server
    }

    fn create_bucket(&self) {
        self.until("bucket", || {
            let answer = request(self.port, "PUT", &format!("/{BUCKET}")).ok()?;
            answer.starts_with("HTTP/1.1 200").then_some(())
        });
        // SeaweedFS answers before it can store anything
        let store = || s3(self.port, "").put("ready", Bytes::from_static(b"ready")).ok();
        self.until("first object", store);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A store on a server with the API of S3.
pub(crate) fn s3(port: u16, prefix: &str) -> Arc<dyn Store> {
    let location = Location::parse(&format!("s3://{BUCKET}/{prefix}")).unwrap();
    open(&location, &s3_options(port)).unwrap()
}

pub(crate) fn s3_options(port: u16) -> StoreOptions {
    environment(&[
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{port}")),
        ("AWS_ALLOW_HTTP", "true"),
    ])
}

/// A store on azurite.
pub(crate) fn azure(port: u16, prefix: &str) -> Arc<dyn Store> {
    let location = Location::parse(&format!("az://{BUCKET}/{prefix}")).unwrap();
    let options = environment(&[
        ("AZURE_STORAGE_ACCOUNT_NAME", AZURE_ACCOUNT),
        (
            "AZURE_STORAGE_ACCOUNT_KEY",
            "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        ),
        (
            "AZURE_STORAGE_ENDPOINT",
            &format!("http://127.0.0.1:{port}/{AZURE_ACCOUNT}"),
        ),
        ("AZURE_ALLOW_HTTP", "true"),
    ]);
    open(&location, &options).unwrap()
}

/// Options as if these were all variables of the environment.
pub(crate) fn environment(variables: &[(&str, &str)]) -> StoreOptions {
    StoreOptions::new(
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

/// A request without a body; the head and the body of the answer.
fn request(port: u16, method: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A port for SeaweedFS, which uses the port 10,000 above it, too.
fn free_port_pair() -> u16 {
    (0..1_000)
        .map(|_| free_port())
        .find(|port| *port < 55_000 && TcpListener::bind((Ipv4Addr::LOCALHOST, port + 10_000)).is_ok())
        .expect("two free ports")
}

/// Where `make stores` and `make venv` install the servers.
fn tool(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let given = std::env::var_os("CONVERSE_EXPORT_TEST_STORES").map(PathBuf::from);
    let stores = given.unwrap_or_else(|| root.join("target/stores"));
    let places = [
        stores.join("venv/bin"),
        stores.join("node_modules/.bin"),
        root.join(".venv/bin"),
    ];
    let tools = places.map(|place| place.join(name));
    tools
        .iter()
        .find(|tool| tool.exists())
        .unwrap_or(&tools[2])
        .clone()
}
