//! Verifying the ledger of the database.

use countersign_projections::database::{Database, DatabaseError};
use countersign_projections::ledger::verify::stored::{StoredError, StoredReport, verify_stored};

use crate::config::Config;
use crate::ledger::{Ledger, LedgerStartError};

/// What keeps the ledger from being verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database is not as this program knows it.
    #[error("these migrations are missing: {0}; run `countersign migrate` first")]
    NotMigrated(String),
    /// The key or the head outside the database does not do.
    #[error(transparent)]
    Ledger(#[from] LedgerStartError),
    /// It was not carried through.
    #[error(transparent)]
    Stored(#[from] StoredError),
}

/// Checks the whole ledger against its events, its tree, its signature and the head outside the database.
/// It believes only the key that the program is given.
///
/// # Errors
/// What keeps it from reading the ledger. What is wrong in it is in the report.
pub async fn verify_database(
    config: &Config,
    progress: impl FnMut(u64, u64),
) -> Result<StoredReport, VerifyError> {
    let database = Database::connect_existing(&config.database).await?;
    let missing = database.pending_migrations().await?;
    if !missing.is_empty() {
        return Err(VerifyError::NotMigrated(missing.join(", ")));
    }
    let ledger = Ledger::open_existing(config, &database).await?;
    let head = ledger.head.trusted();
    Ok(verify_stored(&database, ledger.verifier(), head.as_ref(), progress).await?)
}
