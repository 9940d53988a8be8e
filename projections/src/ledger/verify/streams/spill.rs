//! Sorting more records than memory has room for: full buffers are sorted and written to one
//! temporary file, run after run, and at the end all runs are read side by side.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter};
use std::os::unix::fs::FileExt as _;
use std::vec;

use crate::ledger::tree::Hash;

/// So many records are in memory: some 16 MiB of them.
const RECORDS_IN_MEMORY: usize = 131_072;

/// All runs together read ahead so many bytes, and each of them at least a few records.
const READ_AHEAD_BYTES: usize = 16 << 20;
const READ_AHEAD_RECORDS: usize = 32;

/// What the walk along a stream needs to know of an entry. They sort by their first fields.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Record {
    pub(super) stream: [u8; 16],
    pub(super) sequence: u64,
    pub(super) position: u64,
    pub(super) leaf: Hash,
    pub(super) prev: Option<Hash>,
    pub(super) recorded_at_us: i64,
    /// Where the names of the entry are kept.
    pub(super) name: u64,
}

const RECORD_BYTES: usize = 16 + 8 + 8 + 32 + 1 + 32 + 8 + 8;

impl Record {
    fn write(&self, to: &mut impl io::Write) -> io::Result<()> {
        to.write_all(&self.stream)?;
        to.write_all(&self.sequence.to_le_bytes())?;
        to.write_all(&self.position.to_le_bytes())?;
        to.write_all(self.leaf.as_bytes())?;
        to.write_all(&[u8::from(self.prev.is_some())])?;
        to.write_all(self.prev.as_ref().unwrap_or(&Hash::from_bytes([0; 32])).as_bytes())?;
        to.write_all(&self.recorded_at_us.to_le_bytes())?;
        to.write_all(&self.name.to_le_bytes())
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            stream: take(bytes)?,
            sequence: u64::from_le_bytes(take(bytes)?),
            position: u64::from_le_bytes(take(bytes)?),
            leaf: Hash::from_bytes(take(bytes)?),
            prev: {
                let [there] = take(bytes)?;
                let prev = Hash::from_bytes(take(bytes)?);
                (there != 0).then_some(prev)
            },
            recorded_at_us: i64::from_le_bytes(take(bytes)?),
            name: u64::from_le_bytes(take(bytes)?),
        })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

/// Records on their way to be sorted.
#[derive(Debug)]
pub(super) struct Spill {
    buffer: Vec<Record>,
    in_memory: usize,
    file: Option<File>,
    /// The number of records in each run.
    runs: Vec<usize>,
}

impl Default for Spill {
    fn default() -> Self {
        Self::with_room_for(RECORDS_IN_MEMORY)
    }
}

impl Spill {
    pub(super) const fn with_room_for(in_memory: usize) -> Self {
        Self { buffer: Vec::new(), in_memory, file: None, runs: Vec::new() }
    }

    pub(super) fn push(&mut self, record: Record) -> io::Result<()> {
        self.buffer.push(record);
        if self.buffer.len() >= self.in_memory { self.write_run() } else { Ok(()) }
    }

    /// The records in their order. If they all fit into memory, no file is touched.
    pub(super) fn sorted(mut self) -> io::Result<Sorted> {
        if self.runs.is_empty() {
            self.buffer.sort_unstable();
            return Ok(Sorted::InMemory(self.buffer.into_iter()));
        }
        self.write_run()?;
        self.buffer = Vec::new();
        match self.file {
            Some(file) => Merge::new(file, &self.runs).map(Sorted::Merged),
            None => Ok(Sorted::InMemory(Vec::new().into_iter())),
        }
    }

    fn write_run(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.buffer.sort_unstable();
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        let mut to = BufWriter::with_capacity(1 << 16, file);
        for record in &self.buffer {
            record.write(&mut to)?;
        }
        self.file = Some(to.into_inner().map_err(io::IntoInnerError::into_error)?);
        self.runs.push(self.buffer.len());
        self.buffer.clear();
        Ok(())
    }
}

