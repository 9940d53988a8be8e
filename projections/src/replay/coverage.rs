//! Replaying coverage: it is run again over the ledger, into a database of its own in a temporary file.

use std::time::{Duration, Instant};

use countersign_domain::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use super::ReplayError;
use super::compare::{Rows, Tally};
use super::model::{Model, value};
use super::rebuild::ledger_size;
use super::report::{Difference, ModelReport};
use crate::catch_up::{self, CaughtUp, catch_up_elsewhere};
use crate::coverage::{COVERAGE, COVERAGE_MEMBERS, COVERAGE_TABLES, COVERAGE_TWO_FACTOR, Coverage};
use crate::database::{Database, DatabaseError};
use crate::table::{Table, Value, text};

/// So many agreements, or people, are compared at once, and so many rows written.
const PAGE_IDS: i64 = 500;
const PAGE_ROWS: i64 = 4_096;

/// Coverage may be so far behind while events are recorded.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// So often rows are looked at again that seem to differ.
const LOOKS_MAX: usize = 20;

/// The tables, with the column by which their rows are compared.
const TABLES: [(&Table, &str); 3] =
    [(&COVERAGE, "agreement_id"), (&COVERAGE_MEMBERS, "user_id"), (&COVERAGE_TWO_FACTOR, "user_id")];

/// Compares coverage with a replay.
pub(super) async fn compare(
    database: &Database,
    size: u64,
    named: &mut Vec<Difference>,
) -> Result<ModelReport, ReplayError> {
    Ok(replay_and_compare(database, size, named).await?.1)
}

async fn replay_and_compare<'d>(
    database: &'d Database,
    size: u64,
    named: &mut Vec<Difference>,
) -> Result<(Replay<'d>, ModelReport), ReplayError> {
    let began = Instant::now();
    while catch_up::position::<Coverage>(database).await? < size && began.elapsed() < PATIENCE {
        tokio::time::sleep(POLL).await;
    }
    let replay = Replay::new(database).await?;
    // One that is behind for longer differs, and one that says it is past the ledger too.
    let position = catch_up::position::<Coverage>(database).await?.max(size);
    let position = position.min(ledger_size(database).await?);
    replay.up_to(position).await?;
    let mut tally = Tally::of(Model::Coverage);
    tally.take_in_checkpoint::<Coverage>(database, size, named).await?;
    for (table, column) in TABLES {
        for side in [Side::Stored, Side::Replayed] {
            replay.compare_table(table, column, side, &mut tally, named).await?;
        }
    }
    Ok((replay, tally.report()))
}

/// Puts a replay in the place of coverage, if it differs; how many rows did.
pub(super) async fn rebuild(
    database: &Database,
    progress: &mut impl FnMut(u64, u64),
) -> Result<u64, ReplayError> {
    let size = ledger_size(database).await?;
    let (replay, ModelReport { differences, .. }) =
        replay_and_compare(database, size, &mut Vec::new()).await?;
    progress(size, size);
    if differences == 0 {
        return Ok(0);
    }
    // In the order in which a follower writes them.
    let mut locked = vec!["projection_checkpoints"];
    locked.extend(COVERAGE_TABLES.iter().map(|table| table.name));
    let mut exclusive = database.exclusive(&locked).await?;
    // Nobody moves it any more.
    let position = ledger_size(database).await?;
    replay.up_to(position).await?;
    catch_up::outdate::<Coverage>(&mut exclusive, position).await?;
    for table in COVERAGE_TABLES {
        exclusive.execute(&format!("DELETE FROM {}", table.name), Vec::new()).await?;
        let mut offset = 0;
        loop {
            let rows = replay.page(table, offset).await?;
            exclusive.insert(table, &rows).await?;
            let read = i64::try_from(rows.len()).unwrap_or(PAGE_ROWS);
            if read < PAGE_ROWS {
                break;
            }
            offset += read;
        }
    }
    exclusive.commit().await?;
    Ok(differences)
}

/// Which rows are gone through. Those of the other side are looked up for them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// What is stored, and what a replay gives in its place.
    Stored,
    /// What only a replay gives.
    Replayed,
}

/// Coverage as a replay gives it.
struct Replay<'d> {
    ledger: &'d Database,
    own: Database,
    _directory: TempDir,
}

impl<'d> Replay<'d> {
    async fn new(ledger: &'d Database) -> Result<Self, ReplayError> {
        let directory = tempfile::tempdir()?;
        let own =
            Database::connect(&format!("sqlite:{}", directory.path().join("replay.db").display())).await?;
        own.migrate(Timestamp::UNIX_EPOCH).await?;
        Ok(Self { ledger, own, _directory: directory })
    }

    async fn up_to(&self, position: u64) -> Result<(), ReplayError> {
        match catch_up_elsewhere(&Coverage, self.ledger, &self.own, position).await? {
            CaughtUp::To(_) => Ok(()),
            CaughtUp::Poisoned(position) => Err(ReplayError::Poisoned { position }),
        }
    }

