//! PostgreSQL through sqlx: a bounded pool for single statements.
//!
//! The event store's loader and committer own connections outside this pool, since a pool may ping a
//! connection when it is given back.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Datelike, Utc};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow, PgTypeInfo,
};
use sqlx::{
    Arguments, Column, ConnectOptions, Connection, Executor, Row as _, Transaction, TypeInfo, ValueRef,
};

use super::row::Cell;
use super::{DatabaseError, Row, connection_lost};
use crate::table::{Table, Value, to_microseconds};

/// A PostgreSQL database, as one node uses it.
#[derive(Clone)]
pub struct Postgres {
    pool: PgPool,
    options: Arc<PgConnectOptions>,
}

impl Postgres {
    /// Connects once, so that a wrong address or password is known at the start.
    pub(super) async fn connect(url: &str) -> Result<Self, DatabaseError> {
        let options: PgConnectOptions = url
            .parse()
            .map_err(|_| DatabaseError::Query("the database address is not understood".to_owned()))?;
        // No statement here runs for so long that compiling it would pay.
        let options =
            options.application_name("countersign").disable_statement_logging().options([("jit", "off")]);
        let pool = PgPoolOptions::new()
            .max_connections(POOL_CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            // Nothing that a request waits for may take longer than the request may.
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute("SET statement_timeout = '9s'").await?;
                    Ok(())
                })
            })
            // A busy connection is not tested, which would double its round trips; one that has been
            // idle is, so that a restart of the server is mostly noticed here.
            .before_acquire(|connection, meta| {
                Box::pin(
                    async move { Ok(meta.idle_for < UNTESTED_IDLE_MAX || connection.ping().await.is_ok()) },
                )
            })
            .connect_with(options.clone())
            .await?;
        let found: String =
            sqlx::query_scalar("SELECT current_setting('server_encoding')").fetch_one(&pool).await?;
        if found != "UTF8" {
            return Err(DatabaseError::Encoding { found });
        }
        Ok(Postgres { pool, options: Arc::new(options) })
    }

    /// The pool, for libraries that bring their own statements.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// How to connect outside the pool.
    #[must_use]
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Begins a transaction, in a task of its own: that goes on when whoever wanted it is dropped. sqlx 0.8 does not
    /// roll back a `BEGIN` that was dropped before its answer came, and the pool then gives the connection away within
    /// a transaction of which nobody knows: what is written there is acknowledged, and not committed.
    ///
    /// # Errors
    /// As for [`Database::write`](super::Database::write).
    pub async fn begin(&self) -> Result<Transaction<'static, sqlx::Postgres>, DatabaseError> {
        let pool = self.pool.clone();
        #[expect(clippy::disallowed_methods, reason = "this is where it is made safe to give up")]
        let begun = tokio::spawn(async move { pool.begin().await }).await;
        Ok(begun.map_err(|error| DatabaseError::Unavailable(error.to_string()))??)
    }

    /// Runs a statement that changes nothing, again if a connection turns out to be dead.
    pub(super) async fn read(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        // After a restart of the server every pooled connection may be dead, each found out once.
        for _ in 0..POOL_CONNECTIONS_MAX {
            match sqlx::query_with(sql, arguments(params)?).fetch_all(&self.pool).await {
                Err(error) if connection_lost(&error) => {}
                answer => return rows(&answer?),
            }
        }
        let last = sqlx::query_with(sql, arguments(params)?).fetch_all(&self.pool).await?;
        rows(&last)
    }

    /// Runs a statement that changes nothing and goes through whole tables, for up to an hour.
    pub(super) async fn read_whole_tables(&self, sql: &str) -> Result<Vec<Row>, DatabaseError> {
        let mut transaction = self.begin().await?;
        transaction.execute("SET LOCAL statement_timeout = '1h'").await?;
        let answer = sqlx::query(sql).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        rows(&answer)
    }

    /// Runs one statement in a transaction of its own. Never again by itself: if the connection
    /// breaks, nobody knows whether it took effect.
    pub(super) async fn write(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        rows(&sqlx::query_with(sql, arguments(params)?).fetch_all(&self.pool).await?)
    }
}

