//! The Export API itself, in process: seeded contents, limits and faults over real HTTP on 127.0.0.1.
//!
//! It knows nothing of the exporter. Contents depend on the settings alone: the same [`Options`] give the same
//! archive, record by record, and a record is kept as a few integers and rendered when it is asked for, so
//! that a million conversations are at hand within a second. What the vendor leaves open can be chosen.
//!
//! ```no_run
//! use converse_export_simulator::{Endpoint, Options, Simulator};
//!
//! # async fn run() -> std::io::Result<()> {
//! let simulator = Simulator::start(Options { conversations: 100_000, ..Options::default() }).await?;
//! let address = simulator.base_url();
//! // … ask for pages there, with the header `x-api-key: demo-key` …
//! assert_eq!(simulator.archive().conversations("r3-218210").count(), 100_000);
//! assert!(simulator.stats(Endpoint::Conversations).most_in_one_second <= 3);
//! simulator.stop().await;
//! # Ok(())
//! # }
//! ```

mod archive;
mod bot;
mod choices;
mod clock;
mod connection;
mod cursor;
mod fault;
pub mod gcs;
mod growth;
mod id;
mod insertion;
mod limit;
mod options;
mod page;
mod random;
mod render;
mod request;
mod restriction;
mod select;
mod server;
mod stats;
mod tables;
#[cfg(test)]
mod tests;
mod text;
mod token;
mod traffic;
mod vocabulary;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

pub use archive::{Archive, Truth};
pub use choices::{
    Compression, Counting, CursorKind, CursorLife, Endpoint, Filter, Growth, Injected, Latency,
    MessageFilter, Order, RetryAfter, TimeFormat, Traffic,
};
pub use clock::Clock;
pub use fault::{Fault, Faults};
pub use insertion::Import;
pub use options::Options;
pub use restriction::{PageAnswer, PageMeasure, PageRefusal, RangeCap, Rounding};
pub use stats::{RequestLog, Stats};

/// A running simulator. It has threads of its own, as a server elsewhere would, and stops when it is dropped.
pub struct Simulator {
    app: Arc<server::App>,
    base_url: String,
    runtime: Option<Runtime>,
}

impl Simulator {
    /// Makes the archive and listens on 127.0.0.1. Fails where the settings contradict themselves or the port
    /// is taken.
    pub async fn start(options: Options) -> io::Result<Self> {
        options.check()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        listener.set_nonblocking(true)?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let app = tokio::task::spawn_blocking(|| server::App::new(options))
            .await
            .map_err(io::Error::other)?;
        let app = Arc::new(app);
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let door = {
            let _in_runtime = runtime.enter();
            connection::Door(tokio::net::TcpListener::from_std(listener)?)
        };
        let router = Arc::clone(&app)
            .router()
            .into_make_service_with_connect_info::<connection::Cut>();
        runtime.spawn(async move { axum::serve(door, router).await });
        Ok(Self {
            app,
            base_url,
            runtime: Some(runtime),
        })
    }

    /// `http://127.0.0.1:` and the port, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// What an endpoint has been asked so far.
    #[must_use]
    pub fn stats(&self, endpoint: Endpoint) -> Stats {
        self.app.stats(endpoint)
    }

    /// What there is to be exported.
    #[must_use]
    pub fn archive(&self) -> Arc<Archive> {
        Arc::clone(&self.app.archive)
    }

    /// Stops listening and closes all connections, those with a request in flight too.
    pub async fn stop(mut self) {
        if let Some(runtime) = self.runtime.take() {
            let stopped = move || runtime.shutdown_timeout(Duration::from_secs(5));
            // The only error is a panic there, and it leaves nothing to clean up.
            let _ = tokio::task::spawn_blocking(stopped).await;
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs a simulator until `stopped` is ready; `started` is told of it once it can be asked.
pub async fn serve(
    options: Options,
    started: impl FnOnce(&Simulator),
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    let simulator = Simulator::start(options).await?;
    started(&simulator);
    stopped.await;
    simulator.stop().await;
    Ok(())
}
