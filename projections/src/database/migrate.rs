//! Bringing a database to the program's version; the rules stand in `migrations/README.md`.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::Executor;

use super::{Database, DatabaseError, Engine, Postgres, Row, postgres, sqlite};
use crate::table::Value;

impl Database {
    /// Applies what is missing, in order, and names it. Nodes that start together take turns.
    ///
    /// # Errors
    /// `Newer` if a newer program was here, `Migration` if an applied migration was since edited or
    /// the next one fails; each migration is applied whole or not at all.
    pub async fn migrate(&self, now: DateTime<Utc>) -> Result<Vec<String>, DatabaseError> {
        let mut applied = Vec::new();
        // Every turn applies one, so that there are at most as many turns as migrations.
        for _ in MIGRATIONS {
            let next = match self.engine() {
                Engine::Postgres(postgres) => apply_next_to_postgres(postgres, now).await?,
                Engine::Sqlite(sqlite) => {
                    sqlite.submit(move |writer| apply_next_to_sqlite(writer, now)).await?
                }
            };
            applied.extend(next.map(Migration::label));
        }
        Ok(applied)
    }

    /// Which migrations are missing; a node is ready when there are none.
    ///
    /// # Errors
    /// As for [`Database::migrate`], which this foretells.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, DatabaseError> {
        let find_table = match self.engine() {
            Engine::Postgres(_) => FIND_IN_POSTGRES,
            Engine::Sqlite(_) => "SELECT (SELECT name FROM sqlite_schema WHERE name = $1) AS found",
        };
        let found = self.read(find_table, &["countersign_migrations".into()]).await?;
        let exists = found.first().map(|row| row.get::<Option<String>>("found")).transpose()?.flatten();
        let applied = match exists {
            Some(_) => self.read(LIST_APPLIED, &[]).await?,
            None => Vec::new(),
        };
        let missing = missing(&applied, self.engine().flavour())?;
        Ok(missing.into_iter().map(Migration::label).collect())
    }
}

/// Which of its two texts a migration uses.
#[derive(Clone, Copy)]
pub(super) enum Flavour {
    Postgres,
    Sqlite,
}

struct Migration {
    version: i64,
    name: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

/// Every migration, in order and without gaps.
const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "foundation",
        postgres: include_str!("../../../migrations/postgres/0001_foundation.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0001_foundation.sql"),
    },
    Migration {
        version: 2,
        name: "ledger",
        postgres: include_str!("../../../migrations/postgres/0002_ledger.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0002_ledger.sql"),
    },
    Migration {
        version: 3,
        name: "leaf_with_event",
        postgres: include_str!("../../../migrations/postgres/0003_leaf_with_event.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0003_leaf_with_event.sql"),
    },
    Migration {
        version: 4,
        name: "coverage",
        postgres: include_str!("../../../migrations/postgres/0004_coverage.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0004_coverage.sql"),
    },
    Migration {
        version: 5,
        name: "coverage_v2",
        postgres: include_str!("../../../migrations/postgres/0005_coverage_v2.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0005_coverage_v2.sql"),
    },
    Migration {
        version: 6,
        name: "coverage_reach",
        postgres: include_str!("../../../migrations/postgres/0006_coverage_reach.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0006_coverage_reach.sql"),
    },
    Migration {
        version: 7,
        name: "queue_keeps_its_size",
        postgres: include_str!("../../../migrations/postgres/0007_queue_keeps_its_size.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0007_queue_keeps_its_size.sql"),
    },
    Migration {
        version: 8,
        name: "queue_without_statistics",
        postgres: include_str!("../../../migrations/postgres/0008_queue_without_statistics.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0008_queue_without_statistics.sql"),
    },
    Migration {
        version: 9,
        name: "entry_by_event_id",
        postgres: include_str!("../../../migrations/postgres/0009_entry_by_event_id.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0009_entry_by_event_id.sql"),
    },
];

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS countersign_migrations (
    version bigint NOT NULL PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL)";

const FIND_IN_POSTGRES: &str = "SELECT to_regclass($1)::text AS found";

