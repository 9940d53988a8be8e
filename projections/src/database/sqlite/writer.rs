//! The writer thread: whatever waits is committed together, since the sync to disk is what costs.

use std::panic::{self, AssertUnwindSafe};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::database::DatabaseError;

/// The way to the writer thread, which ends when the last of these is dropped.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Box<dyn Job>>,
}

impl Writer {
    /// Starts the thread, which owns the connection from here on.
    pub(super) fn start(connection: Connection) -> Result<Self, DatabaseError> {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || serve(&connection, waiting))
            .map_err(|error| DatabaseError::Unavailable(error.to_string()))?;
        Ok(Writer { jobs })
    }

    /// See [`super::Sqlite::submit`].
    pub(super) async fn submit<T, E>(
        &self,
        sharing: Sharing,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Work { sharing, task: Some(work), outcome: None, reply });
        self.jobs.try_send(job).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => DatabaseError::Busy,
            mpsc::error::TrySendError::Closed(_) => writer_stopped(),
        })?;
        answer.await.unwrap_or_else(|_| Err(writer_stopped().into()))
    }
}

/// Jobs that may wait; the next one is told that the database is busy.
const WAITING_MAX: usize = 1_024;

/// Jobs that share one commit.
const BATCH_MAX: usize = 64;

/// Whether work is committed together with other work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// With whatever waits.
    Together,
    /// By itself: it reads through other connections, which see only what is committed.
    Alone,
}

/// Work without its types, so that jobs of all kinds wait in one queue.
trait Job: Send {
    /// Whether it may share a commit.
    fn sharing(&self) -> Sharing;

    /// Does the work; whether it is to be kept.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Tells the caller, if it is still there. Only called when the commit is known to have
    /// happened or to have failed.
    fn answer(self: Box<Self>, committed: Result<(), DatabaseError>);
}

struct Work<T, E, F> {
    sharing: Sharing,
    task: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for Work<T, E, F>
where
    T: Send,
    E: From<DatabaseError> + Send,
    F: FnOnce(&Connection) -> Result<T, E> + Send,
{
    fn sharing(&self) -> Sharing {
        self.sharing
    }

    fn run(&mut self, connection: &Connection) -> bool {
        // A panic must not end the thread on which everybody's work is done. What this one wrote is taken back.
        let done = |task: F| panic::catch_unwind(AssertUnwindSafe(|| task(connection)));
        self.outcome = self.task.take().map(|task| done(task).unwrap_or_else(|_| Err(panicked().into())));
        matches!(self.outcome, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, committed: Result<(), DatabaseError>) {
        let answer = match (self.outcome, committed) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(lost)) => Err(lost.into()),
            (Some(done), Ok(())) => done,
            (None, Ok(())) => Err(writer_stopped().into()),
        };
        // The caller may have gone away; the work is committed all the same.
        drop(self.reply.send(answer));
    }
}

fn writer_stopped() -> DatabaseError {
    DatabaseError::Unavailable("the writer has stopped".to_owned())
}

fn panicked() -> DatabaseError {
    DatabaseError::Query("the work panicked; see the log line before this one".to_owned())
}

fn serve(connection: &Connection, mut waiting: mpsc::Receiver<Box<dyn Job>>) {
    let mut held_back = None;
    while let Some(first) = held_back.take().or_else(|| waiting.blocking_recv()) {
        let mut alone = first.sharing() == Sharing::Alone;
        let mut batch = vec![first];
        while !alone
            && batch.len() < BATCH_MAX
            && let Ok(next) = waiting.try_recv()
        {
            alone = next.sharing() == Sharing::Alone;
            if alone {
                held_back = Some(next);
            } else {
                batch.push(next);
            }
        }
        let committed = commit_together(connection, &mut batch);
        if committed.is_err() && roll_back_if_open(connection).is_err() {
            // The next batch tries again before it begins.
            tracing::error!("the failed transaction could not be rolled back");
        }
        for job in batch {
            job.answer(committed.clone());
        }
    }
}

fn commit_together(connection: &Connection, batch: &mut [Box<dyn Job>]) -> Result<(), DatabaseError> {
    roll_back_if_open(connection)?;
    execute(connection, "BEGIN IMMEDIATE")?;
    for job in batch {
        execute(connection, "SAVEPOINT job")?;
        let keep = job.run(connection);
        // A full disk or an I/O error can make SQLite roll the whole transaction back on its own;
        // the jobs before would then seem to be done, and those after would commit by themselves.
        if connection.is_autocommit() {
            return Err(DatabaseError::Unavailable("the transaction was rolled back".to_owned()));
        }
        if !keep {
            execute(connection, "ROLLBACK TO job")?;
        }
        execute(connection, "RELEASE job")?;
    }
    execute(connection, "COMMIT")
}

fn roll_back_if_open(connection: &Connection) -> Result<(), DatabaseError> {
    if connection.is_autocommit() {
        return Ok(());
    }
    execute(connection, "ROLLBACK")
}

fn execute(connection: &Connection, sql: &str) -> Result<(), DatabaseError> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
