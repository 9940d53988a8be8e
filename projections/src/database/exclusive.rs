//! A transaction during which nobody else writes certain tables, so that they can be replaced. Readers go on,
//! and see what was there before until it is committed.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::{mpsc, oneshot};

use super::migrate::Flavour;
use super::sql::spell;
use super::sqlite::Sqlite;
use super::transact::unnesting;
use super::{Database, DatabaseError, Engine, StatementKind, postgres, refuse_nul, sqlite};
use crate::table::{Table, Value};

/// Such a transaction. Without a commit nothing of it takes effect.
///
/// Whoever holds it and reads needs one more connection, which writers that wait for it must not have taken: it is
/// for a program that serves nobody meanwhile.
pub struct Exclusive {
    connection: Connection,
}

enum Connection {
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
    Sqlite(SqliteTransaction),
}

/// A transaction on the writer thread, which does nothing else until it is over.
struct SqliteTransaction {
    statements: mpsc::UnboundedSender<Statement>,
    over: oneshot::Receiver<Result<(), DatabaseError>>,
}

enum Statement {
    One(String, Vec<Value>, oneshot::Sender<Result<u64, DatabaseError>>),
    Commit,
}

/// Taking the locks gives up before PostgreSQL looks for deadlocks, so that it is never an append that is
/// given up, and appends do not queue behind it for long.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '400ms'";

/// Autovacuum lets go of a table for whoever waits until deadlocks are looked for. It belongs to nobody, and is told
/// from other upkeep by that. Tables are locked in the order in which writers use them, so that nobody is given up.
fn outwait_autovacuum(tables: &[&str]) -> String {
    format!(
        "SELECT set_config('lock_timeout', CAST(400 + least(CAST(setting AS bigint), 3000) AS text), true) \
         FROM pg_settings WHERE name = 'deadlock_timeout' AND EXISTS (SELECT 1 FROM pg_locks AS l \
         JOIN pg_stat_activity AS a ON a.pid = l.pid WHERE a.usesysid IS NULL AND l.granted \
         AND l.mode = 'ShareUpdateExclusiveLock' AND l.relation IN ('{}'::regclass) \
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        tables.join("'::regclass, '")
    )
}

/// Of the attempts to take the locks, so many outwait autovacuum: what does not let go then does not let go at all.
const OUTWAITING_MAX: u32 = 3;

/// Who is kept out.
struct Lock {
    /// What PostgreSQL calls it.
    mode: &'static str,
    /// It is tried so often, with a pause in between.
    attempts_max: u32,
}

const WRITERS: Lock = Lock { mode: "SHARE ROW EXCLUSIVE", attempts_max: 50 };
/// New readers wait behind each attempt, so there are few.
const WRITERS_AND_READERS: Lock = Lock { mode: "ACCESS EXCLUSIVE", attempts_max: 10 };

const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Replacing a large table takes longer than any request may.
const ONCE_LOCKED: [&str; 2] = ["SET LOCAL lock_timeout = 0", "SET LOCAL statement_timeout = '10min'"];

/// Whatever the planner believes of the tables' sizes: it may have last looked when they were empty.
const WHOLE_TABLES: [&str; 1] = ["SET LOCAL enable_nestloop = off"];
const BY_INDEX: [&str; 3] =
    ["SET LOCAL enable_seqscan = off", "SET LOCAL enable_hashjoin = off", "SET LOCAL enable_mergejoin = off"];

impl Database {
    /// Begins such a transaction, once all writers of these tables have finished.
    ///
    /// # Errors
    /// `Busy` when they never did, `Unavailable` if the database cannot be reached.
    pub async fn exclusive(&self, tables: &[&str]) -> Result<Exclusive, DatabaseError> {
        self.keep_out(tables, &WRITERS).await
    }

    /// The same, once all readers of these tables have finished too, so that one of them can be put away. SQLite's
    /// readers need not: they go on with what they have begun to read.
    ///
    /// # Errors
    /// As for [`Database::exclusive`].
    pub async fn exclusive_to_readers(&self, tables: &[&str]) -> Result<Exclusive, DatabaseError> {
        self.keep_out(tables, &WRITERS_AND_READERS).await
    }

    async fn keep_out(&self, tables: &[&str], whom: &Lock) -> Result<Exclusive, DatabaseError> {
        let connection = match self.engine() {
            Engine::Postgres(postgres) => Connection::Postgres(lock(postgres, tables, whom).await?),
            // The writer thread's transaction keeps all writers out, other processes too.
            Engine::Sqlite(sqlite) => Connection::Sqlite(SqliteTransaction::begin(sqlite.clone()).await?),
        };
        self.count(StatementKind::Write);
        Ok(Exclusive { connection })
    }
}

