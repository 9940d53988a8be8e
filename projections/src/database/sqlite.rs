//! SQLite through rusqlite: one writer thread, and readers on the calling thread.
//!
//! A read takes tens of microseconds, less than handing it to another thread and waking up again, so
//! reads run inline and never yield while they hold a connection. That also bounds the readers by the
//! number of threads. What reads a whole stream or table belongs on `spawn_blocking`.

mod writer;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, ToSql};

use super::row::Cell;
use super::{DatabaseError, Row};
use crate::table::{Value, timestamp_text};
use writer::{Sharing, Writer};

/// A SQLite database, which one process at a time serves.
#[derive(Clone)]
pub struct Sqlite {
    path: Arc<PathBuf>,
    writer: Writer,
    idle_readers: Arc<Mutex<Vec<Connection>>>,
}

impl Sqlite {
    /// Opens the file, making one that only its owner can read if there is none.
    pub(super) fn connect(path: &Path) -> Result<Self, DatabaseError> {
        create_private(path)?;
        let writer = Writer::start(open(path)?)?;
        Ok(Sqlite { path: Arc::new(path.to_owned()), writer, idle_readers: Arc::default() })
    }

    /// Gives the writer thread some work and waits until it is committed.
    ///
    /// The work runs alone in a savepoint: an error undoes it and nothing else. Once this is polled
    /// the work is done even if the caller goes away.
    ///
    /// # Errors
    /// What the work answers, `Busy` if too much is waiting, `Unavailable` if the commit failed.
    pub async fn submit<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
    {
        self.writer.submit(Sharing::Together, work).await
    }

    /// The same in a transaction of its own, for work that also reads through other connections: those see
    /// what was committed before, and nothing is between that and this.
    ///
    /// # Errors
    /// As for [`Sqlite::submit`].
    pub(super) async fn submit_alone<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
    {
        self.writer.submit(Sharing::Alone, work).await
    }

    /// Reads on the calling thread; whatever was committed before is seen.
    ///
    /// # Errors
    /// What the work answers, and `Unavailable` if the file cannot be opened.
    pub fn read_with<T, E: From<DatabaseError>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let idle = self.idle_readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let reader = match idle {
            Some(reader) => reader,
            None => open_reader(&self.path)?,
        };
        let outcome = work(&reader);
        let mut idle_readers = self.idle_readers.lock().unwrap_or_else(PoisonError::into_inner);
        if idle_readers.len() < IDLE_READERS_MAX {
            idle_readers.push(reader);
        }
        outcome
    }

    /// Runs a statement that changes nothing.
    pub(super) fn read(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        self.read_with(|reader| query(reader, sql, params))
    }

    /// Runs a statement that changes nothing, for so long and no longer.
    pub(super) fn scan(
        &self,
        sql: &str,
        params: &[Value],
        time: Duration,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.read_with(|reader| {
            let started = Instant::now();
            reader.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || started.elapsed() > time));
            let answer = query(reader, sql, params);
            reader.progress_handler(0, None::<fn() -> bool>);
            answer
        })
    }

    /// Runs one statement and waits until it is committed.
    pub(super) async fn write(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let (sql, params) = (sql.to_owned(), params.to_owned());
        self.submit(move |writer| query(writer, &sql, &params)).await
    }
}

/// Runs a statement with `$1`, `$2`, … on a connection and collects what it returns.
///
/// # Errors
/// Whatever SQLite says, and `Query` if the statement names a parameter that was not given.
pub fn query(connection: &Connection, sql: &str, params: &[Value]) -> Result<Vec<Row>, DatabaseError> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, params)?;
    let names: Arc<[String]> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut answer = statement.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = answer.next()? {
        let values = (0..names.len()).map(|index| Ok(value(row.get_ref(index)?)));
        let values = values.collect::<Result<_, rusqlite::Error>>()?;
        rows.push(Row::new(Arc::clone(&names), values));
    }
    Ok(rows)
}

/// Runs a statement that returns nothing; how many rows it changed.
///
/// # Errors
/// As for [`query`].
pub(super) fn execute(connection: &Connection, sql: &str, params: &[Value]) -> Result<u64, DatabaseError> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, params)?;
    Ok(statement.raw_execute().map(|changed| u64::try_from(changed).unwrap_or(u64::MAX))?)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Integer(integer) => ToSqlOutput::from(*integer),
            Value::Boolean(boolean) => ToSqlOutput::from(*boolean),
            Value::Timestamp(at) => ToSqlOutput::from(timestamp_text(*at)),
        })
    }
}

/// So many steps of SQLite's machine pass between two looks at the clock: some milliseconds.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// Readers that are kept for the next read; more can be open at once, one per thread.
const IDLE_READERS_MAX: usize = 32;

/// Statements that each connection keeps prepared.
const PREPARED_STATEMENTS_MAX: usize = 128;

/// An empty file is a valid database. SQLite gives its side files (`-wal`, `-shm`) the same mode.
fn create_private(path: &Path) -> Result<(), DatabaseError> {
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    opened.map(drop).map_err(|error| DatabaseError::Unavailable(format!("{}: {error}", path.display())))
}

fn open(path: &Path) -> Result<Connection, DatabaseError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS_MAX);
    // The timeout stands first: turning the log on may have to wait for another process.
    // Deleted keys and secrets are overwritten, and REPLACE meets the triggers that guard events.
    // What a savepoint may have to undo stays in memory; in a file it would double the writing.
    connection.execute_batch(
        "PRAGMA busy_timeout = 5000;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA secure_delete = ON;
         PRAGMA recursive_triggers = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -16384;",
    )?;
    Ok(connection)
}

fn open_reader(path: &Path) -> Result<Connection, DatabaseError> {
    let connection = open(path)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    Ok(connection)
}

/// SQLite numbers `$1`, `$2`, … in the order in which it meets them, so they are bound by name.
fn bind(statement: &mut CachedStatement<'_>, params: &[Value]) -> Result<(), DatabaseError> {
    for index in 1..=statement.parameter_count() {
        let number = statement.parameter_name(index).and_then(|name| name.strip_prefix('$')?.parse().ok());
        let param = number
            .and_then(|number: usize| params.get(number.checked_sub(1)?))
            .ok_or_else(|| DatabaseError::Query(format!("parameter {index} of a statement is missing")))?;
        statement.raw_bind_parameter(index, param)?;
    }
    Ok(())
}

fn value(stored: ValueRef<'_>) -> Cell {
    match stored {
        ValueRef::Null => Some(Value::Null),
        ValueRef::Integer(integer) => Some(Value::Integer(integer)),
        ValueRef::Text(text) => std::str::from_utf8(text).ok().map(Value::from),
        // A number with a fraction, or bytes.
        ValueRef::Real(_) | ValueRef::Blob(_) => None,
    }
}
