//! Putting rebuilt rows in place of the live ones.

use serde_json::json;

use crate::database::{Database, DatabaseError, Exclusive};
use crate::replay::model::StreamTable;
use crate::table::{Column, ColumnKind, Table, Value, text};

use super::beside::Pair;

/// Replaces every live row that differs from the one beside it; how many did.
pub(super) async fn put_in_place(
    exclusive: &mut Exclusive,
    (live, beside): Pair,
    scope: &Scope,
) -> Result<u64, DatabaseError> {
    let (extra, replaced) = scope.statements((live, beside));
    let gone = exclusive.execute(&extra, scope.params.clone()).await?;
    Ok(gone + exclusive.execute(&replaced, scope.params.clone()).await?)
}

/// Which rows of a table are meant, and which columns are looked at.
pub(super) struct Scope {
    only: String,
    params: Vec<Value>,
    compared: Vec<&'static Column>,
}

impl Scope {
    /// All of a table.
    pub(super) fn whole(table: &'static Table) -> Self {
        Self { only: "1 = 1".to_owned(), params: Vec::new(), compared: table.columns.iter().collect() }
    }

    /// Of some streams, or of all.
    pub(super) fn of(database: &Database, table: &'static StreamTable, streams: Option<&[String]>) -> Self {
        let compared = table.compared().collect();
        let Some(streams) = streams else {
            return Self { only: table.only.to_owned(), params: Vec::new(), compared };
        };
        let only = format!(
            "{} AND {} IN (SELECT given.id FROM {})",
            table.only,
            table.stream_column,
            database.given(1, &[text("id")])
        );
        Self { only, params: vec![ids(streams)], compared }
    }

    /// What takes rows away that are not beside, and what writes those that differ.
    fn statements(&self, (live, beside): Pair) -> (String, String) {
        let Self { only, compared, .. } = self;
        let same_key: Vec<String> = live.key.iter().map(|name| format!("b.{name} = l.{name}")).collect();
        let same_key = same_key.join(" AND ");
        let (live_name, beside_name) = (live.name, beside.name);
        let extra = format!(
            "DELETE FROM {live_name} AS l WHERE {only} AND NOT EXISTS (SELECT 1 FROM {beside_name} b WHERE {same_key})"
        );
        let same: Vec<String> = compared.iter().map(|column| same(column)).collect();
        let names = live.column_names();
        let replaced = format!(
            "INSERT INTO {live_name} ({names}) SELECT {names} FROM {beside_name} AS b WHERE {only} AND NOT EXISTS \
             (SELECT 1 FROM {live_name} l WHERE {same_key} AND {}) {}",
            same.join(" AND "),
            live.on_conflict_replace()
        );
        (extra, replaced)
    }
}

/// Those of some streams, from one after `after` up to `last`, of which a row differs from the one beside it.
pub(super) async fn differing(
    database: &Database,
    table: &StreamTable,
    (after, last): (&str, &str),
) -> Result<Vec<String>, DatabaseError> {
    let StreamTable { only, stream_column: id, .. } = table;
    let (live, beside) = (table.table, table.beside);
    let same_row: Vec<String> = live.key.iter().map(|name| format!("b.{name} = l.{name}")).collect();
    let same_row = same_row.into_iter().chain(table.compared().map(same)).collect::<Vec<_>>().join(" AND ");
    let (live, beside) = (live.name, beside.name);
    let sql = format!(
        "SELECT l.{id} AS id FROM {live} l WHERE {only} AND l.{id} > $1 AND l.{id} <= $2 \
         AND NOT EXISTS (SELECT 1 FROM {beside} b WHERE {same_row}) \
         UNION SELECT b.{id} AS id FROM {beside} b WHERE {only} AND b.{id} > $1 AND b.{id} <= $2 \
         AND NOT EXISTS (SELECT 1 FROM {live} l WHERE {same_row})"
    );
    let rows = database.read_bulk(&sql, &[after.into(), last.into()]).await?;
    rows.iter().map(|row| row.get("id")).collect()
}

/// From here on whoever appends to these streams from what they were before must read them again: an append finds
/// that the snapshot has another number. Without streams, all of a kind.
pub(super) async fn outdate(
    exclusive: &mut Exclusive,
    database: &Database,
    stream_type: &str,
    streams: Option<&[String]>,
) -> Result<(), DatabaseError> {
    let all = "UPDATE snapshots SET current_snapshot = current_snapshot + 1 WHERE aggregate_type = $1";
    let Some(streams) = streams else {
        return exclusive.execute(all, vec![stream_type.into()]).await.map(drop);
    };
    let some =
        format!("{all} AND aggregate_id IN (SELECT given.id FROM {})", database.given(2, &[text("id")]));
    exclusive.execute(&some, vec![stream_type.into(), ids(streams)]).await.map(drop)
}

fn ids(streams: &[String]) -> Value {
    let ids: Vec<_> = streams.iter().map(|id| json!({ "id": id })).collect();
    json!(ids).to_string().into()
}

/// JSON has no equality of its own.
fn same(Column { name, kind }: &Column) -> String {
    match kind {
        ColumnKind::Json => format!("CAST(b.{name} AS text) IS NOT DISTINCT FROM CAST(l.{name} AS text)"),
        ColumnKind::Text | ColumnKind::Integer | ColumnKind::Boolean | ColumnKind::Timestamp => {
            format!("b.{name} IS NOT DISTINCT FROM l.{name}")
        }
    }
}
