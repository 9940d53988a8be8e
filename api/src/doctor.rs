//! What an operator wants to know at three in the morning: is something wrong, and what.

use std::cmp::Ordering;
use std::os::unix::fs::PermissionsExt;

use chrono::TimeDelta;
use countersign_domain::Timestamp;
use countersign_projections::database::{Database, DatabaseError, Engine, Row};
use countersign_projections::ledger::sequencer::QUEUE;
use serde::Serialize;

use crate::app::existing_master_key;
use crate::clock::Clock;
use crate::config::Config;
use crate::ledger::Ledger;
use crate::vault::Vault;
use crate::vault::keys::KeyError;

/// A clock that is further off makes codes fail and times lie.
const CLOCK_OFF_MAX: TimeDelta = TimeDelta::seconds(5);

/// How something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and could be better.
    Warning,
    /// Somebody must do something.
    Wrong,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// More of it, in a sentence.
    pub says: String,
}

impl Check {
    fn ok(name: &'static str, says: impl Into<String>) -> Self {
        Self { name, state: State::Ok, says: says.into() }
    }

    fn warning(name: &'static str, says: impl Into<String>) -> Self {
        Self { name, state: State::Warning, says: says.into() }
    }

    fn wrong(name: &'static str, says: impl Into<String>) -> Self {
        Self { name, state: State::Wrong, says: says.into() }
    }

    fn of(name: &'static str, outcome: Result<String, String>) -> Self {
        outcome.map_or_else(|says| Self::wrong(name, says), |says| Self::ok(name, says))
    }
}

/// Looks at everything, and changes nothing.
pub async fn examine(config: &Config, clock: &Clock) -> Vec<Check> {
    let mut checks = vec![data_dir(config)];
    let database = match Database::connect_existing(&config.database).await {
        Ok(database) => database,
        Err(error) => {
            checks.push(Check::wrong("database", error.to_string()));
            return checks;
        }
    };
    let (kind, is_a_server) = match database.engine() {
        Engine::Postgres(_) => ("PostgreSQL answers", true),
        Engine::Sqlite(_) => ("SQLite answers", false),
    };
    checks.push(Check::ok("database", kind));
    if is_a_server {
        checks.extend([collation(&database).await, settings(&database).await]);
    }
    let migrations = migrations(&database).await;
    let migrated = migrations.state == State::Ok;
    checks.push(migrations);
    checks.push(time(&database, clock.now(), migrated).await);
    if migrated {
        checks.push(master_key(config, &database).await);
        checks.extend(ledger(config, &database, clock.now()).await);
        checks.push(triggers(&database).await);
        if is_a_server {
            checks.extend([grants(&database).await, queue(&database).await]);
        }
    }
    checks
}

fn data_dir(config: &Config) -> Check {
    let path = config.data_dir.display();
    match std::fs::metadata(&config.data_dir) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            Check::warning("data directory", format!("{path} can be read by others (chmod 700)"))
        }
        Ok(_) => Check::ok("data directory", path.to_string()),
        Err(error) => Check::wrong("data directory", format!("{path}: {error}")),
    }
}

/// Judges the one row that a statement answers with.
async fn of_row(
    database: &Database,
    name: &'static str,
    sql: &str,
    judge: impl FnOnce(&Row) -> Result<Check, DatabaseError>,
) -> Check {
    let judged = database.read(sql, &[]).await.and_then(|rows| match rows.first() {
        Some(row) => judge(row),
        None => Err(DatabaseError::Corrupt("it answers with no row".to_owned())),
    });
    judged.unwrap_or_else(|error| Check::wrong(name, error.to_string()))
}

/// Whether PostgreSQL orders keys by code points, or as libraries do that change with the system.
async fn collation(database: &Database) -> Check {
    const NAME: &str = "collation";
    // What a server does not have yet is missing in the JSON, where a column would be an error.
    let sql = "SELECT coalesce(d ->> 'datlocprovider', 'c') AS provider, \
               coalesce(d ->> 'datlocale', d ->> 'daticulocale', d ->> 'datcollate') AS collation \
               FROM (SELECT to_jsonb(p) AS d FROM pg_database p WHERE datname = current_database()) found";
    let judge = |row: &Row| {
        let (provider, collation): (String, String) = (row.get("provider")?, row.get("collation")?);
        if goes_by_code_points(&provider, &collation) {
            return Ok(Check::ok(NAME, collation));
        }
        let says =
            "keys are compared by a library, and an upgrade of it can break indexes; see docs/operations.md";
        Ok(Check::warning(NAME, format!("{collation}: {says}")))
    };
    of_row(database, NAME, sql, judge).await
}

