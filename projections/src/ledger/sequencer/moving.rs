//! How what waited becomes entries. The database moves the rows itself: a leaf that came with its event does not
//! travel back to it.

use serde_json::json;

use super::leaves::Entry;
use crate::database::{Database, Step};
use crate::ledger::store::{LedgerError, number};
use crate::table::{LEDGER_ENTRIES, Value, integer, text};

/// A hash in base64.
const HASH_CHARACTERS: u8 = 44;

/// Stores these entries, and takes the rows that are done with out of the queue; all by ascending number.
pub(super) fn steps(database: &Database, entries: &[Entry], done: &[i64]) -> Result<Vec<Step>, LedgerError> {
    let (made, moved): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| entry.made.is_some());
    let mut steps = Vec::new();
    if !moved.is_empty() {
        steps.push(move_rows(database, &moved)?);
    }
    if !made.is_empty() {
        let rows = made.into_iter().map(row).collect::<Result<_, _>>()?;
        steps.push(Step::insert(&LEDGER_ENTRIES, rows));
    }
    steps.push(remove(database, done));
    Ok(steps)
}

/// Entries whose leaves are in the queue.
fn move_rows(database: &Database, moved: &[&Entry]) -> Result<Step, LedgerError> {
    let ids: Vec<i64> = moved.iter().map(|entry| entry.pending_id).collect();
    let (rows, params) = match (without_gap(&ids), moved) {
        (Some((first, last)), [entry, ..]) => {
            let hashes: String = moved.iter().map(|entry| entry.leaf_hash.to_base64()).collect();
            let hash = database.piece(2, HASH_CHARACTERS, "pending_id - $3");
            let rows = format!(
                "SELECT $1 + pending_id - $3, aggregate_type, aggregate_id, sequence, leaf, {hash} \
                 FROM ledger_pending WHERE pending_id BETWEEN $3 AND $4 ORDER BY pending_id"
            );
            (rows, vec![number(entry.position)?, hashes.into(), first.into(), last.into()])
        }
        (_, listed) => {
            let columns = [integer("pending_id"), integer("position"), text("leaf_hash")];
            let given = database.given(1, &columns);
            let rows = format!(
                "SELECT given.position, p.aggregate_type, p.aggregate_id, p.sequence, p.leaf, given.leaf_hash \
                 FROM {given} JOIN ledger_pending p ON p.pending_id = given.pending_id ORDER BY given.position"
            );
            let listed: Vec<_> = listed.iter().map(|entry| as_given(entry)).collect();
            (rows, vec![json!(listed).to_string().into()])
        }
    };
    let sql = format!("INSERT INTO ledger_entries ({}) {rows}", LEDGER_ENTRIES.column_names());
    Ok(Step::new(sql, params).changing(count(moved.len())))
}

fn as_given(entry: &Entry) -> serde_json::Value {
    json!({
        "pending_id": entry.pending_id,
        "position": entry.position,
        "leaf_hash": entry.leaf_hash.to_base64(),
    })
}

fn remove(database: &Database, done: &[i64]) -> Step {
    let (condition, params) = match without_gap(done) {
        Some((first, last)) => ("pending_id BETWEEN $1 AND $2".to_owned(), vec![first.into(), last.into()]),
        None => (database.any_of("pending_id", 1), vec![json!(done).to_string().into()]),
    };
    Step::new(format!("DELETE FROM ledger_pending WHERE {condition}"), params).changing(count(done.len()))
}

/// First and last of these numbers, if none between them is left out. Then no other row can ever lie between them,
/// a range finds just these, and their places follow from their numbers.
fn without_gap(ids: &[i64]) -> Option<(i64, i64)> {
    let follows = |(id, next): (&i64, &i64)| id.checked_add(1) == Some(*next);
    if ids.iter().zip(ids.iter().skip(1)).all(follows) {
        ids.first().copied().zip(ids.last().copied())
    } else {
        None
    }
}

fn row(entry: &Entry) -> Result<Vec<Value>, LedgerError> {
    Ok(vec![
        number(entry.position)?,
        entry.stream.stream_type().into(),
        entry.stream.id().into_owned().into(),
        number(entry.sequence)?,
        entry.made.clone().into(),
        entry.leaf_hash.to_base64().into(),
    ])
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
