//! Checking a bundle, with nothing but the auditor's policy to believe.

use std::collections::BTreeMap;
use std::path::Path;

use super::packs::Packs;
use super::read::{Lines, file_names, read_small};
use super::{
    BundleError, BundleReport, Bundled, CHECKPOINT, CONSISTENCY, EVENTS, FRONTIER, MANIFEST, PAYLOADS,
    POLICY, PROOF_SUFFIX, PROOFS, Policy,
};
use crate::ledger::checkpoint::{Checkpoint, parse_number};
use crate::ledger::leaf::LEAF_BYTES_MAX;
use crate::ledger::proof::{ProofError, Receipt, verify_consistency, verify_inclusion};
use crate::ledger::tree::{Frontier, Hash};
use crate::ledger::verify::{Finding, FoundContent, FoundEntry, Problem, Verification};

/// A bundle with more receipts is refused, since all of them are in memory.
const PROOFS_MAX: usize = 1000;

/// Progress is told after so many entries.
const ENTRIES_BETWEEN_TELLING: u64 = 4096;

/// Checks a bundle against the logs of a policy and, if the auditor has one, an earlier checkpoint.
/// `progress` is told how many entries of how many were checked.
///
/// # Errors
/// The bundle cannot be read to its end, or is not one that this policy and checkpoint speak of. What
/// is wrong inside one that can is in the report.
pub fn verify_bundle(
    directory: &Path,
    policy: &Policy,
    previous: Option<&str>,
    mut progress: impl FnMut(u64, u64),
) -> Result<BundleReport, BundleError> {
    let opening = Opening::read(directory, policy, previous)?;
    let Opening { checkpoint, previous, base } = &opening;
    let (from, size) = (base.size(), checkpoint.size);
    let proofs = Proofs::read(directory, policy, checkpoint)?;
    let mut verification = Verification::after(base.clone());
    for finding in proofs.findings_outside(from, size) {
        verification.report(finding);
    }
    let mut leaves = Lines::open(directory, EVENTS, LEAF_BYTES_MAX + 1)?;
    let mut packs = Packs::find(directory, size)?;
    let mut line = EntryLines::default();
    compare_earlier(&mut verification, previous.as_ref());
    let mut position = from;
    while position < size && line.read(position, &mut leaves, &mut packs)? {
        let hash = verification.push(position, &line.entry()).map_err(BundleError::Temporary)?;
        let found = [proofs.finding(position, hash), packs.end_before(position + 1)?];
        found.into_iter().flatten().for_each(|finding| verification.report(finding));
        compare_earlier(&mut verification, previous.as_ref());
        position += 1;
        if (position - from).is_multiple_of(ENTRIES_BETWEEN_TELLING) {
            progress(position - from, size - from);
        }
    }
    progress(position - from, size - from);
    if position < size {
        verification.report(Finding::at(position, Problem::Missing { until: size }));
    } else {
        packs.finish()?;
        if leaves.next(size, &mut line.leaf)? {
            verification.report(Finding::at(size, Problem::BeyondSize { size }));
        }
    }
    if verification.frontier().root() != checkpoint.root {
        verification.report(Finding::of_ledger(Problem::Root { size }));
    }
    let verified = verification.finish().map_err(BundleError::Temporary)?;
    Ok(BundleReport {
        origin: checkpoint.origin.clone(),
        size,
        root: checkpoint.root,
        streams: verified.streams,
        grown_from: previous.as_ref().map(|previous| previous.size),
        findings: verified.findings,
        findings_total: verified.findings_total,
        source: Bundled { from, proofs: proofs.count() },
    })
}

/// The lines of one entry, in memory that is used again for the next.
#[derive(Default)]
struct EntryLines {
    leaf: Vec<u8>,
    payload: Vec<u8>,
    metadata: Vec<u8>,
}

