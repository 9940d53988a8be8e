//! The head: the latest signed checkpoint that this node has seen, in a file outside the database.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use countersign_projections::ledger::checkpoint::{Checkpoint, CheckpointError, Verifier};
use countersign_projections::ledger::store::{LedgerError, LedgerState, LedgerStore};
use countersign_projections::ledger::tree::Hash;

use crate::key_file::directory_of;

/// The head and where it is kept.
pub struct Head {
    path: PathBuf,
    verifier: Verifier,
    trusted: Mutex<Option<Checkpoint>>,
    /// Whether the file says what is trusted.
    written: AtomicBool,
}

/// The head does not do, or the ledger does not agree with it.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The file cannot be read or written.
    #[error("the ledger's head {path} cannot be read or written: {reason}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        reason: std::io::Error,
    },
    /// The file is not a checkpoint of this ledger.
    #[error("the ledger's head {path} is not a checkpoint of this ledger: {reason}")]
    NotOurs {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: CheckpointError,
    },
    /// The ledger is shorter than it was.
    #[error(
        "the ledger was rolled back: it has {found} entries, but {path} proves that it had {signed}. \
         If an older copy of the database was restored on purpose, `countersign ledger adopt` goes on from it, on the record"
    )]
    RolledBack {
        /// Where the head is.
        path: PathBuf,
        /// How many entries it signs.
        signed: u64,
        /// How many there are.
        found: u64,
    },
    /// The ledger has other entries than it had.
    #[error(
        "the ledger was forked: its first {signed} entries are not those that {path} signs. \
         `countersign verify` says more; `countersign ledger adopt` goes on from what is there, on the record"
    )]
    Forked {
        /// Where the head is.
        path: PathBuf,
        /// How many entries it signs.
        signed: u64,
    },
    /// The ledger does not read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Head {
    /// Reads the head, if there is one.
    ///
    /// # Errors
    /// Says why the file does not do.
    pub fn open(path: PathBuf, verifier: Verifier) -> Result<Self, HeadError> {
        let trusted = match fs::read(&path) {
            Ok(note) => {
                let checkpoint = verifier.verify(&note);
                Some(checkpoint.map_err(|reason| HeadError::NotOurs { path: path.clone(), reason })?)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(reason) => return Err(HeadError::Unreadable { path, reason }),
        };
        Ok(Self { path, verifier, trusted: Mutex::new(trusted), written: AtomicBool::new(true) })
    }

    /// The checkpoint that every later tree must have grown from.
    #[must_use]
    pub fn trusted(&self) -> Option<Checkpoint> {
        self.trusted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the ledger has grown from the head.
    ///
    /// # Errors
    /// [`HeadError::RolledBack`] or [`HeadError::Forked`] if it has not.
    pub async fn check(&self, store: &LedgerStore, state: &LedgerState) -> Result<(), HeadError> {
        self.compare(store, (state.size(), state.frontier.root())).await
    }

    /// Takes a newer checkpoint as the head, once it is proved that its tree has grown from the old one.
    ///
    /// # Errors
    /// What is wrong with it, or with the file.
    pub async fn advance(&self, store: &LedgerStore, note: &str) -> Result<(), HeadError> {
        let checkpoint = self.verifier.verify(note.as_bytes()).map_err(LedgerError::from)?;
        self.compare(store, (checkpoint.size, checkpoint.root)).await?;
        let known = self.trusted().map_or(0, |trusted| trusted.size);
        // A ledger without entries may still be given its name, so it has no head.
        if checkpoint.size == known && self.written.load(Ordering::Relaxed) {
            Ok(())
        } else {
            self.write(note, checkpoint, Replacing::Older).await
        }
    }

    async fn compare(&self, store: &LedgerStore, (found, root): (u64, Hash)) -> Result<(), HeadError> {
        let Some(head) = self.trusted() else { return Ok(()) };
        let (path, signed) = (self.path.clone(), head.size);
        if signed > found {
            return Err(HeadError::RolledBack { path, signed, found });
        }
        if store.has_grown((signed, head.root), (found, root)).await? {
            return Ok(());
        }
        Err(HeadError::Forked { path, signed })
    }

    /// Takes a checkpoint as the head whatever it was before. It counts from now on, even if the file
    /// cannot be written.
    pub(super) async fn replace(&self, note: &str, checkpoint: Checkpoint) -> Result<(), HeadError> {
        self.write(note, checkpoint, Replacing::Any).await
    }

    async fn write(&self, note: &str, checkpoint: Checkpoint, over: Replacing) -> Result<(), HeadError> {
        let (verifier, size) = (self.verifier.clone(), checkpoint.size);
        let is_newer = move |found: &[u8]| match over {
            Replacing::Older => verifier.verify(found).is_ok_and(|found| found.size > size),
            Replacing::Any => false,
        };
        *self.trusted.lock().unwrap_or_else(PoisonError::into_inner) = Some(checkpoint);
        self.written.store(false, Ordering::Relaxed);
        let (path, text) = (self.path.clone(), note.to_owned());
        let written = tokio::task::spawn_blocking(move || write(&path, &text, is_newer)).await;
        let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        written.map_err(|reason| HeadError::Unreadable { path: self.path.clone(), reason })?;
        self.written.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Of which files a head may take the place.
#[derive(Clone, Copy)]
enum Replacing {
    /// Not of one that signs more. A command beside the server, which saw less, may come last.
    Older,
    /// Of each.
    Any,
}

/// The file is whole at every moment, whenever the machine stops.
fn write(path: &Path, note: &str, is_newer: impl Fn(&[u8]) -> bool) -> std::io::Result<()> {
    let directory = directory_of(path)?;
    // For as long as it is open. Not every file system has locks; there, nothing keeps two processes apart.
    drop(directory.lock());
    if fs::read(path).is_ok_and(|found| is_newer(&found)) {
        return Ok(());
    }
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(note.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    directory.sync_all()
}

#[cfg(test)]
mod tests {
    use countersign_projections::ledger::checkpoint::Signer;
    use countersign_projections::ledger::tree::leaf_hash;
    use zeroize::Zeroizing;

    use super::*;

    #[tokio::test]
    async fn a_head_does_not_take_the_place_of_a_newer_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.head");
        let signer = Signer::from_seed("audit.example.com/log1".parse().unwrap(), &Zeroizing::new([7; 32]));
        let checkpoint_of = |size| {
            let note = signer.sign(size, leaf_hash(b"leaf"));
            let checkpoint = signer.verifier().verify(note.as_bytes()).unwrap();
            (note, checkpoint)
        };
        let open = || Head::open(path.clone(), signer.verifier().clone()).unwrap();
        let (server, command) = (open(), open());
        let (old, new) = (checkpoint_of(5), checkpoint_of(9));
        server.write(&new.0, new.1, Replacing::Older).await.unwrap();
        command.write(&old.0, old.1.clone(), Replacing::Older).await.unwrap();
        assert_eq!(open().trusted().map(|head| head.size), Some(9));
        // Adopting is for going back.
        command.replace(&old.0, old.1).await.unwrap();
        assert_eq!(open().trusted().map(|head| head.size), Some(5));
        // What is no head protects nothing.
        fs::write(&path, "torn").unwrap();
        let newest = checkpoint_of(10);
        server.write(&newest.0, newest.1, Replacing::Older).await.unwrap();
        assert_eq!(open().trusted().map(|head| head.size), Some(10));
    }
}
