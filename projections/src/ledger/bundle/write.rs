//! Writing a bundle, entry by entry.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use countersign_domain::Timestamp;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::packs::{PackRange, pack_end};
use super::{
    BundleError, CHECKPOINT, CONSISTENCY, EVENTS, FRONTIER, MANIFEST, PAYLOAD_BYTES_MAX, PAYLOADS, POLICY,
    PROOF_SUFFIX, PROOFS, Policy,
};
use crate::ledger::canonical::canonical;
use crate::ledger::proof::Receipt;
use crate::ledger::tree::{Frontier, Hash};
use crate::table::timestamp_text;

/// So many proofs are in a bundle, unless it has fewer entries.
const PROOFS_MAX: u64 = 16;

/// What a pack is called while it is written; its name is known at its end.
const UNFINISHED_PACK: &str = "unfinished";

/// A bundle under way. Until it is finished it has no checkpoint, and nobody takes it for one.
#[derive(Debug)]
pub struct BundleWriter {
    directory: PathBuf,
    next: u64,
    size: u64,
    events: Output,
    pack: Option<Pack>,
}

/// What ends a bundle.
#[derive(Clone, Copy, Debug)]
pub struct Closing<'a> {
    /// The signed checkpoint of the size that the bundle was begun for.
    pub checkpoint: &'a str,
    /// What proves growth, if the bundle does not begin at the ledger's beginning.
    pub growth: Option<Growth<'a>>,
    /// Receipts of some entries: see [`proof_positions`].
    pub proofs: &'a [Receipt],
    /// The log's key.
    pub policy: &'a Policy,
    /// When and by what the bundle was made.
    pub manifest: &'a Manifest,
}

/// How the ledger has grown since the auditor's checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Growth<'a> {
    /// The proof of consistency.
    pub consistency: &'a [Hash],
    /// The frontier of the auditor's tree.
    pub frontier: &'a Frontier,
}

/// What whoever opens the directory wants to know first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Manifest {
    /// The log's name.
    pub origin: String,
    /// The first position.
    pub from: u64,
    /// The size that was signed.
    pub size: u64,
    /// When it was made.
    #[serde(serialize_with = "moment")]
    pub made_at: Timestamp,
    /// By which program, with its version.
    pub made_by: String,
}

/// The positions whose proofs belong into a bundle: the first, the last, and some between them.
pub fn proof_positions(from: u64, size: u64) -> impl Iterator<Item = u64> {
    let entries = size.saturating_sub(from);
    let count = entries.min(PROOFS_MAX);
    (0..count).map(move |number| {
        // Wide enough for the product of any two sizes.
        let offset = u128::from(number) * u128::from(entries - 1) / u128::from((count - 1).max(1));
        from + u64::try_from(offset).unwrap_or_default()
    })
}

impl BundleWriter {
    /// Begins a bundle of the entries from `from` up to the checkpoint's size.
    ///
    /// # Errors
    /// The directory holds something already, or cannot be written.
    pub fn create(directory: &Path, from: u64, size: u64) -> Result<Self, BundleError> {
        if from > size {
            return Err(BundleError::Order { expected: size, found: from });
        }
        fs::create_dir_all(directory).map_err(BundleError::io(directory))?;
        let mut entries = fs::read_dir(directory).map_err(BundleError::io(directory))?;
        if entries.next().is_some() {
            return Err(BundleError::NotEmpty(directory.to_owned()));
        }
        for name in [PAYLOADS, PROOFS] {
            let path = directory.join(name);
            fs::create_dir(&path).map_err(BundleError::io(&path))?;
        }
        let events = Output::create(directory.join(EVENTS))?;
        Ok(Self { directory: directory.to_owned(), next: from, size, events, pack: None })
    }