impl EntryLines {
    /// Reads an entry, unless the leaves have ended.
    fn read(
        &mut self,
        position: u64,
        leaves: &mut Lines,
        packs: &mut Packs<'_>,
    ) -> Result<bool, BundleError> {
        if !leaves.next(position, &mut self.leaf)? {
            return Ok(false);
        }
        self.leaf.pop();
        packs.next(position, [&mut self.payload, &mut self.metadata])?;
        Ok(true)
    }

    fn entry(&self) -> FoundEntry<'_> {
        let content = FoundContent::Canonical { payload: &self.payload, metadata: &self.metadata };
        FoundEntry { leaf: &self.leaf, beside: None, content }
    }
}

/// Compares the tree with the auditor's earlier checkpoint, at the size that it had then.
fn compare_earlier(verification: &mut Verification, previous: Option<&Checkpoint>) {
    let Some(Checkpoint { size, root, .. }) = previous else { return };
    if verification.frontier().size() == *size && verification.frontier().root() != *root {
        verification.report(Finding::of_ledger(Problem::EarlierRoot { size: *size }));
    }
}

/// What is known before the first entry is read.
struct Opening {
    checkpoint: Checkpoint,
    previous: Option<Checkpoint>,
    /// The tree of what comes before the bundle.
    base: Frontier,
}

impl Opening {
    fn read(directory: &Path, policy: &Policy, previous: Option<&str>) -> Result<Self, BundleError> {
        let names = check_names(directory)?;
        let note = read_small(directory, CHECKPOINT)?;
        let checkpoint = policy.verify(note.as_bytes()).map_err(BundleError::Checkpoint)?;
        let previous = previous.map(|note| policy.verify(note.as_bytes())).transpose();
        let previous = previous.map_err(BundleError::Previous)?;
        if let Some(previous) = &previous {
            check_previous(previous, &checkpoint)?;
        }
        let there = |name: &str| names.iter().any(|found| found == name);
        let base = match (there(CONSISTENCY), there(FRONTIER)) {
            (false, false) => Frontier::default(),
            (true, true) => read_base(directory, previous.as_ref(), &checkpoint)?,
            (true, false) => return Err(BundleError::NoFile(FRONTIER.to_owned())),
            (false, true) => return Err(BundleError::NoFile(CONSISTENCY.to_owned())),
        };
        Ok(Self { checkpoint, previous, base })
    }
}

/// Refuses a directory that lacks something, or has something that no bundle has.
fn check_names(directory: &Path) -> Result<Vec<String>, BundleError> {
    let needed = [CHECKPOINT, EVENTS, PAYLOADS, PROOFS, POLICY, MANIFEST];
    let names = file_names(directory, "")?;
    if let Some(missing) = needed.iter().find(|needed| !names.iter().any(|name| name == **needed)) {
        return Err(BundleError::NoFile((*missing).to_owned()));
    }
    let known = |name: &str| needed.contains(&name) || [CONSISTENCY, FRONTIER].contains(&name);
    match names.iter().find(|name| !known(name)) {
        Some(stray) => Err(BundleError::Stray(stray.clone())),
        None => Ok(names),
    }
}

fn check_previous(previous: &Checkpoint, checkpoint: &Checkpoint) -> Result<(), BundleError> {
    if previous.origin != checkpoint.origin {
        return Err(BundleError::PreviousOfAnotherLog {
            previous: previous.origin.to_string(),
            found: checkpoint.origin.to_string(),
        });
    }
    if previous.size > checkpoint.size {
        return Err(BundleError::Shrunk { previous: previous.size, size: checkpoint.size });
    }
    Ok(())
}

