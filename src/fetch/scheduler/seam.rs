//! Where two chains meet in an ordered archive: the proof that nothing fell between them.
//!
//! A chain that was cut reads on until it has whole seconds in common with a chain that began at the cut. The
//! records of those seconds must be the same on both sides.

use super::belief::{Order, Seen};
use super::chain::{Chain, Seam, State};

/// The two sides of a seam differ: records do not come in the order that was believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// Where the next chain after `at` begins: there it may stop. A chain that ended within what `at` has read
/// already is no place to stop.
pub(super) fn boundary(chains: &[Chain], at: usize, order: Order) -> i64 {
    let (begin, reached) = (chains[at].begin(order), chains[at].reached(order));
    let passed = |other: &Chain| other.state == State::Ended && other.reached(order) <= reached;
    chains
        .iter()
        .filter(|other| other.counts() && !other.is_probe && other.begin(order) > begin && !passed(other))
        .map(|other| other.begin(order))
        .fold(order.along(chains[at].covers).end, i64::min)
}

/// Compares what chain `at` read beyond its boundary with what the chains there have read.
pub(super) fn examine(chains: &[Chain], at: usize, order: Order) -> Result<Seam, Broken> {
    let (chain, boundary) = (&chains[at], boundary(chains, at, order));
    let (Some(from), until) = (chain.tail_from(order), chain.reached(order)) else {
        return Ok(Seam::Open);
    };
    let from = from.max(boundary);
    let mut waiting = false;
    for (index, other) in chains
        .iter()
        .enumerate()
        .filter(|(index, other)| *index != at && other.counts() && !other.is_probe)
    {
        let begin = other.begin(order);
        if begin <= chain.begin(order) || begin >= until {
            continue;
        }
        let (from, end) = (from.max(begin), until.min(order.along(other.covers).end));
        let to = end.min(other.head_reached(order));
        let (mine, theirs) = (
            ids(&chain.tail, order, from, to),
            ids(&other.head, order, from, to),
        );
        if mine != theirs {
            return Err(Broken);
        }
        if !mine.is_empty() {
            return Ok(Seam::Joined(index));
        }
        let stands = other.seam != Seam::Open;
        waiting |=
            to < end && other.head_grows() && !stands && !ids(&chain.tail, order, from, end).is_empty();
    }
    Ok(if waiting { Seam::Waiting } else { Seam::Open })
}

fn ids(seen: &[Seen], order: Order, from: i64, to: i64) -> Vec<u64> {
    let within = |seen: &&Seen| order.of(seen).is_some_and(|at| from <= at && at < to);
    let mut ids: Vec<u64> = seen.iter().filter(within).map(|seen| seen.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
