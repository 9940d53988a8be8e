//! Whether a ledger is what it claims to be: one engine for every place that entries are read from.
//!
//! Entries are pushed in the order of their positions. What one entry shows by itself is checked at
//! once; what takes the other entries of its stream is checked at the end. What was found is named by
//! position and field, and nothing stops at the first of it.
//!
//! Memory does not grow with the ledger: see `streams.rs`.

mod about;
mod event;
pub mod finding;
mod problem;
mod report;
pub mod stored;
mod streams;
#[cfg(test)]
mod tests;

use std::io;

use sha2::{Digest, Sha256};

pub(crate) use about::user_of;
pub use event::FoundEvent;
pub use finding::{FINDINGS_MAX, Finding, Place};
pub use problem::Problem;

use super::leaf::Leaf;
use super::tree::{Frontier, Hash, leaf_hash};
use finding::Findings;
pub use report::{Report, Source};
use streams::Streams;

/// An entry as a source has it, of which nothing is believed.
#[derive(Clone, Copy, Debug)]
pub struct FoundEntry<'a> {
    /// The leaf's bytes, as they are stored.
    pub leaf: &'a [u8],
    /// What stands beside the leaf, where the source has it.
    pub beside: Option<Beside<'a>>,
    /// The event that the entry is of.
    pub content: FoundContent<'a>,
}

/// What a database keeps beside a leaf, to find it by.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// The kind of the entry's stream.
    pub stream_type: &'a str,
    /// Which stream of that kind.
    pub stream_id: &'a str,
    /// The place in the stream.
    pub sequence: u64,
    /// The leaf's hash in base64.
    pub leaf_hash: &'a str,
}

/// Where the payload and the metadata of an entry come from.
#[derive(Clone, Copy, Debug)]
pub enum FoundContent<'a> {
    /// In the very spelling that was digested.
    Canonical {
        /// The payload.
        payload: &'a [u8],
        /// The metadata.
        metadata: &'a [u8],
    },
    /// An event with columns of its own, in any spelling.
    Event(FoundEvent<'a>),
    /// There is no such event.
    Missing,
}

/// A verification under way.
#[derive(Debug)]
pub struct Verification {
    frontier: Frontier,
    next: u64,
    streams: Streams,
    findings: Findings,
}

/// What came out of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The tree of all entries that were pushed, with those before them.
    pub frontier: Frontier,
    /// How many streams had entries.
    pub streams: u64,
    /// The first findings, in the order of their positions: after those of the whole ledger, and before
    /// those of events that have no position.
    pub findings: Vec<Finding>,
    /// How many there are in all.
    pub findings_total: u64,
}

impl Default for Verification {
    /// From the first entry on.
    fn default() -> Self {
        Self::after(Frontier::default())
    }
}

impl Verification {
    /// From the entry on that comes after these. Where a stream began before them, its first entry
    /// cannot be compared with the one before.
    #[must_use]
    pub fn after(frontier: Frontier) -> Self {
        let (next, streams) = (frontier.size(), Streams::new(frontier.size() == 0));
        Self { frontier, next, streams, findings: Findings::default() }
    }

    /// The tree so far. It is that of the ledger only as long as no position was missing.
    #[must_use]
    pub const fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Takes in the next entry and answers its leaf's hash.
    ///
    /// # Errors
    /// A temporary file could not be written, or there are more entries than a ledger can have.
    pub fn push(&mut self, position: u64, entry: &FoundEntry<'_>) -> io::Result<Hash> {
        self.check_position(position);
        let hash = leaf_hash(entry.leaf);
        self.frontier.push(hash).map_err(io::Error::other)?;
        if let Some(leaf) = self.check_alone(position, entry, hash) {
            self.streams.push(position, &leaf, hash)?;
        }
        Ok(hash)
    }

    /// Checks what an entry shows by itself; its leaf, if it has one.
    fn check_alone(&mut self, position: u64, entry: &FoundEntry<'_>, hash: Hash) -> Option<Leaf> {
        match Leaf::parse(entry.leaf) {
            Ok(leaf) => {
                self.check_entry(position, entry, &leaf, hash);
                Some(leaf)
            }
            Err(error) => {
                let place =
                    entry.beside.map_or_else(|| Place::at(position), |it| Place::beside(position, &it));
                self.report(Finding { place, problem: Problem::NotALeaf(error) });
                None
            }
        }
    }

    /// Takes in something that the source itself has found.
    pub fn report(&mut self, finding: Finding) {
        self.findings.add(finding);
    }

    /// Checks the streams, now that everything was seen.
    ///
    /// # Errors
    /// A temporary file could not be written or read.
    pub fn finish(mut self) -> io::Result<Verified> {
        let streams = self.streams.finish(&mut self.findings)?;
        let (findings, findings_total) = self.findings.into_parts();
        Ok(Verified { frontier: self.frontier, streams, findings, findings_total })
    }

    fn check_position(&mut self, position: u64) {
        if position > self.next {
            let problem = Problem::Missing { until: position };
            self.report(Finding { place: Place::at(self.next), problem });
        } else if position < self.next {
            self.report(Finding { place: Place::at(position), problem: Problem::Repeated });
        }
        self.next = self.next.max(position.saturating_add(1));
    }

    fn check_entry(&mut self, position: u64, entry: &FoundEntry<'_>, leaf: &Leaf, hash: Hash) {
        let findings = &mut self.findings;
        let mut report = |problem| findings.add(Finding { place: Place::of(position, leaf), problem });
        if let Some(beside) = &entry.beside {
            check_beside(beside, leaf, hash, &mut report);
        }
        match &entry.content {
            FoundContent::Canonical { payload, metadata } => {
                for (field, bytes, digest) in
                    [("payload", payload, leaf.payload_sha256), ("metadata", metadata, leaf.metadata_sha256)]
                {
                    if Sha256::digest(bytes).as_slice() != digest.as_bytes() {
                        report(Problem::Altered { field });
                    }
                }
            }
            FoundContent::Event(event) => event.check(leaf, &mut report),
            FoundContent::Missing => report(Problem::NoEvent),
        }
    }
}

fn check_beside(beside: &Beside<'_>, leaf: &Leaf, hash: Hash, report: &mut impl FnMut(Problem)) {
    for (field, same) in [
        ("stream_type", beside.stream_type == leaf.stream_type),
        ("stream_id", beside.stream_id == leaf.stream_id),
        ("sequence", beside.sequence == leaf.sequence),
    ] {
        if !same {
            report(Problem::BesideLeaf { field });
        }
    }
    if Hash::from_base64(beside.leaf_hash) != Ok(hash) {
        report(Problem::LeafHash);
    }
}
