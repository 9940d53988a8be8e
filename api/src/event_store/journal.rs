//! The journal: load a stream, append to it, on either database.
//!
//! An append is whole or not at all: events, snapshot, pending rows and every change commit
//! together, or nothing does. It succeeds only if the stream is where the command saw it.

mod append;
#[cfg(test)]
mod tests;

use countersign_projections::database::{Database, DatabaseError, Engine, Row, StatementKind};
use countersign_projections::table::Value;
use cqrs_es::Aggregate;
use cqrs_es::persist::SerializedEvent;

pub(super) use append::IS_AS_EXPECTED;
pub use append::{Append, AppendError, EventRow};

use super::postgres::PostgresJournal;
use super::sqlite::SqliteJournal;

/// The events of one installation; clones share its queues and connections.
#[derive(Clone)]
pub struct Journal {
    engine: JournalEngine,
}

/// How a kind of aggregate is loaded, or what else is found by its id, in one statement for any number of them.
///
/// The text uses the tokens of [`Database::sql`]. It selects from `{wanted}` and returns a row for
/// each `(id, subject)` of it: `id`, `subject`, `sequence`, `snapshot_number` and `snapshot` (null without one), `tail`
/// (the events after the snapshot) and `facts` (what the decision needs besides), as JSON.
pub struct LoadQuery {
    /// Tells it from every other load query of the program.
    pub name: &'static str,
    /// As what the figures count it.
    pub kind: StatementKind,
    /// The statement.
    pub sql: &'static str,
}

/// What a load found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedRow {
    /// The sequence that the snapshot stands at.
    pub sequence: Option<i64>,
    /// How often a snapshot was written, or replaced.
    pub snapshot_number: Option<i64>,
    /// The hash of the leaf of the event of that sequence, in base64.
    pub leaf_hash: Option<String>,
    /// The snapshot, as JSON.
    pub snapshot: Option<String>,
    /// The events after the snapshot, as the query lists them, as JSON.
    pub tail: Option<String>,
    /// Facts that the decision needs, as JSON.
    pub facts: Option<String>,
}

impl Journal {
    /// Opens the journal of a migrated database.
    ///
    /// # Errors
    /// `Unavailable` if PostgreSQL does not accept the two connections that the journal owns.
    pub async fn open(database: Database) -> Result<Self, DatabaseError> {
        let engine = match database.engine().clone() {
            Engine::Postgres(postgres) => {
                JournalEngine::Postgres(PostgresJournal::open(database, &postgres).await?)
            }
            Engine::Sqlite(sqlite) => JournalEngine::Sqlite(SqliteJournal::open(database, sqlite)),
        };
        Ok(Journal { engine })
    }

    /// Loads one aggregate, and what the command is about if that is another thing.
    ///
    /// Sees every append that was acknowledged before this was called, on any node.
    ///
    /// # Errors
    /// `Busy` if too much is waiting, `Unavailable` if the database cannot be reached.
    pub async fn load(
        &self,
        query: &'static LoadQuery,
        id: &str,
        subject: Option<&str>,
    ) -> Result<LoadedRow, DatabaseError> {
        if id.contains('\0') || subject.is_some_and(|subject| subject.contains('\0')) {
            return Err(DatabaseError::Query("an id holds a NUL character".to_owned()));
        }
        match &self.engine {
            JournalEngine::Postgres(postgres) => postgres.load(query, id, subject).await,
            JournalEngine::Sqlite(sqlite) => sqlite.load(query, &[Value::from(id), Value::from(subject)]),
        }
    }

    /// Appends to one stream. Once this was polled the append takes place (or is refused) even if
    /// the caller goes away.
    ///
    /// # Errors
    /// See [`AppendError`]; after all but `Unavailable` it is certain that nothing was stored.
    pub async fn append(&self, append: Append) -> Result<(), AppendError> {
        append.check()?;
        match &self.engine {
            JournalEngine::Postgres(postgres) => postgres.append(append).await,
            JournalEngine::Sqlite(sqlite) => sqlite.append(append).await,
        }
    }

    /// Every event of one stream, oldest first, for folding it anew.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached, `Corrupt` if an event is not JSON.
    pub async fn events_of<A: Aggregate>(&self, id: &str) -> Result<Vec<SerializedEvent>, DatabaseError> {
        match &self.engine {
            JournalEngine::Postgres(postgres) => postgres.events_of::<A>(id).await,
            JournalEngine::Sqlite(sqlite) => sqlite.events_of(A::TYPE, id).await,
        }
    }
}

#[derive(Clone)]
enum JournalEngine {
    Postgres(PostgresJournal),
    Sqlite(SqliteJournal),
}

impl LoadedRow {
    /// Reads what a load query returns for one aggregate.
    pub(super) fn from_row(row: &Row) -> Result<Self, DatabaseError> {
        Ok(LoadedRow {
            sequence: row.get("sequence")?,
            snapshot_number: row.get("snapshot_number")?,
            leaf_hash: row.get("leaf_hash")?,
            snapshot: row.get("snapshot")?,
            tail: row.get("tail")?,
            facts: row.get("facts")?,
        })
    }
}
