//! One database, PostgreSQL or SQLite, behind statements written once for both.
//!
//! Only this module and the event store know which one it is. Statements use `$1`, `$2`, … and, where
//! the two databases spell something differently, the few tokens of [`Database::sql`].

mod counters;
mod error;
mod exclusive;
mod migrate;
pub mod postgres;
mod row;
mod sql;
pub mod sqlite;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod transact;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use counters::{StatementCounts, StatementKind};
pub use error::{DatabaseError, connection_lost};
pub use exclusive::Exclusive;
pub use postgres::Postgres;
pub use row::{FromValue, Row};
pub use sqlite::Sqlite;
pub use transact::{Step, Transacted};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::table::Value;
use counters::Counters;
use migrate::Flavour;

/// The database of one installation; clones share its connections.
#[derive(Clone)]
pub struct Database {
    engine: Engine,
    counters: Arc<Counters>,
    scans: Arc<Semaphore>,
}

/// Which database it is, for the event store and the few others that must know.
#[derive(Clone)]
pub enum Engine {
    /// PostgreSQL, which any number of nodes share.
    Postgres(Postgres),
    /// SQLite, embedded in the one node.
    Sqlite(Sqlite),
}

/// A search is given up after this, before its request is; PostgreSQL is told so too.
const SCAN_TIME: Duration = Duration::from_secs(9);

/// So many searches run at once on one node.
const SCANS_MAX: usize = 3;

/// Before PostgreSQL 17 only a table's owner may vacuum it, and whoever else tries is warned and passed over.
const MAY_SWEEP: &str = "SELECT CASE WHEN CAST(current_setting('server_version_num') AS integer) >= 170000 \
    THEN has_table_privilege(oid, 'MAINTAIN') ELSE pg_has_role(relowner, 'USAGE') END AS may_sweep \
    FROM pg_class WHERE oid = to_regclass($1)";

/// Where a database is.
#[derive(Clone, Copy)]
enum Address<'u> {
    Postgres(&'u str),
    Sqlite(&'u Path),
}

impl<'u> Address<'u> {
    fn parse(url: &'u str) -> Result<Self, DatabaseError> {
        match url.split_once(':') {
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(url)),
            // A database in memory would be another one for each connection.
            Some(("sqlite", rest)) if rest != ":memory:" => {
                Ok(Self::Sqlite(Path::new(rest.strip_prefix("//").unwrap_or(rest))))
            }
            _ => {
                let reason = "the database address must be postgres://… or sqlite:PATH";
                Err(DatabaseError::Query(reason.to_owned()))
            }
        }
    }
}

impl Database {
    /// Opens the database at `postgres://…`, `postgresql://…`, `sqlite:PATH` or `sqlite://PATH`.
    ///
    /// # Errors
    /// `Query` if the address is none of these, `Unavailable` if nothing answers there.
    pub async fn connect(url: &str) -> Result<Self, DatabaseError> {
        Self::open(Address::parse(url)?).await
    }

    /// The same, and makes nothing: whoever only looks must not leave a SQLite file behind, which the program that is
    /// to serve it might not be allowed to open.
    ///
    /// # Errors
    /// As for [`Database::connect`], and `Unavailable` if there is no such file.
    pub async fn connect_existing(url: &str) -> Result<Self, DatabaseError> {
        let address = Address::parse(url)?;
        // Of a file that may not be looked for, opening says more.
        if let Address::Sqlite(path) = address
            && matches!(path.try_exists(), Ok(false))
        {
            let path = path.display();
            let reason = format!("there is no database at {path}; the first start of the server makes it");
            return Err(DatabaseError::Unavailable(reason));
        }
        Self::open(address).await
    }

    async fn open(address: Address<'_>) -> Result<Self, DatabaseError> {
        let engine = match address {
            Address::Postgres(url) => Engine::Postgres(Postgres::connect(url).await?),
            Address::Sqlite(path) => Engine::Sqlite(Sqlite::connect(path)?),
        };
        Ok(Database { engine, counters: Arc::default(), scans: Arc::new(Semaphore::new(SCANS_MAX)) })
    }

