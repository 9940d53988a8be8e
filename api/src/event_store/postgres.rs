//! The journal on PostgreSQL: one loader and one committer, each with a connection of its own.
//!
//! Whatever waits is sent in one statement, once everybody who can go on has, and with no delay for more to come.
//! The queues are bounded; a caller that goes away leaves its append in the queue, and it is stored all the same.

mod committer;
mod connection;
mod loader;
mod statement;

use countersign_projections::database::{Database, DatabaseError, Postgres, StatementKind};
use cqrs_es::Aggregate;
use cqrs_es::persist::{PersistedEventRepository, PersistenceError, SerializedEvent};
use postgres_es::PostgresEventRepository;
use tokio::sync::{mpsc, oneshot};

use super::journal::{Append, AppendError, LoadQuery, LoadedRow};
use committer::{Committer, WaitingAppend};
use connection::OwnConnection;
use loader::{Loader, WaitingLoad};

/// The journal's way to a PostgreSQL database. Loader and committer end with the last clone.
#[derive(Clone)]
pub(super) struct PostgresJournal {
    database: Database,
    postgres: Postgres,
    loads: mpsc::Sender<WaitingLoad>,
    appends: mpsc::Sender<WaitingAppend>,
}

impl PostgresJournal {
    pub(super) async fn open(database: Database, postgres: &Postgres) -> Result<Self, DatabaseError> {
        let loading = OwnConnection::open(postgres.options(), "countersign loader").await?;
        let committing = OwnConnection::open(postgres.options(), "countersign committer").await?;
        let (loads, waiting_loads) = mpsc::channel(WAITING_MAX);
        let (appends, waiting_appends) = mpsc::channel(WAITING_MAX);
        tokio::spawn(Loader::new(database.clone(), loading, waiting_loads).run());
        tokio::spawn(Committer::new(database.clone(), committing, waiting_appends).run());
        Ok(PostgresJournal { database, postgres: postgres.clone(), loads, appends })
    }

    pub(super) async fn load(
        &self,
        query: &'static LoadQuery,
        id: &str,
        subject: Option<&str>,
    ) -> Result<LoadedRow, DatabaseError> {
        let (reply, answer) = oneshot::channel();
        let subject = subject.map(str::to_owned);
        enqueue(&self.loads, WaitingLoad { query, wanted: (id.to_owned(), subject), reply })?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    pub(super) async fn append(&self, append: Append) -> Result<(), AppendError> {
        let (reply, answer) = oneshot::channel();
        enqueue(&self.appends, WaitingAppend::new(append, reply))?;
        answer.await.unwrap_or_else(|_| Err(stopped().into()))
    }

    /// Through postgres-es, whose table layout this is.
    pub(super) async fn events_of<A: Aggregate>(
        &self,
        id: &str,
    ) -> Result<Vec<SerializedEvent>, DatabaseError> {
        self.database.count(StatementKind::Read);
        let repository = PostgresEventRepository::new(self.postgres.pool().clone());
        repository.get_events::<A>(id).await.map_err(|error| match error {
            PersistenceError::ConnectionError(_) => {
                DatabaseError::Unavailable("the events could not be read".to_owned())
            }
            PersistenceError::DeserializationError(_) => {
                DatabaseError::Corrupt("an event is not what the program wrote".to_owned())
            }
            PersistenceError::OptimisticLockError | PersistenceError::UnknownError(_) => {
                DatabaseError::Query("the events could not be read".to_owned())
            }
        })
    }
}

/// Loads, and appends, that may wait; the next one is told that the database is busy.
const WAITING_MAX: usize = 1_024;

/// Loads, or appends, that share one statement.
const BATCH_MAX: usize = 64;

/// Lets every request that can go on do so before a statement is filled. Nobody waits for anything that is still to
/// come, so this costs nothing where little is going on; without it the first of many that come together would be
/// sent alone, since it wakes the task that sends at once.
async fn let_others_come() {
    tokio::task::yield_now().await;
}

fn enqueue<T>(queue: &mpsc::Sender<T>, waiting: T) -> Result<(), DatabaseError> {
    queue.try_send(waiting).map_err(|refused| match refused {
        mpsc::error::TrySendError::Full(_) => DatabaseError::Busy,
        mpsc::error::TrySendError::Closed(_) => stopped(),
    })
}

fn stopped() -> DatabaseError {
    DatabaseError::Unavailable("the program is stopping".to_owned())
}