    /// Writes the next entry. Payload and metadata may be in any spelling.
    ///
    /// # Errors
    /// It is not the next entry, has no canonical spelling, or cannot be written.
    pub fn push(
        &mut self,
        position: u64,
        leaf: &str,
        payload: &str,
        metadata: &str,
    ) -> Result<(), BundleError> {
        if position != self.next || position >= self.size {
            return Err(BundleError::Order { expected: self.next, found: position });
        }
        self.events.write(leaf.as_bytes())?;
        self.events.write(b"\n")?;
        let mut pack = match self.pack.take() {
            Some(pack) => pack,
            None => Pack::create(&self.directory.join(PAYLOADS), position, self.size)?,
        };
        for (field, text) in [("payload", payload), ("metadata", metadata)] {
            let not_canonical = |error| BundleError::NotCanonical { position, field, error };
            let mut line = canonical(text).map_err(not_canonical)?;
            if line.len() > PAYLOAD_BYTES_MAX {
                let file = PAYLOADS.to_owned();
                return Err(BundleError::LongLine { file, position, max: PAYLOAD_BYTES_MAX });
            }
            line.push('\n');
            pack.write(line.as_bytes())?;
        }
        self.next += 1;
        if self.next == pack.range.to {
            return pack.finish();
        }
        self.pack = Some(pack);
        Ok(())
    }

    /// Ends the bundle; the checkpoint comes last.
    ///
    /// # Errors
    /// Entries are missing, or something cannot be written.
    pub fn finish(self, closing: &Closing<'_>) -> Result<(), BundleError> {
        if self.next != self.size {
            return Err(BundleError::Order { expected: self.next, found: self.size });
        }
        self.events.finish()?;
        let write = |name: &str, text: &str| write_file(&self.directory.join(name), text.as_bytes());
        if let Some(Growth { consistency, frontier }) = closing.growth {
            write(CONSISTENCY, &lines(consistency))?;
            write(FRONTIER, &format!("{}\n{}", frontier.size(), lines(frontier.hashes())))?;
        }
        for receipt in closing.proofs {
            write(&format!("{PROOFS}/{}{PROOF_SUFFIX}", receipt.index), &receipt.to_string())?;
        }
        write(POLICY, &closing.policy.to_string())?;
        let manifest = serde_json::to_string_pretty(closing.manifest).map_err(io::Error::other);
        let manifest = manifest.map_err(BundleError::io(&self.directory.join(MANIFEST)))?;
        write(MANIFEST, &format!("{manifest}\n"))?;
        write(CHECKPOINT, closing.checkpoint)
    }
}

fn lines(hashes: &[Hash]) -> String {
    hashes.iter().flat_map(|hash| [hash.to_base64(), "\n".to_owned()]).collect()
}

fn moment<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp_text(*at))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), BundleError> {
    let mut output = Output::create(path.to_owned())?;
    output.write(bytes)?;
    output.finish()
}

/// A file that did not exist before.
#[derive(Debug)]
struct Output {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Output {
    fn create(path: PathBuf) -> Result<Self, BundleError> {
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(BundleError::io(&path))?;
        Ok(Self { path, file: BufWriter::with_capacity(1 << 16, file) })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.file.write_all(bytes).map_err(BundleError::io(&self.path))
    }

    fn finish(self) -> Result<(), BundleError> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all()).map_err(BundleError::io(&self.path))
    }
}

/// The pack that is being written.
#[derive(Debug)]
struct Pack {
    range: PackRange,
    digest: Sha256,
    output: Output,
}

impl Pack {
    fn create(payloads: &Path, from: u64, size: u64) -> Result<Self, BundleError> {
        let range = PackRange { from, to: pack_end(from).min(size) };
        let output = Output::create(payloads.join(UNFINISHED_PACK))?;
        let mut pack = Self { range, digest: Sha256::new(), output };
        pack.write(range.to_string().as_bytes())?;
        Ok(pack)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.digest.update(bytes);
        self.output.write(bytes)
    }

    fn finish(self) -> Result<(), BundleError> {
        let unfinished = self.output.path.clone();
        self.output.finish()?;
        let name = Hash::from_bytes(self.digest.finalize().into()).to_hex();
        fs::rename(&unfinished, unfinished.with_file_name(name)).map_err(BundleError::io(&unfinished))
    }
}
