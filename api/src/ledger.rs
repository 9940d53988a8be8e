//! The ledger as one node keeps it: its key, the head outside the database, and the task that gives
//! events their place.
//!
//! Whoever can write the database could remove entries and build a shorter or another tree over the
//! rest. So the latest signed checkpoint is kept in a file beside the keys as well, and a program that
//! finds a tree which has not grown from it does not start.

pub mod adopt;
mod follower;
pub mod head;
mod health;
mod keeper;
mod key;
mod leadership;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use countersign_domain::Timestamp;
use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::catch_up::{self, CaughtUp, Projection, catch_up};
use countersign_projections::coverage::Coverage;
use countersign_projections::database::{Database, DatabaseError};
use countersign_projections::ledger::checkpoint::{Checkpoint, CheckpointError, Signer, Verifier};
use countersign_projections::ledger::sequencer::{Appends, Sequencer, Trust};
use countersign_projections::ledger::store::{LedgerError, LedgerStore};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::Config;
use crate::key_file::KeyFileError;
pub use follower::Followers;
use head::{Head, HeadError};
pub use health::{Following, Health, Leading, Noticed, Observed};
pub use keeper::Keeper;

/// The head's name in the data directory.
const HEAD_FILE: &str = "ledger.head";

/// A reader waits so long for an entry to be signed.
const SIGNED_WAIT: Duration = Duration::from_secs(2);
const SIGNED_POLL: Duration = Duration::from_millis(20);
/// Draining takes no more turns: each takes thousands of events, or was lost to another sequencer.
const TURNS_MAX: usize = 10_000;

/// The ledger of the installation, as one node sees it.
pub struct Ledger {
    /// The ledger in the database.
    pub store: LedgerStore,
    /// What the node has seen and kept outside the database.
    pub head: Head,
    /// How the ledger fares.
    pub health: Health,
    signer: Arc<Signer>,
    appends: Arc<Appends>,
    /// How many entries the trail has taken in, for those who wait for more.
    trail: watch::Sender<u64>,
    stopping: AtomicBool,
}

/// What says how the ledger was when it was last signed.
#[derive(Clone, Copy, Debug)]
pub enum LedgerTrust {
    /// The head outside the database: what has not grown from it is refused.
    Head,
    /// The database alone: for adopting what the head would refuse.
    Database,
}

/// Why the program does not start on this ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerStartError {
    /// The key file or the setting does not do.
    #[error("the ledger key: {0}")]
    KeyFile(#[from] KeyFileError),
    /// The database has a ledger, and its key is not there.
    #[error(
        "the ledger key {path} is missing, but this database's ledger is signed with {verifier_key}; put it back"
    )]
    KeyMissing {
        /// Where it should be.
        path: std::path::PathBuf,
        /// The public half.
        verifier_key: String,
    },
    /// There was a ledger once.
    #[error(
        "{path} is the head of a ledger, but this database has none: it is another database, or lost its ledger. \
         To begin a new ledger on it, move that file away"
    )]
    HeadWithoutLedger {
        /// Where the head is.
        path: std::path::PathBuf,
    },
    /// The ledger is signed with another key.
    #[error(
        "the ledger of this database is signed with {found}, but the key that was given is {given}; \
         every node needs the same ledger.key"
    )]
    OtherKey {
        /// The database's.
        found: String,
        /// The one that was given.
        given: String,
    },
    /// The ledger has another name.
    #[error("this ledger is named {found} once and for all, and cannot be renamed {given}")]
    OtherOrigin {
        /// Its name.
        found: String,
        /// The one that was given.
        given: String,
    },
    /// The name does not do.
    #[error("ledger_origin: {0}")]
    Origin(CheckpointError),
    /// The head outside the database says that the ledger was rolled back or forked.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The ledger does not read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Rows that name no event, or one that has its entry, stand for nothing that is to come.
