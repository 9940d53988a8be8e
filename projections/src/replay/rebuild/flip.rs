//! Putting rebuilt rows in place of the live ones.

use serde_json::json;

use crate::database::{Database, DatabaseError, Exclusive};
use crate::replay::model::StreamTable;
use crate::table::{Column, ColumnKind, Table, Value, text};

use super::beside::Pair;

/// Replaces every live row that differs from the one beside it; how many did.
pub(super) async fn put_in_place(
    exclusive: &mut Exclusive,
    pair: Pair,
    scope: &Scope,
) -> Result<u64, DatabaseError> {
    Ok(mend(exclusive, pair, scope).await? + add(exclusive, pair, scope).await?)
}

/// Takes rows away that are not beside, and changes those that differ; how many.
pub(super) async fn mend(exclusive: &mut Exclusive, pair: Pair, scope: &Scope) -> Result<u64, DatabaseError> {
    let [remove, change, _] = scope.statements(pair);
    let removed = exclusive.execute(&remove, scope.params.clone()).await?;
    Ok(removed + exclusive.execute(&change, scope.params.clone()).await?)
}

/// Writes the rows that are missing; how many.
pub(super) async fn add(exclusive: &mut Exclusive, pair: Pair, scope: &Scope) -> Result<u64, DatabaseError> {
    let [_, _, add] = scope.statements(pair);
    exclusive.execute(&add, scope.params.clone()).await
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

    /// What takes rows away that are not beside, what changes those that differ, and what writes those that are
    /// missing: where that is many rows it costs less than an upsert.
    fn statements(&self, (live, beside): Pair) -> [String; 3] {
        let Self { only, compared, .. } = self;
        let (same_key, names, key) = (same_key(live), live.column_names(), live.key.join(", "));
        let same = compared.iter().map(|column| same(column)).collect::<Vec<_>>().join(" AND ");
        let outside_key = live.columns.iter().filter(|column| !live.key.contains(&column.name));
        let set = outside_key.map(|Column { name, .. }| format!("{name} = b.{name}"));
        let set = set.collect::<Vec<_>>().join(", ");
        let (live, beside) = (live.name, beside.name);
        [
            format!(
                "DELETE FROM {live} AS l WHERE {only} \
                 AND NOT EXISTS (SELECT 1 FROM {beside} b WHERE {same_key})"
            ),
            format!(
                "UPDATE {live} AS l SET {set} FROM (SELECT * FROM {beside} WHERE {only}) AS b \
                 WHERE {same_key} AND NOT ({same})"
            ),
            // In the order of the key, so that its index grows at one end.
            format!(
                "INSERT INTO {live} ({names}) SELECT {names} FROM {beside} AS b WHERE {only} \
                 AND NOT EXISTS (SELECT 1 FROM {live} l WHERE {same_key}) ORDER BY {key}"
            ),
        ]
    }
}

/// A row for each that differs from the one beside it, or that only one of the two tables has.
pub(super) fn differing_rows((live, beside): Pair) -> String {
    let same = live.columns.iter().map(same).collect::<Vec<_>>().join(" AND ");
    format!(
        "SELECT 1 AS one FROM {} l FULL JOIN {} b ON {} WHERE NOT ({same})",
        live.name,
        beside.name,
        same_key(live)
    )
}

/// Those of some streams, from one after `after` up to `last`, of which a row differs from the one beside it.
pub(super) async fn differing(
    database: &Database,
    table: &StreamTable,
    (after, last): (&str, &str),
) -> Result<Vec<String>, DatabaseError> {
    let StreamTable { only, stream_column: id, .. } = table;
    let (live, beside) = (table.table, table.beside);
    let same_row = std::iter::once(same_key(live)).chain(table.compared().map(same));
    let same_row = same_row.collect::<Vec<_>>().join(" AND ");
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

fn same_key(Table { key, .. }: &Table) -> String {
    key.iter().map(|name| format!("b.{name} = l.{name}")).collect::<Vec<_>>().join(" AND ")
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
