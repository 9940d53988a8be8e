//! What a running program consists of.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use countersign_projections::database::{Database, DatabaseError};

use secrecy::ExposeSecret;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::config::Config;
use crate::event_store::EventStore;
use crate::event_store::journal::Journal;
use crate::ledger::{Ledger, LedgerStartError, LedgerTrust};
use crate::passwords::Passwords;
use crate::queue::StreamQueues;
use crate::to_the_end::ToTheEnd;
use crate::vault::keys::KeyError;
use crate::vault::{MasterKey, Vault};
use crate::webhooks::figures::Figures;

/// Each export and each listener holds a connection and a page of entries.
const LISTENERS_MAX: usize = 64;

/// Everything that handlers and commands share.
pub struct App {
    /// What was configured.
    pub config: Config,
    /// Tells the time.
    pub clock: Clock,
    /// The database.
    pub database: Database,
    /// Loads and appends.
    pub store: EventStore,
    /// So many exports and streams of the trail may be under way.
    pub listeners: Arc<Semaphore>,
    /// A report that goes through every entry is made one at a time.
    pub long_reports: Semaphore,
    /// The order of all events, and its proofs.
    pub ledger: Ledger,
    /// Opens and seals.
    pub vault: Vault,
    /// Hashes and judges passwords.
    pub passwords: Passwords,
    /// Commands on one stream take turns.
    pub queues: StreamQueues,
    /// What became of deliveries to webhooks.
    pub webhooks: Figures,
    /// What is written in two parts.
    pub to_the_end: ToTheEnd,
}

/// Why the program does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made.
    #[error("the data directory {path} cannot be made: {reason}")]
    DataDir {
        /// Which one.
        path: PathBuf,
        /// What the operating system says.
        reason: io::Error,
    },
    /// The database does not do.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The keys do not do.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The ledger does not do.
    #[error(transparent)]
    Ledger(#[from] LedgerStartError),
    /// The address to listen on does not do.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Which one.
        address: std::net::SocketAddr,
        /// What the operating system says.
        reason: io::Error,
    },
    /// The thread pool for passwords does not do.
    #[error(transparent)]
    Passwords(#[from] crate::passwords::PasswordError),
}

impl App {
    /// Connects, migrates, and opens the vault and the ledger.
    ///
    /// # Errors
    /// Says why not, in words for whoever runs the program.
    pub async fn open(config: Config, clock: Clock) -> Result<Arc<Self>, StartError> {
        Self::open_on(config, clock, LedgerTrust::Head).await
    }

    /// The same, on a ledger that is trusted in one way or the other.
    ///
    /// # Errors
    /// As for [`App::open`].
    pub async fn open_on(config: Config, clock: Clock, trust: LedgerTrust) -> Result<Arc<Self>, StartError> {
        let database = connect(&config).await?;
        for name in database.migrate(clock.now()).await? {
            tracing::info!(migration = name, "migration applied");
        }
        let master = master_key(&config, &database).await?;
        let vault = Vault::open(&database, master, clock.now()).await?;
        let ledger = Ledger::open(&config, &database, trust, clock.now()).await?;
        let journal = Journal::open(database.clone()).await?;
        Ok(Arc::new(Self {
            store: EventStore::new(journal, ledger.appends()),
            long_reports: Semaphore::new(1),
            listeners: Arc::new(Semaphore::new(LISTENERS_MAX)),
            ledger,
            passwords: Passwords::new(config.password_length_min)?,
            queues: StreamQueues::default(),
            webhooks: Figures::default(),
            to_the_end: ToTheEnd::default(),
            config,
            clock,
            database,
            vault,
        }))
    }
}

/// Connects to the database, and makes the data directory where it may lie.
///
/// # Errors
/// Says why not, in words for whoever runs the program.
pub async fn connect(config: &Config) -> Result<Database, StartError> {
    make_private(&config.data_dir)
        .map_err(|reason| StartError::DataDir { path: config.data_dir.clone(), reason })?;
    Ok(Database::connect(&config.database).await?)
}

fn make_private(data_dir: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)
}

/// The master key that was configured or made before; none before the first start.
///
/// # Errors
/// Says why what is there does not do.
pub fn existing_master_key(config: &Config) -> Result<Option<MasterKey>, KeyError> {
    if let Some(text) = &config.master_key {
        return MasterKey::parse(text.expose_secret(), "the setting master_key").map(Some);
    }
    MasterKey::read(&config.data_dir.join("master.key"))
}

async fn master_key(config: &Config, database: &Database) -> Result<MasterKey, StartError> {
    if let Some(key) = existing_master_key(config)? {
        return Ok(key);
    }
    let path = config.data_dir.join("master.key");
    // A new key would open nothing of what is there.
    if let Some(master_key_id) = Vault::master_key_id_of(database).await? {
        return Err(KeyError::Missing { path, master_key_id }.into());
    }
    Ok(MasterKey::create(&path)?)
}