/// A database sorts by the C library (`c`), ICU (`i`), or from PostgreSQL 17 on by itself (`b`).
fn goes_by_code_points(provider: &str, collation: &str) -> bool {
    match provider {
        "b" => true,
        "c" => ["C", "POSIX", "C.UTF-8", "C.utf8"].contains(&collation),
        _ => false,
    }
}

/// How PostgreSQL is set, as far as it matters here.
#[derive(Clone, Debug)]
struct Settings {
    fsync: bool,
    synchronous_commit: bool,
    full_page_writes: bool,
    shared_buffers_bytes: i64,
    max_wal_bytes: i64,
    database_bytes: i64,
}

const SETTINGS: &str = "settings";

const READ_SETTINGS: &str = "SELECT current_setting('fsync') <> 'off' AS fsync, \
    current_setting('synchronous_commit') <> 'off' AS synchronous_commit, \
    current_setting('full_page_writes') <> 'off' AS full_page_writes, \
    pg_size_bytes(current_setting('shared_buffers')) AS shared_buffers_bytes, \
    pg_size_bytes(current_setting('max_wal_size')) AS max_wal_bytes, \
    pg_database_size(current_database()) AS database_bytes";

/// A database below this is well served by a server as it comes.
const SMALL_DATABASE_BYTES: i64 = 1 << 30;
const SHARED_BUFFERS_AS_IT_COMES: i64 = 128 << 20;
const MAX_WAL_AS_IT_COMES: i64 = 1 << 30;

impl Settings {
    fn read(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            fsync: row.get("fsync")?,
            synchronous_commit: row.get("synchronous_commit")?,
            full_page_writes: row.get("full_page_writes")?,
            shared_buffers_bytes: row.get("shared_buffers_bytes")?,
            max_wal_bytes: row.get("max_wal_bytes")?,
            database_bytes: row.get("database_bytes")?,
        })
    }
}

/// Whether what was answered is still there after a crash, and whether the server is set up for its size.
async fn settings(database: &Database) -> Check {
    of_row(database, SETTINGS, READ_SETTINGS, |row| Ok(judge(&Settings::read(row)?))).await
}

fn judge(found: &Settings) -> Check {
    let off = [("fsync", found.fsync), ("synchronous_commit", found.synchronous_commit)];
    let off: Vec<&str> = off.into_iter().filter_map(|(name, on)| (!on).then_some(name)).collect();
    if !off.is_empty() {
        let says = format!("{} off: what was answered can be gone after a crash", off.join(" and "));
        return Check::wrong(SETTINGS, says);
    }
    let mut notes = Vec::new();
    if !found.full_page_writes {
        notes.push("full_page_writes off: right only where the storage never keeps half a page".to_owned());
    }
    let as_it_comes = [
        ("shared_buffers", found.shared_buffers_bytes <= SHARED_BUFFERS_AS_IT_COMES),
        ("max_wal_size", found.max_wal_bytes <= MAX_WAL_AS_IT_COMES),
    ];
    let low: Vec<&str> = as_it_comes.into_iter().filter_map(|(name, low)| low.then_some(name)).collect();
    if found.database_bytes >= SMALL_DATABASE_BYTES && !low.is_empty() {
        let low = low.join(" and ");
        notes.push(format!("a database of this size gains by more {low}; see docs/operations.md"));
    }
    if notes.is_empty() {
        Check::ok(SETTINGS, "what was answered outlives a crash")
    } else {
        Check::warning(SETTINGS, notes.join("; "))
    }
}

async fn migrations(database: &Database) -> Check {
    match database.pending_migrations().await {
        Ok(pending) if pending.is_empty() => Check::ok("migrations", "all applied"),
        Ok(pending) => Check::wrong(
            "migrations",
            format!("{} not applied: run `countersign migrate`", pending.join(", ")),
        ),
        Err(error) => Check::wrong("migrations", error.to_string()),
    }
}

