//! Fresh, migrated databases for tests: a SQLite file always, PostgreSQL where a server is given.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use chrono::{DateTime, Utc};
use sqlx::Executor;
use tempfile::TempDir;

use super::{Database, DatabaseError, Engine};
use crate::table::Value;

/// Names the server that tests may make databases on; without it only SQLite is tested.
pub const TEST_POSTGRES: &str = "COUNTERSIGN_TEST_POSTGRES";

/// A database that nothing else uses.
pub struct FreshDatabase {
    /// The database, at the newest migration unless it was asked for empty.
    pub database: Database,
    /// Its address, to open it once more.
    pub url: String,
    /// The SQLite file goes when this does; a test server is thrown away whole.
    _directory: Option<TempDir>,
}

/// One fresh, migrated database of each kind that can be tested here.
///
/// # Errors
/// Whatever went wrong; a test unwraps it.
pub async fn fresh_databases() -> Result<Vec<FreshDatabase>, DatabaseError> {
    let databases = empty_databases().await?;
    for fresh in &databases {
        fresh.database.migrate(DateTime::<Utc>::UNIX_EPOCH).await?;
    }
    Ok(databases)
}

/// One fresh database of each kind that can be tested here, without any table.
///
/// # Errors
/// Whatever went wrong; a test unwraps it.
pub async fn empty_databases() -> Result<Vec<FreshDatabase>, DatabaseError> {
    let mut databases = vec![empty_sqlite().await?];
    databases.extend(empty_postgres().await?);
    Ok(databases)
}

/// A fresh SQLite database without any table.
///
/// # Errors
/// Whatever went wrong; a test unwraps it.
pub async fn empty_sqlite() -> Result<FreshDatabase, DatabaseError> {
    let directory = tempfile::tempdir().map_err(|error| DatabaseError::Unavailable(error.to_string()))?;
    let url = format!("sqlite:{}", directory.path().join("countersign.db").display());
    let database = Database::connect(&url).await?;
    Ok(FreshDatabase { database, url, _directory: Some(directory) })
}

/// A fresh PostgreSQL database without any table, if a server is given.
///
/// # Errors
/// Whatever went wrong; a test unwraps it.
pub async fn empty_postgres() -> Result<Option<FreshDatabase>, DatabaseError> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);

    let Ok(server) = std::env::var(TEST_POSTGRES) else {
        say_what_is_left_out();
        return Ok(None);
    };
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("countersign_test_{}_{number}", std::process::id());
    let Some((host, _)) = server.rsplit_once('/') else {
        return Err(DatabaseError::Query(format!("{TEST_POSTGRES} must end in /DATABASE")));
    };
    let administrator = sqlx::PgPool::connect(&server).await?;
    administrator.execute(format!("DROP DATABASE IF EXISTS {name}").as_str()).await?;
    administrator.execute(format!("CREATE DATABASE {name}").as_str()).await?;
    administrator.close().await;
    let url = format!("{host}/{name}");
    let database = Database::connect(&url).await?;
    Ok(Some(FreshDatabase { database, url, _directory: None }))
}

/// Goes no further than so many steps, as if whoever waits had gone away then, or the program had been killed.
pub async fn cut_short<F: Future>(future: F, steps: u32) -> Option<F::Output> {
    let (mut future, mut left) = (pin!(future), steps);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what was not tested")]
fn say_what_is_left_out() {
    eprintln!("LEFT OUT: PostgreSQL, since {TEST_POSTGRES} names no server; only SQLite is tested");
}

/// Takes away what keeps history as it is, as somebody may who has the database.
///
/// # Errors
/// When the database does not answer.
pub async fn unlock(database: &Database) -> Result<(), DatabaseError> {
    for table in ["events", "ledger_entries"] {
        let statements = match database.engine() {
            Engine::Postgres(_) => vec![format!("ALTER TABLE {table} DISABLE TRIGGER ALL")],
            Engine::Sqlite(_) => ["update", "delete"]
                .map(|change| format!("DROP TRIGGER IF EXISTS {table}_refuse_{change}"))
                .to_vec(),
        };
        for sql in statements {
            database.write(&sql, &[]).await?;
        }
    }
    let checks = match database.engine() {
        Engine::Postgres(_) => {
            "ALTER TABLE ledger_entries DROP CONSTRAINT IF EXISTS ledger_entries_position_check"
        }
        Engine::Sqlite(_) => "PRAGMA ignore_check_constraints = ON",
    };
    database.write(checks, &[]).await?;
    Ok(())
}

/// How PostgreSQL would go about a statement.
///
/// # Errors
/// When the database does not answer, or is none of PostgreSQL.
pub async fn plan(database: &Database, sql: &str, params: &[Value]) -> Result<String, DatabaseError> {
    let rows = database.read(&format!("EXPLAIN {sql}"), params).await?;
    let lines: Vec<String> = rows.iter().map(|row| row.get("QUERY PLAN")).collect::<Result<_, _>>()?;
    Ok(lines.join("\n"))
}

/// So many events, each the first of a user stream that is called by its number from one on, with an entry each.
///
/// # Errors
/// When the database does not answer, or is none of PostgreSQL.
pub async fn fill_ledger(database: &Database, events: u32) -> Result<(), DatabaseError> {
    let series = format!("generate_series(1, {events}) AS n");
    for sql in [
        format!(
            "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
             SELECT 'user', CAST(n AS text), 1, 'SessionStarted', '1', '{{}}', '{{}}' FROM {series}"
        ),
        "INSERT INTO ledger_entries (position, aggregate_type, aggregate_id, sequence, leaf, leaf_hash) \
         SELECT CAST(aggregate_id AS bigint) - 1, aggregate_type, aggregate_id, sequence, \
         '{\"actor_kind\":\"api_key\",\"event_id\":\"' || event_id || '\",\"event_type\":\"SessionStarted\"}', \
         repeat('A', 43) || '=' FROM events"
            .to_owned(),
        "ANALYZE events, ledger_entries".to_owned(),
    ] {
        database.write(&sql, &[]).await?;
    }
    Ok(())
}