    /// Runs a statement that changes nothing.
    ///
    /// On SQLite it runs on the calling thread, so it must be short: bounded by a key or a limit.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached, `Query` if the statement is wrong.
    pub async fn read(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        refuse_nul(params)?;
        self.count(StatementKind::Read);
        let sql = self.sql(sql);
        match &self.engine {
            Engine::Postgres(postgres) => postgres.read(&sql, params).await,
            Engine::Sqlite(sqlite) => sqlite.read(&sql, params),
        }
    }

    /// Runs a statement that changes nothing and may take a while, such as a search: beside the
    /// threads that answer requests, and only a few at once, so that searches wait for each other
    /// and sign-ins for none of them.
    ///
    /// # Errors
    /// As for [`Database::read`].
    pub async fn scan(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let stopped = |_| DatabaseError::Unavailable("the program is stopping".to_owned());
        let place = Arc::clone(&self.scans).acquire_owned().await.map_err(stopped)?;
        self.read_beside(sql, params, Some((place, SCAN_TIME))).await
    }

    /// Runs a statement that changes nothing and reads much, for work that nobody waits for: beside
    /// the threads that answer requests.
    ///
    /// # Errors
    /// As for [`Database::read`].
    pub async fn read_bulk(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        self.read_beside(sql, params, None).await
    }

    /// Runs a statement that changes nothing and goes through whole tables, for up to an hour, for work that nobody
    /// waits for.
    ///
    /// # Errors
    /// As for [`Database::read`].
    pub async fn read_whole_tables(&self, sql: &str) -> Result<Vec<Row>, DatabaseError> {
        match &self.engine {
            Engine::Postgres(postgres) => {
                self.count(StatementKind::Read);
                postgres.read_whole_tables(&self.sql(sql)).await
            }
            Engine::Sqlite(_) => self.read_bulk(sql, &[]).await,
        }
    }

    async fn read_beside(
        &self,
        sql: &str,
        params: &[Value],
        bound: Option<(OwnedSemaphorePermit, Duration)>,
    ) -> Result<Vec<Row>, DatabaseError> {
        match &self.engine {
            Engine::Postgres(_) => {
                let Some((place, _)) = bound else { return self.read(sql, params).await };
                let (database, sql, params) = (self.clone(), sql.to_owned(), params.to_owned());
                let read = tokio::spawn(async move {
                    // Held as below: a connection is given back only when its statement has ended.
                    let _place = place;
                    database.read(&sql, &params).await
                });
                read.await.map_err(|error| DatabaseError::Unavailable(error.to_string()))?
            }
            Engine::Sqlite(sqlite) => {
                refuse_nul(params)?;
                self.count(StatementKind::Read);
                let (sqlite, sql, params) = (sqlite.clone(), self.sql(sql).into_owned(), params.to_owned());
                let read = tokio::task::spawn_blocking(move || match bound {
                    // The place is held until the search is done, also when nobody waits for it any more.
                    Some((_place, time)) => sqlite.scan(&sql, &params, time),
                    None => sqlite.read(&sql, &params),
                });
                read.await.map_err(|error| DatabaseError::Unavailable(error.to_string()))?
            }
        }
    }

    /// Runs one statement in a transaction of its own; what it returns (`RETURNING`) is committed.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached or the connection broke, when it is unknown
    /// whether the statement took effect; `Constraint` if it was refused, `Query` if it is wrong.
    pub async fn write(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        refuse_nul(params)?;
        self.count(StatementKind::Write);
        let sql = self.sql(sql);
        match &self.engine {
            Engine::Postgres(postgres) => postgres.write(&sql, params).await,
            Engine::Sqlite(sqlite) => sqlite.write(&sql, params).await,
        }
    }

