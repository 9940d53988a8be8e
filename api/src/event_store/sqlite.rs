//! The journal on SQLite: appends on the writer thread, loads on the calling one.

use std::collections::HashMap;
use std::sync::Arc;

use countersign_projections::database::{Database, DatabaseError, Sqlite, StatementKind, sqlite};
use countersign_projections::table::{APPEND_TABLES, Change, EVENTS, SNAPSHOTS, Table, Value};
use cqrs_es::persist::SerializedEvent;
use rusqlite::{Connection, params_from_iter};

use super::journal::{Append, AppendError, IS_AS_EXPECTED, LoadQuery, LoadedRow};

/// The journal's way to a SQLite database.
#[derive(Clone)]
pub(super) struct SqliteJournal {
    database: Database,
    sqlite: Sqlite,
    statements: Arc<Statements>,
}

impl SqliteJournal {
    pub(super) fn open(database: Database, sqlite: Sqlite) -> Self {
        SqliteJournal { database, sqlite, statements: Arc::new(Statements::new()) }
    }

    pub(super) fn load(&self, query: &LoadQuery, wanted: &[Value; 2]) -> Result<LoadedRow, DatabaseError> {
        self.database.count(query.kind);
        let sql = self.database.sql(query.sql);
        let rows = self.sqlite.read_with(|reader| sqlite::query(reader, &sql, wanted))?;
        rows.first().map_or_else(|| Ok(LoadedRow::default()), LoadedRow::from_row)
    }

    pub(super) async fn append(&self, append: Append) -> Result<(), AppendError> {
        self.database.count(StatementKind::Append);
        let statements = Arc::clone(&self.statements);
        self.sqlite.submit(move |writer| statements.store(writer, &append)).await
    }

    /// A stream can be long, so it is read on a thread that may take its time.
    pub(super) async fn events_of(
        &self,
        stream_type: &'static str,
        id: &str,
    ) -> Result<Vec<SerializedEvent>, DatabaseError> {
        self.database.count(StatementKind::Read);
        let (sqlite, id) = (self.sqlite.clone(), id.to_owned());
        let reading = tokio::task::spawn_blocking(move || {
            sqlite.read_with(|reader| list_events(reader, stream_type, &id))
        });
        reading.await.map_err(|_| DatabaseError::Unavailable("the reader was stopped".to_owned()))?
    }
}

/// The statements of an append, derived from the tables once.
struct Statements {
    snapshot: String,
    event: String,
    tables: HashMap<&'static str, TableStatements>,
}

struct TableStatements {
    insert: String,
    upsert: String,
    delete: String,
}

const PENDING: &str = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence, leaf) \
    VALUES (?1, ?2, ?3, ?4, ?5)";

const LIST_EVENTS: &str = "SELECT sequence, event_type, event_version, payload, metadata FROM events \
    WHERE aggregate_type = $1 AND aggregate_id = $2 ORDER BY sequence";

impl Statements {
    fn new() -> Self {
        let tables = APPEND_TABLES.iter().map(|table| (table.name, TableStatements::new(table)));
        Statements {
            // Whether this changes a row decides the conflict.
            snapshot: format!(
                "{} {} WHERE {IS_AS_EXPECTED}",
                SNAPSHOTS.insert(),
                SNAPSHOTS.on_conflict_replace()
            ),
            event: EVENTS.insert(),
            tables: tables.collect(),
        }
    }

    /// Runs inside a savepoint of the writer, so that an error leaves nothing behind.
    fn store(&self, writer: &Connection, append: &Append) -> Result<(), AppendError> {
        if execute(writer, &self.snapshot, append.snapshot_texts())? == 0 {
            return Err(AppendError::Conflict);
        }
        for event in &append.events {
            execute(writer, &self.event, event.texts(append))?;
            let sequence = event.sequence.to_string();
            let place = [event.event_id.as_str(), append.stream_type, &append.stream_id, &sequence];
            let leaf = event.leaf.as_deref();
            execute(writer, PENDING, place.into_iter().map(Some).chain([leaf]))?;
        }
        for change in &append.changes {
            let Some(table) = self.tables.get(change.table().name) else {
                let reason = format!("appends do not write the table {}", change.table().name);
                return Err(AppendError::Database(DatabaseError::Query(reason)));
            };
            execute(writer, table.of(change), change.values())?;
        }
        Ok(())
    }
}

impl TableStatements {
    fn new(table: &Table) -> Self {
        let matches = table.key.iter().zip(1..).map(|(name, number)| format!("{name} = ?{number}"));
        let matches: Vec<String> = matches.collect();
        TableStatements {
            insert: table.insert(),
            upsert: format!("{} {}", table.insert(), table.on_conflict_replace()),
            delete: format!("DELETE FROM {} WHERE {}", table.name, matches.join(" AND ")),
        }
    }

    fn of(&self, change: &Change) -> &str {
        match change {
            Change::Insert(..) => &self.insert,
            Change::Upsert(..) => &self.upsert,
            Change::Delete(..) => &self.delete,
        }
    }
}

fn execute<P>(writer: &Connection, sql: &str, params: P) -> Result<usize, DatabaseError>
where
    P: IntoIterator,
    P::Item: rusqlite::ToSql,
{
    Ok(writer.prepare_cached(sql)?.execute(params_from_iter(params))?)
}

fn list_events(
    reader: &Connection,
    stream_type: &str,
    id: &str,
) -> Result<Vec<SerializedEvent>, DatabaseError> {
    let json = |text: String| {
        serde_json::from_str(&text).map_err(|_| DatabaseError::Corrupt("an event is not JSON".to_owned()))
    };
    let rows = sqlite::query(reader, LIST_EVENTS, &[stream_type.into(), id.into()])?;
    let events = rows.into_iter().map(|row| {
        let sequence = usize::try_from(row.get::<i64>("sequence")?)
            .map_err(|_| DatabaseError::Corrupt("a sequence is negative".to_owned()))?;
        Ok(SerializedEvent::new(
            id.to_owned(),
            sequence,
            stream_type.to_owned(),
            row.get("event_type")?,
            row.get("event_version")?,
            json(row.get("payload")?)?,
            json(row.get("metadata")?)?,
        ))
    });
    events.collect()
}
