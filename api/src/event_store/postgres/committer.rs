//! The committer: whatever appends wait are stored by one statement, which is one transaction.

use std::collections::{HashMap, HashSet, VecDeque};

use countersign_projections::database::{Database, DatabaseError, StatementKind, postgres};
use sqlx::postgres::PgRow;
use tokio::sync::{mpsc, oneshot};

use super::connection::{Failure, OwnConnection};
use super::{BATCH_MAX, WAITING_MAX, let_others_come, statement};
use crate::event_store::journal::{Append, AppendError};

/// An append that waits for its turn.
pub(super) struct WaitingAppend {
    append: Append,
    /// The stream and rows that it writes, see [`Append::touched`].
    touched: Vec<u64>,
    reply: oneshot::Sender<Result<(), AppendError>>,
}

/// The task that sends appends.
pub(super) struct Committer {
    database: Database,
    connection: OwnConnection,
    waiting: mpsc::Receiver<WaitingAppend>,
    /// Those that must not share a statement with one before them, in order; at most a batch.
    held_back: Vec<WaitingAppend>,
}

impl WaitingAppend {
    pub(super) fn new(append: Append, reply: oneshot::Sender<Result<(), AppendError>>) -> Self {
        let touched = append.touched();
        WaitingAppend { append, touched, reply }
    }

    fn answer(self, answer: Result<(), AppendError>) {
        // The caller may have gone away; what was stored stays stored.
        drop(self.reply.send(answer));
    }
}

impl Committer {
    pub(super) fn new(
        database: Database,
        connection: OwnConnection,
        waiting: mpsc::Receiver<WaitingAppend>,
    ) -> Self {
        Committer { database, connection, waiting, held_back: Vec::new() }
    }

    /// Serves until every sender is gone and everything that they left is stored.
    pub(super) async fn run(mut self) {
        while let Some(batch) = self.next_batch().await {
            self.commit(batch).await;
        }
    }

    /// Whatever waits, except those that write a stream or a row that one before them writes.
    async fn next_batch(&mut self) -> Option<Vec<WaitingAppend>> {
        let mut candidates = std::mem::take(&mut self.held_back);
        if candidates.is_empty() {
            candidates.push(self.waiting.recv().await?);
        }
        let_others_come().await;
        while candidates.len() < BATCH_MAX
            && let Ok(next) = self.waiting.try_recv()
        {
            candidates.push(next);
        }
        let (batch, held_back) = apart(candidates);
        self.held_back = held_back;
        Some(batch)
    }

    async fn commit(&mut self, batch: Vec<WaitingAppend>) {
        let mut groups = VecDeque::from([Group { appends: batch, again: false }]);
        while let Some(group) = groups.pop_front() {
            match self.store(&group).await {
                Ok(stored) => group.answer(&stored),
                Err(Failure::Refused(error @ DatabaseError::Unavailable(_))) => group.fail(&error.into()),
                // One command's violation, or one node's deadlock, must not fail its neighbours.
                Err(Failure::Refused(_) | Failure::Collided(_)) if group.appends.len() > 1 => {
                    groups.extend(group.one_by_one());
                }
                // Of the second try; the first may still be under way, or have taken place.
                Err(Failure::Refused(error) | Failure::Collided(error)) if group.again => {
                    let lost = DatabaseError::Unavailable(error.to_string());
                    // What a constraint keeps out of the second try, it keeps out of the first as well.
                    let refused =
                        if let DatabaseError::Constraint { .. } = error { error } else { lost.clone() };
                    groups.extend(self.settle(group, lost, &refused).await);
                }
                Err(Failure::Refused(error)) => group.fail(&error.into()),
                Err(Failure::Collided(_)) => group.fail(&AppendError::Conflict),
                Err(Failure::Lost(error)) => groups.extend(self.settle(group, error.clone(), &error).await),
                Err(Failure::Unreachable(error)) => {
                    group.fail(&error.clone().into());
                    self.fail_all_waiting(&error);
                }
            }
        }
    }

    /// Sends a group; which of its appends are stored.
    async fn store(&mut self, group: &Group) -> Result<Vec<bool>, Failure> {
        let appends = group.appends();
        let statement = statement::store(&appends).map_err(Failure::Refused)?;
        self.database.count(StatementKind::Append);
        let rows = self.connection.fetch(&statement.sql, statement.arguments).await?;
        let moved = moved(&rows).map_err(Failure::Lost)?;
        let stream = |append: &&Append| (append.stream_type.to_owned(), append.stream_id.clone());
        let mut stored: Vec<bool> = appends.iter().map(|append| moved.contains(&stream(append))).collect();
        if group.again {
            // The first try may have taken place after all, and this one has met it as a conflict.
            for (stored, found) in stored.iter_mut().zip(self.find(group).await?) {
                *stored |= found == Found::Ours;
            }
        }
        Ok(stored)
    }