const WAITS_STILL: &str = "SELECT e.sequence FROM ledger_pending p JOIN events e \
    ON e.aggregate_type = p.aggregate_type AND e.aggregate_id = p.aggregate_id AND e.sequence = p.sequence \
    LEFT JOIN ledger_entries l ON {entry_of_event} WHERE e.recorded_at <= $1 AND l.position IS NULL LIMIT 1";

impl Ledger {
    /// Opens the ledger, and makes it at the first start.
    ///
    /// # Errors
    /// Says why not, in words for whoever runs the program.
    pub async fn open(
        config: &Config,
        database: &Database,
        trust: LedgerTrust,
        now: Timestamp,
    ) -> Result<Self, LedgerStartError> {
        let store = LedgerStore::new(database.clone());
        let (signer, state) = key::signer_of(config, &store, now).await?;
        let ledger = Self::of(config, store, signer)?;
        match trust {
            LedgerTrust::Head => ledger.head.check(&ledger.store, &state).await?,
            LedgerTrust::Database => {}
        }
        Ok(ledger)
    }

    /// Opens the ledger as it is there, and makes nothing: to look at it.
    ///
    /// # Errors
    /// As for [`Ledger::open`], and when there is no ledger or no key.
    pub async fn open_existing(config: &Config, database: &Database) -> Result<Self, LedgerStartError> {
        let store = LedgerStore::new(database.clone());
        let signer = key::existing_signer(config, &store).await?;
        Self::of(config, store, signer)
    }

    /// What the head outside the database says, if the ledger has grown from it.
    ///
    /// # Errors
    /// [`HeadError`] if it has not.
    pub async fn head_agrees(&self) -> Result<String, HeadError> {
        let state = self.store.state().await?.ok_or(LedgerError::NotThere)?;
        self.head.check(&self.store, &state).await?;
        Ok(match self.head.trusted() {
            Some(head) => format!("signs {} entries, and the ledger has grown from them", head.size),
            None => "there is none yet".to_owned(),
        })
    }

    /// The checkpoint of an earlier size, signed as it would have been then. What is stored must prove that
    /// the ledger has grown from it.
    ///
    /// # Errors
    /// The ledger was never so large, or does not read.
    pub async fn checkpoint_of(&self, size: u64) -> Result<String, LedgerError> {
        let (_, signed) = self.checkpoint().await?;
        let root = self.store.root(size, signed.size).await?;
        if !self.store.has_grown((size, root), (signed.size, signed.root)).await? {
            return Err(LedgerError::Corrupt(format!(
                "its first {size} entries are not those that were signed"
            )));
        }
        Ok(self.signer.sign(size, root))
    }

    /// A report, signed with the key that signs the ledger: a note of one line of JSON, which is never a checkpoint.
    ///
    /// # Errors
    /// It is not one line of JSON.
    pub fn sign_report(&self, json: &str) -> Result<String, LedgerError> {
        Ok(self.signer.sign_report(json)?)
    }

    /// What this node appends.
    #[must_use]
    pub fn appends(&self) -> Arc<Appends> {
        Arc::clone(&self.appends)
    }

    /// How many entries the trail has taken in, as it grows. It is told of a stop too.
    #[must_use]
    pub fn trail(&self) -> watch::Receiver<u64> {
        self.trail.subscribe()
    }

    /// Whether the program is about to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Lets those who wait for more entries go.
    pub fn stop_listeners(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.trail.send_modify(|_| {});
    }