/// The frontier from which the bundle goes on. It is believed only as far as the auditor's own
/// checkpoint vouches for it.
fn read_base(
    directory: &Path,
    previous: Option<&Checkpoint>,
    checkpoint: &Checkpoint,
) -> Result<Frontier, BundleError> {
    let text = read_small(directory, FRONTIER)?;
    let malformed = |problem| BundleError::Malformed { file: FRONTIER.to_owned(), problem };
    let (size, hashes) = text.split_once('\n').ok_or(malformed("it has no size"))?;
    let size =
        parse_number(size).filter(|size| *size > 0).ok_or(malformed("its first line is not a size"))?;
    let frontier =
        Frontier::from_parts(size, parse_hashes(FRONTIER, hashes)?).map_err(BundleError::Frontier)?;
    let previous = previous.ok_or(BundleError::PreviousNeeded(size))?;
    if previous.size != size {
        return Err(BundleError::OtherBase { found: size });
    }
    if previous.root != frontier.root() {
        return Err(BundleError::OtherBaseRoot);
    }
    let proof = parse_hashes(CONSISTENCY, &read_small(directory, CONSISTENCY)?)?;
    verify_consistency((size, previous.root), (checkpoint.size, checkpoint.root), &proof)
        .map_err(BundleError::Consistency)?;
    Ok(frontier)
}

/// Hashes in base64, a line each.
fn parse_hashes(file: &str, text: &str) -> Result<Vec<Hash>, BundleError> {
    let malformed = |problem| BundleError::Malformed { file: file.to_owned(), problem };
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let lines = text.strip_suffix('\n').ok_or(malformed("its last line is cut off"))?.split('\n');
    let hashes = lines.map(Hash::from_base64).collect::<Result<_, _>>();
    hashes.map_err(|_| malformed("a line is not a hash"))
}

/// The receipts of a bundle, by position.
struct Proofs<'a> {
    checkpoint: &'a Checkpoint,
    receipts: BTreeMap<u64, Result<Receipt, Problem>>,
}

impl<'a> Proofs<'a> {
    fn read(directory: &Path, policy: &Policy, checkpoint: &'a Checkpoint) -> Result<Self, BundleError> {
        let names = file_names(directory, PROOFS)?;
        if names.len() > PROOFS_MAX {
            let problem = "it has more than 1000 files";
            return Err(BundleError::Malformed { file: PROOFS.to_owned(), problem });
        }
        let mut receipts = BTreeMap::new();
        for name in names {
            let file = format!("{PROOFS}/{name}");
            let index = name.strip_suffix(PROOF_SUFFIX).and_then(parse_number);
            let index = index.ok_or_else(|| BundleError::Stray(file.clone()))?;
            let text = read_small(directory, &file)?;
            receipts.insert(index, read_receipt(&text, index, policy, checkpoint));
        }
        Ok(Self { checkpoint, receipts })
    }

    fn count(&self) -> u64 {
        self.receipts.len() as u64
    }

    /// Receipts of entries that the bundle does not have.
    fn findings_outside(&self, from: u64, size: u64) -> impl Iterator<Item = Finding> {
        let outside = self.receipts.keys().filter(move |index| !(from..size).contains(*index));
        outside.map(|index| Finding::at(*index, Problem::ProofOfNothing))
    }

    /// What is wrong with the receipt of a leaf, if there is one.
    fn finding(&self, position: u64, leaf: Hash) -> Option<Finding> {
        let Checkpoint { size, root, .. } = self.checkpoint;
        let problem = match self.receipts.get(&position)? {
            Ok(receipt) => {
                let proof = verify_inclusion(leaf, receipt.index, *size, *root, &receipt.hashes);
                Problem::Proof(proof.err()?)
            }
            Err(problem) => problem.clone(),
        };
        Some(Finding::at(position, problem))
    }
}

/// A receipt of the entry that its file is named after, below the bundle's own checkpoint.
fn read_receipt(
    text: &str,
    index: u64,
    policy: &Policy,
    checkpoint: &Checkpoint,
) -> Result<Receipt, Problem> {
    let receipt: Receipt = text.parse().map_err(Problem::Proof)?;
    let signed = policy.verify(receipt.checkpoint.as_bytes());
    let signed = signed.map_err(|error| Problem::Proof(ProofError::Checkpoint(error)))?;
    if receipt.index != index {
        return Err(Problem::ProofOfAnother { index: receipt.index });
    }
    if (&signed.origin, signed.size, signed.root) != (&checkpoint.origin, checkpoint.size, checkpoint.root) {
        return Err(Problem::ProofOfAnotherCheckpoint);
    }
    Ok(receipt)
}
