//! The auditor's bundle: a ledger, or what was added to it since the auditor's last visit, as a
//! directory that is checked without a database and without a network.
//!
//! | file | holds |
//! | --- | --- |
//! | `checkpoint` | the signed size and root; written last, so that a bundle without it is cut off |
//! | `consistency` | hashes that prove growth from the auditor's checkpoint, a line each; only then |
//! | `frontier` | the size of that checkpoint and the frontier of its tree, a line each; only then |
//! | `events.jsonl` | the leaves, a line each |
//! | `payloads/<sha256>` | a pack: `{"from":"0","to":"8192"}`, then payload and metadata of each position, a line each, in the spelling that was digested; the name is the file's SHA-256 |
//! | `proofs/<index>.tlog-proof` | a few receipts, for other tools |
//! | `policy.txt` | the log's key, to be compared with what the auditor has; never believed |
//! | `manifest.json` | when and by what it was made; never believed |

mod packs;
mod policy;
mod read;
mod report;
#[cfg(test)]
mod tests;
mod verify;
mod write;

use std::io;
use std::path::{Path, PathBuf};

pub use policy::{Policy, PolicyError};
pub use report::{BundleReport, Bundled};
pub use verify::verify_bundle;
pub use write::{BundleWriter, Closing, Growth, Manifest, proof_positions};

use super::canonical::CanonicalError;
use super::checkpoint::CheckpointError;
use super::proof::ProofError;
use super::tree::TreeError;
use super::verify::finding::shown;

const CHECKPOINT: &str = "checkpoint";
const CONSISTENCY: &str = "consistency";
const FRONTIER: &str = "frontier";
const EVENTS: &str = "events.jsonl";
const PAYLOADS: &str = "payloads";
const PROOFS: &str = "proofs";
const PROOF_SUFFIX: &str = ".tlog-proof";
const POLICY: &str = "policy.txt";
const MANIFEST: &str = "manifest.json";

/// A pack ends at every multiple of this, so that bundles of one ledger share their full packs.
const PACK_POSITIONS: u64 = 8192;

/// No line of a pack is longer.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// Why a bundle is not written, or not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file could not be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A temporary file could not be read or written.
    #[error("a temporary file: {0}")]
    Temporary(io::Error),
    /// A bundle is written into a directory of its own.
    #[error("{}: the directory is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// Entries are written in the order of their positions, and all of them.
    #[error("the entry of position {expected} is to come, not that of {found}")]
    Order {
        /// The position that comes next, or the size when there is none.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// A payload or metadata has no canonical spelling.
    #[error("position {position}: the {field}: {error}")]
    NotCanonical {
        /// Where.
        position: u64,
        /// Which of the two.
        field: &'static str,
        /// Why.
        error: CanonicalError,
    },
    /// A file is not there.
    #[error("the bundle has no {0}: it was not finished, or lost a part of itself")]
    NoFile(String),
    /// A file is there that no bundle has.
    #[error("{} does not belong into a bundle", shown(.0))]
    Stray(String),
    /// A file is not what its name says.
    #[error("{file}: {problem}")]
    Malformed {
        /// Which file.
        file: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file ends too early.
    #[error("{file} ends before position {position}, and the signed size is {size}")]
    CutOff {
        /// Which file.
        file: String,
        /// The first position that it does not have.
        position: u64,
        /// What was signed.
        size: u64,
    },
    /// A file goes on too long.
    #[error("{file} goes on after position {position}")]
    TooMuch {
        /// Which file.
        file: String,
        /// The last position that it should have; none when it should have nothing.
        position: u64,
    },
    /// A line is too long to be read.
    #[error("position {position}: a line in {file} is longer than {max} bytes")]
    LongLine {
        /// Which file.
        file: String,
        /// Where.
        position: u64,
        /// How long a line may be.
        max: usize,
    },
    /// The packs do not follow each other.
    #[error("position {0}: no pack in payloads/ begins here")]
    NoPack(u64),
    /// The bundle's checkpoint is not signed by a log of the policy.
    #[error("the bundle's checkpoint: {0}")]
    Checkpoint(CheckpointError),
    /// The auditor's own checkpoint is not signed by a log of the policy.
    #[error("your earlier checkpoint: {0}")]
    Previous(CheckpointError),
    /// The auditor's own checkpoint is of another log.
    #[error("your earlier checkpoint is of the log {previous}, and the bundle is of {found}")]
    PreviousOfAnotherLog {
        /// The log of the earlier checkpoint.
        previous: String,
        /// The log of the bundle.
        found: String,
    },
    /// The bundle begins in the middle, and what is before it is not vouched for.
    #[error("the bundle begins at position {0}: it needs your earlier checkpoint of that size")]
    PreviousNeeded(u64),
    /// The ledger is smaller than it was.
    #[error("the ledger had {previous} entries at your earlier checkpoint, and now has {size}")]
    Shrunk {
        /// The earlier size.
        previous: u64,
        /// The size that was signed now.
        size: u64,
    },
    /// The frontier is not that of the auditor's checkpoint.
    #[error("the bundle does not go on from your earlier checkpoint: its frontier is of {found} entries")]
    OtherBase {
        /// The size of the frontier.
        found: u64,
    },
    /// The frontier has the size of the auditor's checkpoint, and another root.
    #[error("the bundle does not go on from your earlier checkpoint: its first entries are others")]
    OtherBaseRoot,
    /// The stored frontier is not one.
    #[error("{FRONTIER}: {0}")]
    Frontier(TreeError),
    /// The proof of consistency does not hold.
    #[error("{CONSISTENCY}: {0}")]
    Consistency(ProofError),
}

impl BundleError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }
}
