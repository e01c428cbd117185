//! The command line: flags to options, progress and errors to the terminal, outcomes to exit codes.

mod args;
mod completions;
mod config;
mod config_file;
mod demo;
mod doctor;
mod erase;
mod export;
mod hints;
mod ids;
mod keys;
mod log;
mod man;
mod output;
mod plan;
mod preview;
mod progress_bars;
mod progress_line;
mod rebuild;
mod report;
mod report_page;
mod schema;
mod simulate;
mod status;
mod suggest;
mod summary;
mod sync;
mod terminal;
mod text_table;
mod usage;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::FromArgMatches;

use crate::error::{Error, Severity};
use crate::fetch::CancellationToken;
use args::{Cli, Command};
use config_file::ConfigFile;

/// Blocking threads: one builds partitions, two spool pages. Each thread keeps allocator memory of its own.
const BLOCKING_THREADS: usize = 3;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (cli, config) = match parse(&arguments) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    log::init(&cli.output);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            output::error(&Error::Internal(format!(
                "cannot start the async runtime: {error}"
            )));
            return ExitCode::FAILURE;
        }
    };
    let stop = runtime.block_on(async {
        report_large_files();
        listen()
    });
    let done = runtime.block_on(async {
        match &cli.command {
            Command::Export(args) => export::run(args, &cli.output, stop.clone()).await,
            Command::Sync(args) => sync::run(args, &cli.output, stop.clone()).await,
            Command::Plan(args) => plan::run(args, &cli.output).await,
            Command::Preview(args) => preview::run(args, &cli.output).await,
            Command::Doctor(args) => doctor::run(args, &cli.output).await,
            Command::Verify(args) => verify::run(args, &cli.output, stop.clone()).await,
            Command::Status(args) => status::run(args, &cli.output),
            Command::Schema(args) => schema::run(args, &cli.output),
            Command::Keys(args) => keys::run(args, &cli.output).await,
            Command::Report(args) => report::run(args, &cli.output).await,
            Command::Erase(args) => erase::run(args, &cli.output).await,
            Command::Rebuild(args) => rebuild::run(args, &cli.output, stop.clone()).await,
            Command::Demo(args) => demo::run(args, &cli.output, stop.clone()).await,
            Command::Config(args) => config::run(args, &cli.output, config.as_ref()),
            Command::Completions(args) => completions::run(args),
            Command::Man(args) => man::run(args),
            Command::Simulate(args) => simulate::run(args, stop.clone()).await,
        }
    });
    match done {
        Ok(code) => code.into(),
        Err(error) => {
            output::error(&error);
            exit_code(&error).into()
        }
    }
}

/// Reads the command line and the config file. Prints the error and returns the exit code where one of them is wrong.
fn parse(arguments: &[OsString]) -> Result<(Cli, Option<ConfigFile>), ExitCode> {
    log::set_format(usage::log_format(arguments));
    let report = |error: &Error| {
        output::error(error);
        exit_code(error).into()
    };
    let found = ConfigFile::find(arguments);
    let config = found.as_ref().ok().and_then(Option::as_ref);
    let is_brief = arguments.first().is_none_or(|argument| argument == "-h");
    let mut command = if is_brief { args::brief() } else { args::command() };
    if let Some(config) = config {
        command = config.apply(command);
    }
    let line = std::iter::once(OsString::from("converse-export")).chain(arguments.iter().cloned());
    let parsed = command
        .try_get_matches_from(line)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    match (parsed, found) {
        // help is printed even if the config file is wrong
        (Err(help), _) if !help.use_stderr() => {
            let _ = help.print();
            Err(ExitCode::SUCCESS)
        }
        (_, Err(error)) => Err(report(&error)),
        // without arguments, print the help as an error of usage
        (Err(help), _) if arguments.is_empty() && !log::is_json() => {
            let _ = help.print();
            Err(ExitCode::from(2))
        }
        (Err(error), Ok(config)) => {
            let error = usage::error(&error, arguments, config.as_ref());
            Err(error.as_ref().map_or(ExitCode::SUCCESS, report))
        }
        (Ok(cli), Ok(config)) => Ok((cli, config)),
    }
}

/// Returns the exit code of an error.
fn exit_code(error: &Error) -> u8 {
    match error.severity() {
        Severity::Failed => 1,
        Severity::Usage => 2,
        Severity::Incomplete => 3,
        Severity::Interrupted => interrupted_code(),
    }
}

static TERMINATED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

fn interrupted_code() -> u8 {
    if TERMINATED.load(std::sync::atomic::Ordering::Relaxed) {
        143
    } else {
        130
    }
}

/// Cancels the returned token on Ctrl-C or SIGTERM. The second signal ends the process at once, which loses only the
/// requests in flight.
fn listen() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move { cancel_on_signals(&cancelled).await });
    token
}

/// Makes a write beyond the limit on the size of files (`ulimit -f`) fail with an error. Without a handler of SIGXFSZ the
/// system ends the process without a message.
#[cfg(unix)]
fn report_large_files() {
    use tokio::signal::unix::{SignalKind, signal};
    // the handler stays when this is dropped; a failure only costs the message
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
}

#[cfg(not(unix))]
fn report_large_files() {}

/// A cancelled run gets this long to end by itself.
const STOP_TIMEOUT: Duration = Duration::from_millis(1900);

#[cfg(unix)]
async fn cancel_on_signals(token: &CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => TERMINATED.store(true, std::sync::atomic::Ordering::Relaxed),
        }
    };
    next().await;
    token.cancel();
    tracing::warn!("stopping; fetched pages are kept. Press Ctrl-C again to stop at once");
    // work that is still running may be cut off as in a crash: the next run recovers it
    let _ = tokio::time::timeout(STOP_TIMEOUT, next()).await;
    std::process::exit(i32::from(interrupted_code()));
}

#[cfg(not(unix))]
async fn cancel_on_signals(token: &CancellationToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        token.cancel();
        let _ = tokio::time::timeout(STOP_TIMEOUT, tokio::signal::ctrl_c()).await;
        std::process::exit(i32::from(interrupted_code()));
    }
}