impl Exclusive {
    /// Runs a statement; how many rows it changed.
    ///
    /// # Errors
    /// As for [`Database::write`].
    pub async fn execute(&mut self, sql: &str, params: Vec<Value>) -> Result<u64, DatabaseError> {
        refuse_nul(&params)?;
        match &mut self.connection {
            Connection::Postgres(transaction) => {
                let sql = spell(sql, Flavour::Postgres);
                postgres::execute(transaction, &sql, &params).await
            }
            Connection::Sqlite(transaction) => {
                transaction.execute(spell(sql, Flavour::Sqlite).into(), params).await
            }
        }
    }

    /// From here on whole tables are joined.
    ///
    /// # Errors
    /// As for [`Database::write`].
    pub async fn join_whole_tables(&mut self) -> Result<(), DatabaseError> {
        self.plan(&WHOLE_TABLES).await
    }

    /// From here on rows are looked up by index.
    ///
    /// # Errors
    /// As for [`Database::write`].
    pub async fn join_by_index(&mut self) -> Result<(), DatabaseError> {
        self.plan(&BY_INDEX).await
    }

    async fn plan(&mut self, settings: &[&str]) -> Result<(), DatabaseError> {
        match &mut self.connection {
            Connection::Postgres(transaction) => {
                for setting in settings {
                    postgres::execute(transaction, setting, &[]).await?;
                }
                Ok(())
            }
            // SQLite's joins are loops, and it makes the index that one lacks.
            Connection::Sqlite(_) => Ok(()),
        }
    }

    /// Adds rows to a table, all columns in order.
    ///
    /// # Errors
    /// As for [`Database::write`].
    pub async fn insert(&mut self, table: &'static Table, rows: &[Vec<Value>]) -> Result<(), DatabaseError> {
        rows.iter().try_for_each(|row| refuse_nul(row))?;
        match &mut self.connection {
            Connection::Postgres(transaction) => {
                let connection: &mut PgConnection = transaction;
                postgres::execute_rows(connection, &unnesting(table, false), table, rows).await?;
            }
            Connection::Sqlite(transaction) => {
                for row in rows {
                    transaction.execute(table.insert(), row.clone()).await?;
                }
            }
        }
        Ok(())
    }

    /// Lets all of it take effect.
    ///
    /// # Errors
    /// `Unavailable` when the connection broke; it is then unknown whether it did.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        match self.connection {
            Connection::Postgres(transaction) => Ok(transaction.commit().await?),
            Connection::Sqlite(SqliteTransaction { statements, over }) => {
                let told = statements.send(Statement::Commit);
                told.map_err(|_| gone())?;
                over.await.unwrap_or_else(|_| Err(gone()))
            }
        }
    }
}

async fn lock(
    postgres: &postgres::Postgres,
    tables: &[&str],
    Lock { mode, attempts_max }: &Lock,
) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, DatabaseError> {
    let lock = format!("LOCK TABLE {} IN {mode} MODE", tables.join(", "));
    let outwait = outwait_autovacuum(tables);
    for attempt in 0..*attempts_max {
        let mut transaction = postgres.begin().await?;
        postgres::execute(&mut transaction, LOCK_TIMEOUT, &[]).await?;
        if attempt < OUTWAITING_MAX {
            postgres::execute(&mut transaction, &outwait, &[]).await?;
        }
        match postgres::execute(&mut transaction, &lock, &[]).await {
            Ok(_) => {
                for setting in ONCE_LOCKED {
                    postgres::execute(&mut transaction, setting, &[]).await?;
                }
                return Ok(transaction);
            }
            Err(DatabaseError::Busy) => {
                transaction.rollback().await?;
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
    Err(DatabaseError::Busy)
}

impl SqliteTransaction {
    async fn begin(sqlite: Sqlite) -> Result<Self, DatabaseError> {
        let (statements, mut waiting) = mpsc::unbounded_channel();
        let (begun, has_begun) = oneshot::channel();
        let (end, over) = oneshot::channel();
        tokio::spawn(async move {
            let done = sqlite.submit_alone(move |writer| {
                // Nobody waits for it any more.
                begun.send(()).map_err(|()| gone())?;
                while let Some(statement) = waiting.blocking_recv() {
                    match statement {
                        Statement::One(sql, params, reply) => {
                            drop(reply.send(sqlite::execute(writer, &sql, &params)));
                        }
                        Statement::Commit => return Ok(()),
                    }
                }
                Err(gone())
            });
            drop(end.send(done.await));
        });
        match has_begun.await {
            Ok(()) => Ok(Self { statements, over }),
            // The writer could not begin, and says why.
            Err(_) => Err(over.await.map_or_else(|_| gone(), |done| done.err().unwrap_or_else(gone))),
        }
    }

    async fn execute(&self, sql: String, params: Vec<Value>) -> Result<u64, DatabaseError> {
        let (reply, answer) = oneshot::channel();
        self.statements.send(Statement::One(sql, params, reply)).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> DatabaseError {
    DatabaseError::Unavailable("the transaction was given up".to_owned())
}
