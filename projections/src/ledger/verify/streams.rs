//! What takes the other entries of a stream to check: sequences without a gap, `prev`, and time.
//!
//! A ledger has more streams than memory has room for, and one stream may have more entries. So each
//! entry leaves a short record, which is sorted by stream outside memory (see [`spill`]), and at the
//! end the records are walked stream by stream.

mod names;
mod spill;

use std::io;

use sha2::{Digest, Sha256};

use super::Problem;
use super::finding::{Finding, Findings};
use crate::ledger::leaf::Leaf;
use crate::ledger::tree::Hash;
use names::Names;
use spill::{Record, Spill};

#[derive(Debug)]
pub(super) struct Streams {
    from_the_start: bool,
    records: Spill,
    names: Names,
}

impl Streams {
    /// Unless it is from the start, streams may have had entries before the first that is seen.
    pub(super) fn new(from_the_start: bool) -> Self {
        Self { from_the_start, records: Spill::default(), names: Names::default() }
    }

    pub(super) fn push(&mut self, position: u64, leaf: &Leaf, hash: Hash) -> io::Result<()> {
        let name = self.names.put(leaf)?;
        self.records.push(Record {
            stream: stream_key(leaf),
            sequence: leaf.sequence,
            position,
            leaf: hash,
            prev: leaf.prev,
            recorded_at_us: leaf.recorded_at.timestamp_micros(),
            name,
        })
    }

    /// Walks every stream and answers how many there are.
    pub(super) fn finish(self, findings: &mut Findings) -> io::Result<u64> {
        let Self { from_the_start, records, mut names } = self;
        let mut records = records.sorted()?;
        let (mut streams, mut last) = (0, None::<Record>);
        while let Some(record) = records.next()? {
            let before = last.take().filter(|last| last.stream == record.stream);
            streams += u64::from(before.is_none());
            let problems = match &before {
                Some(before) => follows(before, &record),
                None => [begins(&record, from_the_start), None],
            };
            for problem in problems.into_iter().flatten() {
                if findings.keeps_or_counts(record.position) {
                    let place = names.place(record.name, record.position, record.sequence)?;
                    findings.add(Finding { place, problem });
                }
            }
            // Of two with one sequence the earlier is what the next is compared with.
            let repeated = |before: &Record| before.sequence == record.sequence;
            last = Some(before.filter(repeated).unwrap_or(record));
        }
        Ok(streams)
    }
}

/// What is wrong with an entry of whose stream none before it was seen.
fn begins(record: &Record, from_the_start: bool) -> Option<Problem> {
    match record.sequence {
        0 => Some(Problem::SequenceZero),
        1 => record.prev.map(|_| Problem::PrevOfFirst),
        _ if from_the_start => Some(Problem::SequenceMissing { from: 1 }),
        _ if record.prev.is_none() => Some(Problem::PrevMissing),
        _ => None,
    }
}

/// What is wrong with an entry, given the one before it in its stream: its place, and its time.
fn follows(before: &Record, record: &Record) -> [Option<Problem>; 2] {
    if record.sequence == before.sequence {
        return [Some(Problem::SequenceRepeated { other: before.position }), None];
    }
    let earlier = record.recorded_at_us < before.recorded_at_us;
    let before_position = before.position;
    let place = if record.sequence - before.sequence > 1 {
        Some(Problem::SequenceMissing { from: before.sequence + 1 })
    } else if record.prev.is_none() {
        Some(Problem::PrevMissing)
    } else if record.prev != Some(before.leaf) {
        Some(Problem::Prev { before: before_position })
    } else if record.position < before_position {
        Some(Problem::OutOfOrder { before: before_position })
    } else {
        None
    };
    [place, earlier.then_some(Problem::RecordedEarlier { before: before_position })]
}

/// A stream in so few bytes that nobody finds two with the same.
fn stream_key(leaf: &Leaf) -> [u8; 16] {
    let digest = Sha256::new()
        .chain_update(leaf.stream_type.len().to_be_bytes())
        .chain_update(&leaf.stream_type)
        .chain_update(&leaf.stream_id)
        .finalize();
    let mut key = [0; 16];
    key.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    key
}