    /// The key that checks what this ledger signs.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        self.signer.verifier()
    }

    /// The latest signed checkpoint, as it was signed and as it reads.
    ///
    /// # Errors
    /// When the database does not answer, or holds what this key has not signed.
    pub async fn checkpoint(&self) -> Result<(String, Checkpoint), LedgerError> {
        let state = self.store.state().await?.ok_or(LedgerError::NotThere)?;
        let checkpoint = self.verifier().verify(state.checkpoint.as_bytes())?;
        Ok((state.checkpoint, checkpoint))
    }

    /// The latest checkpoint, once it covers this entry; none when it does not within two seconds.
    ///
    /// # Errors
    /// As for [`Ledger::checkpoint`].
    pub async fn checkpoint_over(&self, position: u64) -> Result<Option<(String, Checkpoint)>, LedgerError> {
        let deadline = Instant::now() + SIGNED_WAIT;
        loop {
            let (note, checkpoint) = self.checkpoint().await?;
            if checkpoint.size > position {
                return Ok(Some((note, checkpoint)));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(SIGNED_POLL).await;
        }
    }

    /// Waits for a while until nothing waits any more that was recorded at a moment or before; whether that came to be.
    ///
    /// # Errors
    /// As for [`Ledger::checkpoint`].
    pub async fn has_placed_what_was_recorded(&self, at: Timestamp) -> Result<bool, LedgerError> {
        let database = self.store.database();
        let deadline = Instant::now() + SIGNED_WAIT;
        while !database.read(WAITS_STILL, &[at.into()]).await?.is_empty() {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(SIGNED_POLL).await;
        }
        Ok(true)
    }

    /// Waits for a while until a read model has taken in every entry that there is now; whether that came to be.
    ///
    /// # Errors
    /// As for [`Ledger::checkpoint`].
    pub async fn has_taken_in_everything<P: Projection>(&self) -> Result<bool, LedgerError> {
        let deadline = Instant::now() + SIGNED_WAIT;
        let size = self.store.state().await?.ok_or(LedgerError::NotThere)?.size();
        while catch_up::position::<P>(self.store.database()).await? < size {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(SIGNED_POLL).await;
        }
        Ok(true)
    }

    /// Gives everything that waits its place, signs it, and lets the trail take it in: for the command
    /// line, which may run where no server does. Answers the checkpoint.
    ///
    /// # Errors
    /// When the database does not answer or the stored tree is not the one that was signed before.
    pub async fn sequence_all(&self, now: Timestamp) -> Result<(String, Checkpoint), HeadError> {
        let head = self.head.trusted();
        let size = self.drain(&mut self.sequencer(), Trust::Head(head.as_ref()), now).await?;
        self.follow(&AuditTrail, size).await?;
        self.follow(&Coverage, size).await?;
        let (note, checkpoint) = self.checkpoint().await?;
        self.head.advance(&self.store, &note).await?;
        Ok((note, checkpoint))
    }

    async fn follow<P: Projection>(&self, projection: &P, size: u64) -> Result<(), LedgerError> {
        if let CaughtUp::Poisoned(position) = catch_up(projection, self.store.database(), size).await? {
            tracing::error!(read_model = P::NAME, position, "it stops before an entry that it cannot take");
        }
        Ok(())
    }

    fn of(config: &Config, store: LedgerStore, signer: Signer) -> Result<Self, LedgerStartError> {
        let head = Head::open(config.data_dir.join(HEAD_FILE), signer.verifier().clone())?;
        Ok(Self {
            store,
            head,
            health: Health::default(),
            signer: Arc::new(signer),
            appends: Arc::default(),
            trail: watch::Sender::new(0),
            stopping: AtomicBool::new(false),
        })
    }

    /// Takes turns until what waited has its place; how many entries there are then.
    async fn drain(
        &self,
        sequencer: &mut Sequencer,
        trust: Trust<'_>,
        now: Timestamp,
    ) -> Result<u64, LedgerError> {
        for _ in 0..TURNS_MAX {
            let turn = sequencer.turn(trust, now).await?;
            if !turn.again {
                return Ok(turn.size);
            }
        }
        Err(DatabaseError::Busy.into())
    }

    fn sequencer(&self) -> Sequencer {
        Sequencer::new(self.store.clone(), Arc::clone(&self.signer), self.appends())
    }
}