/// The rows of an answer, read into values that no longer depend on the connection.
///
/// # Errors
/// `Query` if a column has a type that the program does not use: cast it in the statement.
pub fn rows(answer: &[PgRow]) -> Result<Vec<Row>, DatabaseError> {
    let Some(first) = answer.first() else {
        return Ok(Vec::new());
    };
    let names: Arc<[String]> = first.columns().iter().map(|column| column.name().to_owned()).collect();
    let read = |row: &PgRow| {
        let values = (0..row.len()).map(|index| value(row, index)).collect::<Result<_, _>>()?;
        Ok(Row::new(Arc::clone(&names), values))
    };
    answer.iter().map(read).collect()
}

/// Runs a statement inside a transaction, for what returns nothing; how many rows it changed.
pub(super) async fn execute(
    connection: &mut PgConnection,
    sql: &str,
    params: &[Value],
) -> Result<u64, DatabaseError> {
    Ok(sqlx::query_with(sql, arguments(params)?).execute(connection).await?.rows_affected())
}

/// Runs a statement on many rows, which it takes as one array of text for each column; how many rows
/// it changed.
pub(super) async fn execute_rows(
    connection: &mut PgConnection,
    sql: &str,
    table: &Table,
    rows: &[Vec<Value>],
) -> Result<u64, DatabaseError> {
    let mut arguments = PgArguments::default();
    for column in 0..table.columns.len() {
        let texts: Vec<Option<Cow<'_, str>>> =
            rows.iter().map(|row| row.get(column).and_then(Value::to_text)).collect();
        arguments.add(texts).map_err(|_| DatabaseError::Query("a transaction is too large".to_owned()))?;
    }
    Ok(sqlx::query_with(sql, arguments).execute(connection).await?.rows_affected())
}

/// Connections for single statements; loader and committer come on top.
const POOL_CONNECTIONS_MAX: u32 = 10;

/// How long a statement waits for a connection before the answer is that there is none.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may have been idle and still be used without a ping.
const UNTESTED_IDLE_MAX: Duration = Duration::from_secs(1);

fn value(row: &PgRow, index: usize) -> Result<Cell, DatabaseError> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Some(Value::Null));
    }
    Ok(match raw.type_info().name() {
        "TEXT" | "VARCHAR" | "NAME" | "JSON" => raw.as_str().ok().map(Value::from),
        "INT8" => Some(Value::Integer(row.try_get(index)?)),
        "INT4" => Some(Value::Integer(i64::from(row.try_get::<i32, _>(index)?))),
        "BOOL" => Some(Value::Boolean(row.try_get(index)?)),
        "TIMESTAMPTZ" => raw.as_bytes().ok().and_then(moment).map(Value::from),
        other => return Err(DatabaseError::Query(format!("a column of the unused type {other}: cast it"))),
    })
}

/// Between the beginning of time here and PostgreSQL's, the first of January 2000.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A moment as it comes over the wire, in microseconds. PostgreSQL also knows moments that no year of four digits
/// has, infinity among them; the program writes none, and what sqlx makes of them is a panic.
fn moment(bytes: &[u8]) -> Option<DateTime<Utc>> {
    let micros = i64::from_be_bytes(bytes.try_into().ok()?).checked_add(EPOCH_MICROS)?;
    DateTime::from_timestamp_micros(micros).filter(|at| (0..=9999).contains(&at.year()))
}

fn arguments(params: &[Value]) -> Result<PgArguments, DatabaseError> {
    let mut arguments = PgArguments::default();
    for param in params {
        match param {
            Value::Null => arguments.add(Untyped),
            Value::Text(text) => arguments.add(text.as_str()),
            Value::Integer(integer) => arguments.add(integer),
            Value::Boolean(boolean) => arguments.add(boolean),
            Value::Timestamp(at) => arguments.add(to_microseconds(*at)),
        }
        .map_err(|_| DatabaseError::Query("a parameter is too large".to_owned()))?;
    }
    Ok(arguments)
}

/// A NULL whose type is left to the server, which knows the column it is compared with or put into.
struct Untyped;

impl sqlx::Type<sqlx::Postgres> for Untyped {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl sqlx::Encode<'_, sqlx::Postgres> for Untyped {
    fn encode_by_ref(&self, _buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}
