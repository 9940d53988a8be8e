//! The queue, for joining events with it: it has no index by event, so all of it is gone through.
//!
//! PostgreSQL takes the queue to be as empty as when it was last vacuumed, and events of the last moments to be few. It
//! would then go through the whole queue once for each event. Rows that are given it takes to be a hundred, although
//! there are none, and with a hundred more on either side it goes through each side once.

use crate::database::Database;
use crate::table::{Column, Value, integer, text};

/// What identifies an event.
pub(super) const KEY: [Column; 3] = [text("aggregate_type"), text("aggregate_id"), integer("sequence")];

/// What is to be given for the parameter.
pub(super) fn nothing() -> Value {
    "[]".into()
}

/// Which events wait, each once, as a table of [`KEY`].
pub(super) fn waiting(database: &Database, parameter: u8) -> String {
    let rows = "SELECT DISTINCT aggregate_type, aggregate_id, sequence FROM ledger_pending";
    and_nothing(database, parameter, &KEY, rows)
}

/// These rows, which have these columns, and none more.
pub(super) fn and_nothing(database: &Database, parameter: u8, columns: &[Column], rows: &str) -> String {
    let given = database.given(parameter, columns);
    let names: Vec<String> = columns.iter().map(|column| format!("given.{}", column.name)).collect();
    format!("(SELECT * FROM ({rows}) AS found UNION ALL SELECT {} FROM {given})", names.join(", "))
}
