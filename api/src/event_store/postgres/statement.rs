//! The one statement that stores a batch of appends, derived from the tables' descriptions.
//!
//! `moved` moves the snapshot of every stream that is still where its command saw it, and hands back
//! which ones. Everything else joins `moved`, so that a command in conflict stores nothing at all.
//! Each table gets its rows as one array of text per column: the statement is the same at any batch
//! size, and differs only by which tables are written at all.

use std::borrow::Cow;
use std::collections::BTreeMap;

use countersign_projections::database::DatabaseError;
use countersign_projections::table::{Change, Column, EVENTS, SNAPSHOTS, Table, Value};
use sqlx::Arguments;
use sqlx::postgres::PgArguments;

use crate::event_store::journal::{Append, EventRow, IS_AS_EXPECTED};

/// The event ids that are stored, each with the place in which its stream and sequence were asked for:
/// this tells what became of a batch whose answer was lost.
const FIND_EVENTS: &str = "SELECT wanted.place, events.event_id \
    FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY \
        AS wanted(aggregate_type, aggregate_id, sequence, place) \
    JOIN events USING (aggregate_type, aggregate_id, sequence)";

/// A statement and what it is given.
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) arguments: PgArguments,
}

/// Stores these appends and returns `aggregate_type` and `aggregate_id` of the streams that moved.
///
/// No two of them may share a stream or a changed row, since the parts of one statement do not see
/// what the others write: a delete would miss the row that an upsert has just made.
pub(super) fn store(appends: &[&Append]) -> Result<Statement, DatabaseError> {
    let mut arguments = PgArguments::default();
    let snapshots = appends.iter().map(|append| append.snapshot_texts().to_vec());
    let snapshots = given(&names(SNAPSHOTS.columns), snapshots, &mut arguments)?;
    let events = appends.iter().flat_map(|append| append.events.iter().map(|event| texts(event, append)));
    let mut event_names = names(EVENTS.columns);
    event_names.push("leaf");
    let events = given(&event_names, events, &mut arguments)?;
    let mut parts = vec![
        // Streams in one order on every node, so that two batches wait for each other in one direction.
        format!(
            "moved AS (INSERT INTO snapshots ({}) SELECT {} FROM {snapshots} \
             ORDER BY aggregate_type, aggregate_id {} WHERE {IS_AS_EXPECTED} \
             RETURNING aggregate_type, aggregate_id)",
            SNAPSHOTS.column_names(),
            casts(SNAPSHOTS.columns),
            SNAPSHOTS.on_conflict_replace(),
        ),
        format!(
            "moving AS MATERIALIZED (SELECT given.* FROM {events} JOIN moved USING (aggregate_type, aggregate_id))"
        ),
        format!(
            "stored AS (INSERT INTO events ({}) SELECT {} FROM moving AS given ORDER BY place)",
            EVENTS.column_names(),
            casts(EVENTS.columns),
        ),
        "pending AS (INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence, leaf) \
         SELECT event_id, aggregate_type, aggregate_id, sequence::bigint, leaf FROM moving ORDER BY place)"
            .to_owned(),
    ];
    for rows in by_table(appends).into_values() {
        let part = change(&rows, &mut arguments)?;
        parts.push(format!("change_{} AS ({part})", parts.len()));
    }
    let sql = format!("WITH {} SELECT aggregate_type, aggregate_id FROM moved", parts.join(", "));
    Ok(Statement { sql, arguments })
}

/// Finds the first event of each append; see [`FIND_EVENTS`]. `place` counts from 1.
pub(super) fn find(appends: &[&Append]) -> Result<Statement, DatabaseError> {
    let types: Vec<&str> = appends.iter().map(|append| append.stream_type).collect();
    let ids: Vec<&str> = appends.iter().map(|append| append.stream_id.as_str()).collect();
    let sequences: Vec<i64> = appends.iter().map(|append| append.expected_sequence + 1).collect();
    let mut arguments = PgArguments::default();
    arguments
        .add(types)
        .and_then(|()| arguments.add(ids))
        .and_then(|()| arguments.add(sequences))
        .map_err(|_| too_large())?;
    Ok(Statement { sql: FIND_EVENTS.to_owned(), arguments })
}

/// A value as text, or nothing.
type Text<'t> = Option<Cow<'t, str>>;