/// Sorted records.
#[derive(Debug)]
pub(super) enum Sorted {
    InMemory(vec::IntoIter<Record>),
    Merged(Merge),
}

impl Sorted {
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        match self {
            Self::InMemory(records) => Ok(records.next()),
            Self::Merged(merge) => merge.next(),
        }
    }
}

/// Sorted runs, read side by side.
#[derive(Debug)]
pub(super) struct Merge {
    file: File,
    runs: Vec<Run>,
    /// The first record of each run that is not at its end.
    heads: BinaryHeap<Reverse<(Record, usize)>>,
}

impl Merge {
    fn new(file: File, lengths: &[usize]) -> io::Result<Self> {
        let share = READ_AHEAD_BYTES / RECORD_BYTES / lengths.len().max(1);
        let (mut runs, mut from) = (Vec::with_capacity(lengths.len()), 0);
        for length in lengths {
            let read_ahead = share.clamp(READ_AHEAD_RECORDS, RECORDS_IN_MEMORY).min(*length);
            runs.push(Run { from, left: *length, read_ahead, bytes: Vec::new(), read: 0 });
            from += bytes_of(*length);
        }
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (index, run) in runs.iter_mut().enumerate() {
            heads.extend(run.next(&file)?.map(|record| Reverse((record, index))));
        }
        Ok(Self { file, runs, heads })
    }

    fn next(&mut self) -> io::Result<Option<Record>> {
        let Some(Reverse((record, index))) = self.heads.pop() else { return Ok(None) };
        if let Some(run) = self.runs.get_mut(index) {
            self.heads.extend(run.next(&self.file)?.map(|record| Reverse((record, index))));
        }
        Ok(Some(record))
    }
}

#[derive(Debug)]
struct Run {
    /// Where in the file the records begin that were not read yet, and how many they are.
    from: u64,
    left: usize,
    read_ahead: usize,
    bytes: Vec<u8>,
    /// How much of `bytes` was given out.
    read: usize,
}

impl Run {
    fn next(&mut self, file: &File) -> io::Result<Option<Record>> {
        if self.read == self.bytes.len() {
            let records = self.left.min(self.read_ahead);
            self.bytes.resize(records * RECORD_BYTES, 0);
            file.read_exact_at(&mut self.bytes, self.from)?;
            (self.from, self.left, self.read) = (self.from + bytes_of(records), self.left - records, 0);
        }
        let mut rest = self.bytes.get(self.read..).unwrap_or_default();
        let record = Record::read(&mut rest);
        self.read = self.bytes.len() - rest.len();
        Ok(record)
    }
}

const fn bytes_of(records: usize) -> u64 {
    (records * RECORD_BYTES) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::tree::leaf_hash;

    fn record(stream: u8, sequence: u64, position: u64) -> Record {
        let leaf = leaf_hash(&position.to_le_bytes());
        let prev = (!sequence.is_multiple_of(3)).then_some(leaf);
        Record {
            stream: [stream; 16],
            sequence,
            position,
            leaf,
            prev,
            recorded_at_us: -7,
            name: position * 9,
        }
    }

    proptest! {
        #[test]
        fn records_come_back_in_their_order_however_many_fit_into_memory(
            keys in prop::collection::vec((0_u8..4, 0_u64..9), 0..200),
            in_memory in 1_usize..70,
        ) {
            let mut spill = Spill::with_room_for(in_memory);
            let mut expected: Vec<Record> =
                (0..).zip(keys).map(|(position, (stream, sequence))| record(stream, sequence, position)).collect();
            for record in &expected {
                spill.push(record.clone()).unwrap();
            }
            let (mut sorted, mut found) = (spill.sorted().unwrap(), Vec::new());
            while let Some(record) = sorted.next().unwrap() {
                found.push(record);
            }
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
