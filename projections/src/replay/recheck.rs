//! Looking at one stream again, events and rows of the same moment: what seemed to differ may only have been
//! written in between.

use super::ReplayError;
use super::compare::Rows;
use super::folded::FoldedStream;
use super::model::StreamTable;
use super::streams::Extent;
use crate::database::{Database, DatabaseError};
use crate::table::Value;

/// A stream that keeps moving is looked at so often.
const LOOKS_MAX: usize = 20;

/// One stream as it is replayed and as it is stored, for each of these tables.
pub(super) async fn look_again(
    database: &Database,
    tables: &[&'static StreamTable],
    stream: (&str, &str),
) -> Result<Vec<(Rows, Rows)>, ReplayError> {
    let mut folded = None;
    for _ in 0..LOOKS_MAX {
        let before = sequence(database, stream).await?;
        // From the second look on only what came since is folded, so that a long stream is overtaken too.
        folded = FoldedStream::read_on(database, stream, folded, Extent::Everything).await?;
        let replayed = folded.as_ref().map(FoldedStream::rows).unwrap_or_default();
        let mut both = Vec::with_capacity(tables.len());
        for table in tables {
            let stored = stored(database, table, stream.1).await?;
            both.push((rows_of(table, &replayed), stored));
        }
        // Every append moves the snapshot in the same transaction.
        if sequence(database, stream).await? == before {
            return Ok(both);
        }
    }
    Err(DatabaseError::Busy.into())
}

/// Those of a stream's rows that belong to a table, as they are compared.
pub(super) fn rows_of(table: &StreamTable, rows: &[(&'static crate::table::Table, Vec<Value>)]) -> Rows {
    let own = rows.iter().filter(|(other, _)| other.name == table.table.name);
    own.map(|(_, row)| (table.key_of(row), table.comparable(row.clone()))).collect()
}

async fn stored(database: &Database, table: &StreamTable, stream_id: &str) -> Result<Rows, ReplayError> {
    let StreamTable { only, stream_column, .. } = table;
    let sql = format!(
        "SELECT {} FROM {} WHERE {only} AND {stream_column} = $1",
        table.selected(),
        table.table.name
    );
    let rows = database.read_bulk(&sql, &[stream_id.into()]).await?;
    read_all(table, &rows)
}

/// Stored rows by their keys.
pub(super) fn read_all(table: &StreamTable, rows: &[crate::database::Row]) -> Result<Rows, ReplayError> {
    let read = |row| table.read(row).map(|row| (table.key_of(&row), row));
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

async fn sequence(
    database: &Database,
    (stream_type, stream_id): (&str, &str),
) -> Result<Option<i64>, ReplayError> {
    let sql = "SELECT last_sequence FROM snapshots WHERE aggregate_type = $1 AND aggregate_id = $2";
    let rows = database.read_bulk(sql, &[stream_type.into(), stream_id.into()]).await?;
    Ok(rows.first().map(|row| row.get("last_sequence")).transpose()?)
}