    /// After a lost connection: answers what can be known, and hands back what is to be tried again.
    ///
    /// The server may still be working on the statement that was lost. Trying again is safe: a stream
    /// moves on from one sequence only once, so the second of the two stores nothing. `refused` is why, where that is
    /// known to have stored nothing.
    async fn settle(&mut self, group: Group, lost: DatabaseError, refused: &DatabaseError) -> Option<Group> {
        tracing::warn!(appends = group.appends.len(), error = %lost, "looking up what became of a batch");
        for _ in 0..LOOKUPS_MAX {
            match self.find(&group).await {
                Ok(found) => return group.settle(found, refused),
                Err(Failure::Lost(_)) => {}
                Err(Failure::Refused(_) | Failure::Collided(_) | Failure::Unreachable(_)) => break,
            }
        }
        group.fail(&lost.into());
        None
    }

    async fn find(&mut self, group: &Group) -> Result<Vec<Found>, Failure> {
        let appends = group.appends();
        let statement = statement::find(&appends).map_err(Failure::Refused)?;
        self.database.count(StatementKind::Read);
        let rows = self.connection.fetch(&statement.sql, statement.arguments).await?;
        let stored = stored_ids(&rows).map_err(Failure::Refused)?;
        let found =
            (1..).zip(&appends).map(|(place, append)| match (stored.get(&place), append.events.first()) {
                (Some(id), Some(event)) if *id == event.event_id => Found::Ours,
                (Some(_), _) => Found::Another,
                (None, _) => Found::Nothing,
            });
        Ok(found.collect())
    }

    /// Whoever waits would only wait for the same failure.
    fn fail_all_waiting(&mut self, error: &DatabaseError) {
        for waiting in self.held_back.drain(..) {
            waiting.answer(Err(error.clone().into()));
        }
        for _ in 0..WAITING_MAX {
            let Ok(waiting) = self.waiting.try_recv() else { break };
            waiting.answer(Err(error.clone().into()));
        }
    }
}

/// How often the lookup after a lost connection is tried, if it is lost as well.
const LOOKUPS_MAX: usize = 3;

/// What stands where an append wanted to put its first event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Ours,
    Another,
    Nothing,
}

/// Appends that are sent together.
struct Group {
    appends: Vec<WaitingAppend>,
    /// They were sent before, on a connection that broke.
    again: bool,
}

impl Group {
    fn appends(&self) -> Vec<&Append> {
        self.appends.iter().map(|waiting| &waiting.append).collect()
    }

    fn answer(self, stored: &[bool]) {
        for (waiting, stored) in self.appends.into_iter().zip(stored) {
            waiting.answer(if *stored { Ok(()) } else { Err(AppendError::Conflict) });
        }
    }

    fn fail(self, error: &AppendError) {
        for waiting in self.appends {
            waiting.answer(Err(error.clone()));
        }
    }

    fn one_by_one(self) -> impl Iterator<Item = Group> {
        let again = self.again;
        self.appends.into_iter().map(move |waiting| Group { appends: vec![waiting], again })
    }

    /// Answers those that are stored and those that cannot be any more; the rest is tried once more.
    fn settle(self, found: Vec<Found>, refused: &DatabaseError) -> Option<Group> {
        let mut not_stored = Vec::new();
        for (waiting, found) in self.appends.into_iter().zip(found) {
            match found {
                Found::Ours => waiting.answer(Ok(())),
                Found::Another => waiting.answer(Err(AppendError::Conflict)),
                Found::Nothing if self.again => waiting.answer(Err(refused.clone().into())),
                Found::Nothing => not_stored.push(waiting),
            }
        }
        (!not_stored.is_empty()).then_some(Group { appends: not_stored, again: true })
    }
}

/// Parts a batch from those that must wait for one before them, keeping the order.
fn apart(candidates: Vec<WaitingAppend>) -> (Vec<WaitingAppend>, Vec<WaitingAppend>) {
    let mut touched = HashSet::new();
    candidates.into_iter().partition(|candidate| {
        let free = candidate.touched.iter().all(|row| !touched.contains(row));
        // One that is held back holds back whoever comes after it, too.
        touched.extend(candidate.touched.iter().copied());
        free
    })
}

fn moved(rows: &[PgRow]) -> Result<HashSet<(String, String)>, DatabaseError> {
    let rows = postgres::rows(rows)?;
    rows.iter().map(|row| Ok((row.get("aggregate_type")?, row.get("aggregate_id")?))).collect()
}

fn stored_ids(rows: &[PgRow]) -> Result<HashMap<i64, String>, DatabaseError> {
    let rows = postgres::rows(rows)?;
    rows.iter().map(|row| Ok((row.get("place")?, row.get("event_id")?))).collect()
}