/// Whether this machine's clock agrees with the database's, and whether a node's was ahead.
async fn time(database: &Database, now: Timestamp, migrated: bool) -> Check {
    const NAME: &str = "clock";
    let own = match database.engine() {
        Engine::Postgres(_) => "now()",
        // The database has no clock of its own.
        Engine::Sqlite(_) => "NULL",
    };
    let latest = if migrated { "(SELECT max(recorded_at) FROM events)" } else { "NULL" };
    let judge = |row: &Row| {
        let ahead = |column| Ok::<_, DatabaseError>(row.get::<Option<Timestamp>>(column)?.map(|at| at - now));
        let is_off = |off: &TimeDelta| *off > CLOCK_OFF_MAX;
        let differs = ahead("own")?.map(|off| off.abs()).filter(is_off);
        let differs = differs.map(|off| (off, "this machine's clock differs from the database's by"));
        let future = ahead("latest")?.filter(is_off);
        let future = future.map(|off| (off, "the latest event was recorded in the future, by"));
        Ok(match differs.or(future) {
            Some((off, says)) => Check::wrong(NAME, format!("{says} {} s", off.num_seconds())),
            None => Check::ok(NAME, now.format("%Y-%m-%d %H:%M:%S UTC").to_string()),
        })
    };
    of_row(database, NAME, &format!("SELECT {own} AS own, {latest} AS latest"), judge).await
}

async fn master_key(config: &Config, database: &Database) -> Check {
    let opened = async {
        let Some(key) = existing_master_key(config)? else { return Ok(None) };
        let id = key.id().to_owned();
        Vault::open_existing(database, key).await?;
        Ok::<_, KeyError>(Some(id))
    };
    Check::of(
        "master key",
        match opened.await {
            Ok(Some(id)) => Ok(format!("opens the vault (id {id})")),
            Ok(None) => Err("there is none; the first start makes it".to_owned()),
            Err(error) => Err(error.to_string()),
        },
    )
}

async fn ledger(config: &Config, database: &Database, now: Timestamp) -> Vec<Check> {
    let ledger = match Ledger::open_existing(config, database).await {
        Ok(ledger) => ledger,
        Err(error) => return vec![Check::wrong("ledger", error.to_string())],
    };
    let mut checks = vec![Check::ok("ledger key", ledger.verifier().to_string())];
    let observed = match ledger.observe(now).await {
        Ok(observed) => observed,
        Err(error) => {
            checks.push(Check::wrong("ledger", error.to_string()));
            return checks;
        }
    };
    let says = format!(
        "{} entries, {} signed, {} waiting for {} ms",
        observed.size, observed.signed_size, observed.pending, observed.lag_ms
    );
    checks.push(match ledger.checkpoint().await {
        Err(error) => Check::wrong("ledger", error.to_string()),
        Ok(_) if observed.lags() => Check::wrong("ledger", format!("{says}: is a server running?")),
        Ok(_) if observed.signed_size != observed.size => {
            Check::warning("ledger", format!("{says}: the rest is signed by a server that runs"))
        }
        Ok(_) => Check::ok("ledger", says),
    });
    checks.push(Check::of("ledger head", ledger.head_agrees().await.map_err(|error| error.to_string())));
    for (name, taken_in) in [("audit trail", observed.trail_size), ("coverage", observed.coverage_size)] {
        checks.push(followed(database, now, name, (taken_in, observed.size)).await);
    }
    checks
}

/// A read model takes in what is new within a second where a server runs.
const FOLLOWS_WITHIN: TimeDelta = TimeDelta::minutes(1);

/// Whether a read model has taken in what the ledger has.
async fn followed(
    database: &Database,
    now: Timestamp,
    name: &'static str,
    (taken_in, size): (u64, u64),
) -> Check {
    match taken_in.cmp(&size) {
        Ordering::Equal => Check::ok(name, format!("{taken_in} entries")),
        Ordering::Greater => Check::wrong(name, format!("{taken_in} entries, more than the ledger has")),
        Ordering::Less => {
            let sql = format!(
                "SELECT (SELECT e.recorded_at FROM ledger_entries l JOIN events e \
                 ON e.aggregate_type = l.aggregate_type AND e.aggregate_id = l.aggregate_id \
                 AND e.sequence = l.sequence WHERE l.position = {taken_in}) AS recorded_at"
            );
            let says = format!("{} entries behind the ledger", size - taken_in);
            of_row(database, name, &sql, |row| {
                // One whose event is gone has no moment, and is never taken in.
                let recorded_at = row.get::<Option<Timestamp>>("recorded_at")?;
                Ok(match recorded_at {
                    Some(at) if now - at < FOLLOWS_WITHIN => Check::warning(name, says),
                    _ => {
                        let says = format!(
                            "{says}, before entry {taken_in}: is a server running? Its log says more"
                        );
                        Check::wrong(name, says)
                    }
                })
            })
            .await
        }
    }
}

