//! The packs of payloads: many entries to a file, since a file an entry takes longer to make and to
//! copy than to check.

use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::read::{Lines, file_names};
use super::{BundleError, PACK_POSITIONS, PAYLOAD_BYTES_MAX, PAYLOADS};
use crate::ledger::checkpoint::parse_number;
use crate::ledger::tree::Hash;
use crate::ledger::verify::{Finding, Problem};

/// The first line of a pack is shorter.
const HEAD_BYTES_MAX: usize = 64;

/// The positions of a pack, half open.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct PackRange {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Where the pack that holds a position ends.
pub(super) const fn pack_end(position: u64) -> u64 {
    (position / PACK_POSITIONS + 1).saturating_mul(PACK_POSITIONS)
}

/// As the first line of a pack.
impl fmt::Display for PackRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        writeln!(f, r#"{{"from":"{from}","to":"{to}"}}"#)
    }
}

impl PackRange {
    fn parse(line: &[u8]) -> Option<Self> {
        let line = str::from_utf8(line).ok()?;
        let (from, to) =
            line.strip_prefix(r#"{"from":""#)?.strip_suffix(r#""}"#)?.split_once(r#"","to":""#)?;
        let range = Self { from: parse_number(from)?, to: parse_number(to)? };
        (range.from < range.to && range.to - range.from <= PACK_POSITIONS).then_some(range)
    }
}

/// All packs of a bundle, read one after another.
#[derive(Debug)]
pub(super) struct Packs<'a> {
    directory: &'a Path,
    size: u64,
    /// The packs to come, the next one last.
    rest: Vec<(PackRange, Hash)>,
    open: Option<OpenPack>,
}

#[derive(Debug)]
struct OpenPack {
    range: PackRange,
    name: Hash,
    file: String,
    digest: Sha256,
    lines: Lines,
}

impl<'a> Packs<'a> {
    /// Looks at the first line of every pack, to know their order.
    pub(super) fn find(directory: &'a Path, size: u64) -> Result<Self, BundleError> {
        let mut rest = Vec::new();
        for name in file_names(directory, PAYLOADS)? {
            let file = format!("{PAYLOADS}/{name}");
            let digest = Hash::from_hex(&name).map_err(|_| BundleError::Stray(file.clone()))?;
            rest.push((OpenPack::open(directory, file, digest)?.range, digest));
        }
        rest.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self { directory, size, rest, open: None })
    }

    /// Reads payload and metadata of a position, into lines that are used again.
    pub(super) fn next(
        &mut self,
        position: u64,
        [payload, metadata]: [&mut Vec<u8>; 2],
    ) -> Result<(), BundleError> {
        let mut pack = match self.open.take() {
            Some(pack) => pack,
            None => match self.rest.pop() {
                Some((range, name)) if range.from == position => {
                    OpenPack::open(self.directory, format!("{PAYLOADS}/{}", name.to_hex()), name)?
                }
                _ => return Err(BundleError::NoPack(position)),
            },
        };
        for line in [payload, metadata] {
            if !pack.lines.next(position, line)? {
                return Err(BundleError::CutOff { file: pack.file, position, size: self.size });
            }
            pack.digest.update(line.as_slice());
            line.pop();
        }
        self.open = Some(pack);
        Ok(())
    }

    /// What is wrong with the pack that ends before this position, if one does.
    pub(super) fn end_before(&mut self, position: u64) -> Result<Option<Finding>, BundleError> {
        let Some(mut pack) = self.open.take_if(|pack| pack.range.to == position) else { return Ok(None) };
        let last = position.saturating_sub(1);
        if pack.lines.next(last, &mut Vec::new())? {
            return Err(BundleError::TooMuch { file: pack.file, position: last });
        }
        let found = Hash::from_bytes(pack.digest.finalize().into());
        let problem = Problem::PackName { name: pack.file };
        Ok((found != pack.name).then(|| Finding::at(pack.range.from, problem)))
    }

    /// Refuses packs that no position is left for.
    pub(super) fn finish(self) -> Result<(), BundleError> {
        let open = self.open.map(|pack| pack.file);
        let rest = self.rest.last().map(|(_, name)| format!("{PAYLOADS}/{}", name.to_hex()));
        match open.or(rest) {
            Some(file) => Err(BundleError::TooMuch { file, position: self.size.saturating_sub(1) }),
            None => Ok(()),
        }
    }
}

impl OpenPack {
    fn open(directory: &Path, file: String, name: Hash) -> Result<Self, BundleError> {
        let malformed = |problem| BundleError::Malformed { file: file.clone(), problem };
        let mut lines = Lines::open(directory, &file, PAYLOAD_BYTES_MAX)?;
        let mut head = Vec::new();
        let there = lines.next(0, &mut head)? && head.len() <= HEAD_BYTES_MAX;
        let digest = Sha256::new_with_prefix(&head);
        head.pop();
        let range = PackRange::parse(&head).filter(|_| there);
        let range = range.ok_or_else(|| malformed("the first line does not say which positions it has"))?;
        Ok(Self { range, name, file, digest, lines })
    }
}
