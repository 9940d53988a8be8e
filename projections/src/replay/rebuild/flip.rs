//! Putting rebuilt rows in place of the live ones.

use crate::database::{DatabaseError, Exclusive};
use crate::table::{Column, ColumnKind, Table};

/// Replaces every live row that differs from the one beside it; how many did. `only` says which rows of the
/// tables are meant, and only the `compared` columns are looked at.
pub(super) async fn put_in_place(
    exclusive: &mut Exclusive,
    (live, beside): (&'static Table, &'static Table),
    only: &str,
    compared: impl Iterator<Item = &Column>,
) -> Result<u64, DatabaseError> {
    let same_key: Vec<String> = live.key.iter().map(|name| format!("b.{name} = l.{name}")).collect();
    let same_key = same_key.join(" AND ");
    let (live_name, beside_name) = (live.name, beside.name);
    let extra = format!(
        "DELETE FROM {live_name} AS l WHERE {only} AND NOT EXISTS (SELECT 1 FROM {beside_name} b WHERE {same_key})"
    );
    let extra = exclusive.execute(&extra, Vec::new()).await?;
    let same: Vec<String> = compared.map(same).collect();
    let names = live.column_names();
    let replaced = format!(
        "INSERT INTO {live_name} ({names}) SELECT {names} FROM {beside_name} AS b WHERE {only} AND NOT EXISTS \
         (SELECT 1 FROM {live_name} l WHERE {same_key} AND {}) {}",
        same.join(" AND "),
        live.on_conflict_replace()
    );
    Ok(extra + exclusive.execute(&replaced, Vec::new()).await?)
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