    /// The first of these tables from which this connection's role may not delete.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached.
    pub async fn cannot_delete_from(
        &self,
        tables: &[&'static str],
    ) -> Result<Option<&'static str>, DatabaseError> {
        match &self.engine {
            // Whoever has the file may do everything.
            Engine::Sqlite(_) => Ok(None),
            Engine::Postgres(_) => {
                for table in tables {
                    let sql = "SELECT has_table_privilege($1, 'DELETE') AS may_delete";
                    let rows = self.read(sql, &[(*table).into()]).await?;
                    if !rows.first().map_or(Ok(false), |row| row.get("may_delete"))? {
                        return Ok(Some(table));
                    }
                }
                Ok(None)
            }
        }
    }

    /// Lets new rows of a table take the room of those that are gone, now and not when the database comes round to
    /// it, if this connection's role may do that.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached.
    pub async fn sweep(&self, table: &'static str) -> Result<(), DatabaseError> {
        if let Engine::Postgres(_) = &self.engine
            && self.may_sweep(table).await?
        {
            self.write(&format!("VACUUM (TRUNCATE false) {table}"), &[]).await?;
        }
        Ok(())
    }

    /// Whether this connection's role may do that.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached.
    pub async fn may_sweep(&self, table: &'static str) -> Result<bool, DatabaseError> {
        match &self.engine {
            // It does that by itself, at once.
            Engine::Sqlite(_) => Ok(true),
            Engine::Postgres(_) => {
                let rows = self.read(MAY_SWEEP, &[table.into()]).await?;
                rows.first().map_or(Ok(false), |row| row.get("may_sweep"))
            }
        }
    }

    /// The statement as this database spells it; `read` and `write` do this themselves.
    ///
    /// | token | means |
    /// | --- | --- |
    /// | `{wanted}` | a table `wanted(id, subject)`: the arrays `$1`, `$2`, or one row on SQLite |
    /// | `{object}'a', x{/object}` | a JSON object |
    /// | `{array}x ORDER BY y{/array}` | a JSON array of all rows, `[]` if there are none |
    /// | `{json}x{/json}` | a stored or computed JSON value, inside an object or array |
    /// | `{boolean}x{/boolean}` | a boolean inside an object or array |
    /// | `{entry_of_event}` | the condition that joins `ledger_entries l` with `events e`, which are so called |
    /// | `{bare_entries}` | all `ledger_entries`, with no more of each leaf than that condition looks at |
    /// | `{id_in_leaf}` | the event's id as it stands in a column `leaf` |
    #[must_use]
    pub fn sql<'s>(&self, text: &'s str) -> Cow<'s, str> {
        sql::spell(text, self.engine.flavour())
    }

    /// How many statements this process has sent since it opened the database.
    #[must_use]
    pub fn counters(&self) -> StatementCounts {
        self.counters.read()
    }

    /// Counts a statement that the event store sends on a connection of its own.
    pub fn count(&self, kind: StatementKind) {
        self.counters.count(kind);
    }

    /// The database behind, for code that cannot be the same on both.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl fmt::Debug for Database {
    /// Says which database it is; an address could hold a password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.engine {
            Engine::Postgres(_) => "PostgreSQL",
            Engine::Sqlite(_) => "SQLite",
        };
        formatter.debug_tuple("Database").field(&name).finish()
    }
}

impl Engine {
    fn flavour(&self) -> Flavour {
        match self {
            Engine::Postgres(_) => Flavour::Postgres,
            Engine::Sqlite(_) => Flavour::Sqlite,
        }
    }
}

/// PostgreSQL cannot store the character, so SQLite must not either.
fn refuse_nul(params: &[Value]) -> Result<(), DatabaseError> {
    if params.iter().any(Value::has_nul) {
        return Err(DatabaseError::Query("a parameter holds a NUL character".to_owned()));
    }
    Ok(())
}