    async fn compare_table(
        &self,
        table: &'static Table,
        column: &str,
        side: Side,
        tally: &mut Tally,
        named: &mut Vec<Difference>,
    ) -> Result<(), ReplayError> {
        let mut after = String::new();
        loop {
            let from = if side == Side::Stored { self.ledger } else { &self.own };
            let ids = ids_after(from, table, column, &after).await?;
            let Some(last) = ids.last().cloned() else { return Ok(()) };
            let stored = rows_of(self.ledger, table, column, &ids).await?;
            let replayed = rows_of(&self.own, table, column, &ids).await?;
            match side {
                Side::Stored if stored != replayed => {
                    let (stored, replayed) = self.look_again(table, column, &ids).await?;
                    tally.take_in((table.name, table.columns), &replayed, &stored, named);
                }
                Side::Stored => tally.take_in((table.name, table.columns), &replayed, &stored, named),
                Side::Replayed => {
                    let known: Vec<&str> = stored.keys().map(|key| id_of(key)).collect();
                    let missing = ids.iter().filter(|id| !known.contains(&id.as_str())).cloned();
                    let missing: Vec<String> = missing.collect();
                    if !missing.is_empty() {
                        let (stored, mut replayed) = self.look_again(table, column, &missing).await?;
                        // What was written meanwhile was not gone through before, and is not missing.
                        replayed.retain(|key, _| !stored.contains_key(key));
                        tally.take_in((table.name, table.columns), &replayed, &Rows::new(), named);
                    }
                }
            }
            after = last;
        }
    }

    /// The rows of both sides at the same place in the ledger.
    async fn look_again(
        &self,
        table: &'static Table,
        column: &str,
        ids: &[String],
    ) -> Result<(Rows, Rows), ReplayError> {
        for _ in 0..LOOKS_MAX {
            let position = catch_up::position::<Coverage>(self.ledger).await?;
            self.up_to(position.min(ledger_size(self.ledger).await?)).await?;
            let stored = rows_of(self.ledger, table, column, ids).await?;
            let replayed = rows_of(&self.own, table, column, ids).await?;
            if catch_up::position::<Coverage>(self.ledger).await? == position || stored == replayed {
                return Ok((stored, replayed));
            }
        }
        Err(DatabaseError::Busy.into())
    }

    async fn page(&self, table: &Table, offset: i64) -> Result<Vec<Vec<Value>>, ReplayError> {
        let sql = format!(
            "SELECT {} FROM {} ORDER BY {} LIMIT $1 OFFSET $2",
            table.column_names(),
            table.name,
            table.key.join(", ")
        );
        let rows = self.own.read_bulk(&sql, &[PAGE_ROWS.into(), offset.into()]).await?;
        let read = |row| table.columns.iter().map(|column| value(row, column)).collect();
        Ok(rows.iter().map(read).collect::<Result<_, DatabaseError>>()?)
    }
}

async fn ids_after(
    database: &Database,
    table: &Table,
    column: &str,
    after: &str,
) -> Result<Vec<String>, ReplayError> {
    let sql = format!(
        "SELECT DISTINCT {column} AS id FROM {} WHERE {column} > $1 ORDER BY {column} LIMIT $2",
        table.name
    );
    let rows = database.read_bulk(&sql, &[after.into(), PAGE_IDS.into()]).await?;
    Ok(rows.iter().map(|row| row.get("id")).collect::<Result<_, _>>()?)
}

async fn rows_of(
    database: &Database,
    table: &Table,
    column: &str,
    ids: &[String],
) -> Result<Rows, ReplayError> {
    let selected: Vec<String> = table.columns.iter().map(|column| format!("t.{}", column.name)).collect();
    let sql = format!(
        "SELECT {} FROM {} LEFT JOIN {} t ON t.{column} = given.id WHERE coalesce(t.{column}, '') <> ''",
        selected.join(", "),
        database.given(1, &[text("id")]),
        table.name
    );
    let ids: Vec<_> = ids.iter().map(|id| json!({ "id": id })).collect();
    let mut rows = Rows::new();
    for row in database.read_bulk(&sql, &[json!(ids).to_string().into()]).await? {
        let values: Vec<Value> =
            table.columns.iter().map(|column| value(&row, column)).collect::<Result<_, _>>()?;
        let of = |name: &str| table.columns.iter().position(|column| column.name == name);
        let others = table.key.iter().filter(|name| **name != column);
        let key = [column].into_iter().chain(others.copied());
        let key = key.filter_map(|name| values.get(of(name)?)?.to_text()).collect::<Vec<_>>().join("/");
        rows.insert(key, values);
    }
    Ok(rows)
}

fn id_of(key: &str) -> &str {
    key.split_once('/').map_or(key, |(id, _)| id)
}
