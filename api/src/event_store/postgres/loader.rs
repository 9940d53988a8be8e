//! The loader: whatever loads wait are answered by one statement per kind of load.

use std::collections::{BTreeMap, VecDeque};

use countersign_projections::database::{Database, DatabaseError, postgres};
use sqlx::Arguments;
use sqlx::postgres::{PgArguments, PgRow};
use tokio::sync::{mpsc, oneshot};

use super::connection::{Failure, OwnConnection};
use super::{BATCH_MAX, let_others_come};
use crate::event_store::journal::{LoadQuery, LoadedRow};

/// A load that waits for its turn.
pub(super) struct WaitingLoad {
    pub(super) query: &'static LoadQuery,
    pub(super) wanted: Wanted,
    pub(super) reply: oneshot::Sender<Result<LoadedRow, DatabaseError>>,
}

/// The task that sends loads.
pub(super) struct Loader {
    database: Database,
    connection: OwnConnection,
    waiting: mpsc::Receiver<WaitingLoad>,
}

impl Loader {
    pub(super) fn new(
        database: Database,
        connection: OwnConnection,
        waiting: mpsc::Receiver<WaitingLoad>,
    ) -> Self {
        Loader { database, connection, waiting }
    }

    /// Serves until every sender is gone.
    ///
    /// A load never joins a statement that is already under way: that one may not see an append that
    /// was acknowledged since.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.waiting.recv().await {
            let mut batch = vec![first];
            let_others_come().await;
            while batch.len() < BATCH_MAX
                && let Ok(next) = self.waiting.try_recv()
            {
                batch.push(next);
            }
            self.answer(by_query(batch)).await;
        }
    }

    async fn answer(&mut self, mut groups: VecDeque<Group>) {
        while let Some(group) = groups.pop_front() {
            match self.load(&group).await {
                Ok(found) => group.answer(&found),
                // One strange id must not fail its neighbours.
                Err(Failure::Refused(_)) if group.asked.len() > 1 => groups.extend(group.one_by_one()),
                Err(
                    Failure::Refused(error)
                    | Failure::Collided(error)
                    | Failure::Lost(error)
                    | Failure::Unreachable(error),
                ) => group.fail(&error),
            }
        }
    }

    async fn load(&mut self, group: &Group) -> Result<Found, Failure> {
        let rows = match self.send(group).await {
            // Reading twice does no harm.
            Err(Failure::Lost(_)) => self.send(group).await?,
            answer => answer?,
        };
        found(&rows).map_err(Failure::Refused)
    }

    async fn send(&mut self, group: &Group) -> Result<Vec<PgRow>, Failure> {
        self.database.count(group.query.kind);
        let sql = self.database.sql(group.query.sql);
        let arguments = group.arguments().map_err(Failure::Refused)?;
        self.connection.fetch(&sql, arguments).await
    }
}

/// An id, and the subject of the command if it has one.
type Wanted = (String, Option<String>);

type Found = BTreeMap<Wanted, LoadedRow>;

type Reply = oneshot::Sender<Result<LoadedRow, DatabaseError>>;

/// Loads of one kind; those of the same aggregate share a row.
struct Group {
    query: &'static LoadQuery,
    asked: BTreeMap<Wanted, Vec<Reply>>,
}

impl Group {
    fn arguments(&self) -> Result<PgArguments, DatabaseError> {
        let ids: Vec<&str> = self.asked.keys().map(|(id, _)| id.as_str()).collect();
        let subjects: Vec<Option<&str>> = self.asked.keys().map(|(_, subject)| subject.as_deref()).collect();
        let mut arguments = PgArguments::default();
        arguments
            .add(ids)
            .and_then(|()| arguments.add(subjects))
            .map_err(|_| DatabaseError::Query("the ids to load are too large".to_owned()))?;
        Ok(arguments)
    }

    fn answer(self, found: &Found) {
        for (wanted, replies) in self.asked {
            let row = found.get(&wanted).cloned().unwrap_or_default();
            for reply in replies {
                // Who asked may have gone away.
                drop(reply.send(Ok(row.clone())));
            }
        }
    }

    fn fail(self, error: &DatabaseError) {
        for reply in self.asked.into_values().flatten() {
            drop(reply.send(Err(error.clone())));
        }
    }

    fn one_by_one(self) -> impl Iterator<Item = Group> {
        let query = self.query;
        self.asked.into_iter().map(move |asked| Group { query, asked: BTreeMap::from([asked]) })
    }
}

fn by_query(batch: Vec<WaitingLoad>) -> VecDeque<Group> {
    let mut groups = BTreeMap::new();
    for WaitingLoad { query, wanted, reply } in batch {
        let group = groups.entry(query.name).or_insert_with(|| Group { query, asked: BTreeMap::new() });
        group.asked.entry(wanted).or_default().push(reply);
    }
    groups.into_values().collect()
}

fn found(rows: &[PgRow]) -> Result<Found, DatabaseError> {
    let rows = postgres::rows(rows)?;
    rows.iter().map(|row| Ok(((row.get("id")?, row.get("subject")?), LoadedRow::from_row(row)?))).collect()
}
