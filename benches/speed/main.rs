//! The hot paths beside the least that they could take, in one run: `make bench`. How to read it: benches/README.md.
//!
//! `cargo bench --bench speed [-- NAME…]` measures only the parts with these names. `-- --count NAME TIMES` does one
//! part so often and nothing else, for benches/instructions.py.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    missing_docs
)]

mod beside;
mod corpus;
mod export;

use std::hint::black_box;
use std::io;

use converse_export::internal::{DEFAULT_BASE_URL, decode, file_properties, file_size, peek};
use converse_export::{Dataset, Settings};
use parquet::arrow::ArrowWriter;
use rayon::prelude::*;
use serde::de::IgnoredAny;

use beside::{Run, beside};
use corpus::{Corpus, Day};

// as the binary has
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const CONVERSATIONS: u32 = 20_000;
/// Under valgrind everything takes fifty times as long.
const COUNTED_CONVERSATIONS: u32 = 2_000;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench").peekable();
    if args.next_if_eq("--count").is_some() {
        let (part, times) = (args.next().unwrap(), args.next().unwrap());
        return count(&part, times.parse().unwrap());
    }
    let named: Vec<String> = args.collect();
    let wanted = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    beside::head();
    for dataset in Dataset::ALL {
        let corpus = Corpus::new(CONVERSATIONS, dataset);
        if wanted("decode") {
            reading(&corpus);
        }
        let days = corpus.days();
        if wanted("write") {
            beside(
                &format!("write {dataset}, all cores"),
                corpus.records,
                Run::new("ours", || write_all(&days)),
                &[Run::new("ArrowWriter", || encode_all(&days))],
            );
        }
        if wanted("build") {
            let kept = export::Kept::new(&corpus);
            beside(
                &format!("build {dataset} from kept pages"),
                corpus.records,
                Run::prepared("ours", || kept.copy(), |place| kept.build(place)),
                &[Run::new("ArrowWriter", || encode_all(&days))],
            );
        }
    }
    if wanted("export") {
        let world = export::World::new(CONVERSATIONS);
        beside(
            "export conversations, no limit",
            world.records(),
            Run::prepared("ours", export::empty, |place| world.export(place)),
            &[Run::new("only fetched", || world.fetch())],
        );
    }
}

/// One core takes records apart, or only passes over them, or only moves them.
fn reading(corpus: &Corpus) {
    let bounds = [
        Run::new("serde_json skips", || skip(corpus)),
        Run::new("memcpy", || copy(corpus)),
    ];
    let dataset = corpus.dataset;
    let part = |what: &str| format!("{what} {dataset}, one core");
    beside(
        &part("decode"),
        corpus.records,
        Run::new("ours", || decode_all(corpus)),
        &[&bounds[..], &[Run::new("peek skips", || peek_all(corpus))]].concat(),
    );
    beside(
        &part("peek"),
        corpus.records,
        Run::new("ours", || peek_all(corpus)),
        &bounds,
    );
}

fn count(part: &str, times: u32) {
    let corpus = Corpus::new(COUNTED_CONVERSATIONS, Dataset::Conversations);
    let days = corpus.days();
    for _ in 0..times {
        match part {
            "decode" => decode_all(&corpus),
            "peek" => peek_all(&corpus),
            "skip" => skip(&corpus),
            "write" => write_all(&days),
            "encode" => encode_all(&days),
            "build" => {
                let kept = export::Kept::new(&corpus);
                kept.build(&kept.copy());
            }
            other => panic!("there is no part {other}"),
        }
    }
    println!("{}", corpus.records);
}

fn decode_all(corpus: &Corpus) {
    for page in &corpus.pages {
        black_box(decode(corpus.dataset, black_box(page)).unwrap());
    }
}

fn peek_all(corpus: &Corpus) {
    for page in &corpus.pages {
        black_box(peek(corpus.dataset, black_box(page)).unwrap());
    }
}

fn skip(corpus: &Corpus) {
    for page in &corpus.pages {
        let _: IgnoredAny = black_box(serde_json::from_slice(black_box(page)).unwrap());
    }
}

fn copy(corpus: &Corpus) {
    for page in &corpus.pages {
        black_box(black_box(page).to_vec());
    }
}

/// Files made of days' rows, checksums and all, but written nowhere.
fn write_all(days: &[Day]) {
    let settings = Settings::new(DEFAULT_BASE_URL, "UTC");
    days.par_iter().for_each(|day| {
        black_box(file_size(&day.key, &settings, &day.rows).unwrap());
    });
}

/// The same files by the library's own writer.
fn encode_all(days: &[Day]) {
    let settings = Settings::new(DEFAULT_BASE_URL, "UTC");
    days.par_iter().for_each(|day| {
        let properties = file_properties(&day.key, &settings).unwrap();
        let mut writer = ArrowWriter::try_new(io::sink(), day.rows.schema(), Some(properties)).unwrap();
        writer.write(&day.rows).unwrap();
        black_box(writer.close().unwrap());
    });
}