/// A change, with the stream whose append it belongs to.
type Row<'r> = (&'r Append, &'r Change);

/// An event and, behind its columns, its leaf.
fn texts<'t>(event: &'t EventRow, append: &'t Append) -> Vec<Text<'t>> {
    event.texts(append).into_iter().chain([event.leaf.as_deref().map(Cow::Borrowed)]).collect()
}

/// Binds rows as one array per column and names them `given`, in their order by `place`.
fn given<'t>(
    names: &[&str],
    rows: impl Iterator<Item = Vec<Text<'t>>>,
    arguments: &mut PgArguments,
) -> Result<String, DatabaseError> {
    let mut columns: Vec<Vec<Text<'t>>> = names.iter().map(|_| Vec::new()).collect();
    for row in rows {
        for (column, text) in columns.iter_mut().zip(row) {
            column.push(text);
        }
    }
    let mut arrays = Vec::with_capacity(columns.len());
    for column in columns {
        arguments.add(column).map_err(|_| too_large())?;
        arrays.push(format!("${}::text[]", arguments.len()));
    }
    Ok(format!("unnest({}) WITH ORDINALITY AS given({}, place)", arrays.join(", "), names.join(", ")))
}

/// The changes of each table, apart by what they do to it.
fn by_table<'r>(appends: &[&'r Append]) -> BTreeMap<(&'static str, &'static str), Vec<Row<'r>>> {
    let mut tables: BTreeMap<_, Vec<Row<'r>>> = BTreeMap::new();
    for append in appends {
        for change in &append.changes {
            let action = match change {
                Change::Insert(..) => "insert",
                Change::Upsert(..) => "upsert",
                Change::Delete(..) => "delete",
            };
            tables.entry((change.table().name, action)).or_default().push((append, change));
        }
    }
    tables
}

/// One part of the statement: changes of one table that do the same to it.
fn change(rows: &[Row<'_>], arguments: &mut PgArguments) -> Result<String, DatabaseError> {
    let Some((_, first)) = rows.first() else {
        return Err(DatabaseError::Query("a table without changes".to_owned()));
    };
    let table = first.table();
    let columns = first.columns();
    let mut names = vec!["stream_type", "stream_id"];
    names.extend(columns.iter().map(|column| column.name));
    let texts = rows.iter().map(|(append, change)| {
        let stream = [append.stream_type, append.stream_id.as_str()].map(|text| Some(Cow::Borrowed(text)));
        stream.into_iter().chain(change.values().iter().map(Value::to_text)).collect()
    });
    let given = given(&names, texts, arguments)?;
    Ok(match first {
        Change::Insert(..) => insert(table, &given),
        Change::Upsert(..) => format!("{} {}", insert(table, &given), table.on_conflict_replace()),
        Change::Delete(..) => {
            let same = |column: &&Column| format!("{}.{} = {}", table.name, column.name, cast(column));
            let same_row: Vec<String> = columns.iter().map(same).collect();
            format!(
                "DELETE FROM {} USING {given}, moved WHERE {OF_A_MOVED_STREAM} AND {}",
                table.name,
                same_row.join(" AND ")
            )
        }
    })
}

const OF_A_MOVED_STREAM: &str =
    "moved.aggregate_type = given.stream_type AND moved.aggregate_id = given.stream_id";

/// Rows go in by key, so that two nodes that claim the same ones wait for each other in one direction.
fn insert(table: &Table, given: &str) -> String {
    let key: Vec<String> = table.key.iter().map(|name| format!("given.{name}")).collect();
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM {given} JOIN moved ON {OF_A_MOVED_STREAM} ORDER BY {}",
        table.name,
        table.column_names(),
        casts(table.columns),
        key.join(", ")
    )
}

fn names(columns: &'static [Column]) -> Vec<&'static str> {
    columns.iter().map(|column| column.name).collect()
}

fn casts(columns: &[Column]) -> String {
    let casts: Vec<String> = columns.iter().map(cast).collect();
    casts.join(", ")
}

fn cast(column: &Column) -> String {
    format!("given.{}::{}", column.name, column.kind.postgres())
}

fn too_large() -> DatabaseError {
    DatabaseError::Query("a batch is too large for one statement".to_owned())
}