const LIST_APPLIED: &str = "SELECT version, checksum FROM countersign_migrations ORDER BY version";

const REMEMBER: &str =
    "INSERT INTO countersign_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)";

/// Any number will do, as long as nothing else in the database locks it.
const MIGRATION_LOCK: i64 = 0x0063_7367_6e6d_6967;

impl Migration {
    fn label(&self) -> String {
        format!("{:04}_{}", self.version, self.name)
    }

    fn sql(&self, flavour: Flavour) -> &'static str {
        match flavour {
            Flavour::Postgres => self.postgres,
            Flavour::Sqlite => self.sqlite,
        }
    }

    fn checksum(&self, flavour: Flavour) -> String {
        let digest = Sha256::digest(self.sql(flavour));
        digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }

    fn failed(&self, error: &DatabaseError) -> DatabaseError {
        DatabaseError::Migration { name: self.label(), reason: error.to_string() }
    }

    fn remembered(&self, flavour: Flavour, now: DateTime<Utc>) -> [Value; 4] {
        [self.version.into(), self.name.into(), self.checksum(flavour).into(), now.into()]
    }
}

/// Compares what was applied with what the program carries; the migrations that are missing.
fn missing(applied: &[Row], flavour: Flavour) -> Result<Vec<&'static Migration>, DatabaseError> {
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    let mut missing: Vec<&'static Migration> = MIGRATIONS.iter().collect();
    for row in applied {
        let found: i64 = row.get("version")?;
        let Some(migration) = MIGRATIONS.iter().find(|migration| migration.version == found) else {
            return Err(DatabaseError::Newer { found, known });
        };
        if row.get::<String>("checksum")? != migration.checksum(flavour) {
            return Err(DatabaseError::Migration {
                name: migration.label(),
                reason: "it was applied with another text than the one in this program".to_owned(),
            });
        }
        missing.retain(|migration| migration.version != found);
    }
    Ok(missing)
}

async fn apply_next_to_postgres(
    postgres: &Postgres,
    now: DateTime<Utc>,
) -> Result<Option<&'static Migration>, DatabaseError> {
    let mut transaction = postgres.begin().await?;
    // A migration takes as long as it takes.
    transaction.execute("SET LOCAL statement_timeout = 0").await?;
    // Held until the commit, so that a second node reads the list after the first has written it.
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(&mut *transaction).await?;
    // Only where it is missing: a program that finds everything in place needs no right to create.
    let found: Option<String> = sqlx::query_scalar(FIND_IN_POSTGRES)
        .bind("countersign_migrations")
        .fetch_one(&mut *transaction)
        .await?;
    if found.is_none() {
        transaction.execute(CREATE_TABLE).await?;
    }
    let applied = postgres::rows(&sqlx::query(LIST_APPLIED).fetch_all(&mut *transaction).await?)?;
    let Some(&migration) = missing(&applied, Flavour::Postgres)?.first() else {
        return Ok(None);
    };
    transaction
        .execute(migration.sql(Flavour::Postgres))
        .await
        .map_err(|error| migration.failed(&error.into()))?;
    let remembered = migration.remembered(Flavour::Postgres, now);
    postgres::execute(&mut transaction, REMEMBER, &remembered).await?;
    transaction.commit().await?;
    Ok(Some(migration))
}

/// Runs on the writer, whose transaction already keeps every other process out.
fn apply_next_to_sqlite(
    writer: &rusqlite::Connection,
    now: DateTime<Utc>,
) -> Result<Option<&'static Migration>, DatabaseError> {
    writer.execute_batch(CREATE_TABLE)?;
    let applied = sqlite::query(writer, LIST_APPLIED, &[])?;
    let Some(&migration) = missing(&applied, Flavour::Sqlite)?.first() else {
        return Ok(None);
    };
    writer.execute_batch(migration.sql(Flavour::Sqlite)).map_err(|error| migration.failed(&error.into()))?;
    sqlite::query(writer, REMEMBER, &migration.remembered(Flavour::Sqlite, now))?;
    Ok(Some(migration))
}