/// Whether what refuses to change the history, whoever asks for it, is there and switched on.
async fn triggers(database: &Database) -> Check {
    const NAME: &str = "triggers";
    let (guards, sql) = match database.engine() {
        Engine::Postgres(_) => (
            2,
            "SELECT count(*) AS found FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
             WHERE t.tgname IN ('events_append_only', 'ledger_entries_append_only') AND t.tgenabled IN ('O', 'A') \
             AND c.relname IN ('events', 'ledger_entries') AND pg_table_is_visible(c.oid)",
        ),
        Engine::Sqlite(_) => (
            4,
            "SELECT count(*) AS found FROM sqlite_master WHERE type = 'trigger' \
             AND name IN ('events_refuse_update', 'events_refuse_delete', 'ledger_entries_refuse_update', \
             'ledger_entries_refuse_delete')",
        ),
    };
    of_row(database, NAME, sql, |row| {
        let found: i64 = row.get("found")?;
        Ok(if found < guards {
            let says =
                "what refuses to change the history is not there, or is switched off; see docs/operations.md";
            Check::wrong(NAME, says)
        } else {
            Check::ok(NAME, "they refuse to change the history")
        })
    })
    .await
}

/// Whether only a trigger stands between the program's role and the history.
async fn grants(database: &Database) -> Check {
    const NAME: &str = "grants";
    let sql = "SELECT has_table_privilege('events', 'UPDATE, DELETE, TRUNCATE') \
               OR has_table_privilege('ledger_entries', 'UPDATE, DELETE, TRUNCATE') AS may_change";
    let judge = |row: &Row| {
        Ok(if row.get("may_change")? {
            Check::warning(
                NAME,
                "the program's role may change the history, and only a trigger refuses it; see docs/operations.md",
            )
        } else {
            Check::ok(NAME, "the program's role may only add to the history")
        })
    };
    of_row(database, NAME, sql, judge).await
}

/// Whether the program may keep its queue small.
async fn queue(database: &Database) -> Check {
    const NAME: &str = "queue";
    match database.may_sweep(QUEUE).await {
        Ok(true) => Check::ok(NAME, "the program's role may vacuum it"),
        Ok(false) => Check::warning(
            NAME,
            "the program's role may not vacuum it, and it grows under load; see docs/operations.md",
        ),
        Err(error) => Check::wrong(NAME, error.to_string()),
    }
}

/// Whether anything is wrong.
#[must_use]
pub fn is_well(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.state != State::Wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: Settings = Settings {
        fsync: true,
        synchronous_commit: true,
        full_page_writes: true,
        shared_buffers_bytes: 6 << 30,
        max_wal_bytes: 8 << 30,
        database_bytes: 100 << 30,
    };

    #[track_caller]
    fn judged(found: &Settings, state: State, says: &str) {
        let check = judge(found);
        assert_eq!(check.state, state, "{check:?}");
        assert!(check.says.contains(says), "{check:?}");
    }

    #[test]
    fn settings_that_lose_what_was_answered_are_wrong() {
        judged(&SOUND, State::Ok, "outlives");
        judged(&Settings { fsync: false, ..SOUND }, State::Wrong, "fsync off");
        let both = Settings { fsync: false, synchronous_commit: false, ..SOUND };
        judged(&both, State::Wrong, "fsync and synchronous_commit off");
    }

    #[test]
    fn settings_as_they_come_are_noted_once_the_database_has_grown() {
        let as_it_comes = Settings {
            shared_buffers_bytes: SHARED_BUFFERS_AS_IT_COMES,
            max_wal_bytes: MAX_WAL_AS_IT_COMES,
            ..SOUND
        };
        judged(&as_it_comes, State::Warning, "more shared_buffers and max_wal_size;");
        let more_log = Settings { max_wal_bytes: 8 << 30, ..as_it_comes };
        judged(&more_log, State::Warning, "more shared_buffers;");
        let half_pages = Settings { full_page_writes: false, ..more_log };
        judged(&half_pages, State::Warning, "half a page; a database of this size");
        judged(&Settings { database_bytes: SMALL_DATABASE_BYTES - 1, ..as_it_comes }, State::Ok, "outlives");
    }
}
