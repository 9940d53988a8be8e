//! What the journal promises, tried on real databases with real concurrency.

mod lost_connection;
mod many_at_once;
mod one_append;

use chrono::{DateTime, Utc};
use countersign_projections::database::testing::{FreshDatabase, fresh_databases};
use countersign_projections::database::{Database, StatementKind};
use countersign_projections::ledger::tree::leaf_hash;
use countersign_projections::table::{
    AGREEMENT_NUMBER_CLAIMS, API_KEYS, APPEND_TABLES, Change, DATA_KEYS, EMAIL_CLAIMS,
    LOGIN_CHECK_AGREEMENTS, LOGIN_CHECK_LINKS, LOGIN_CHECK_USERS, Table, VAULT, Value, WEBHOOK_CURSORS,
    WEBHOOKS,
};

use super::{Append, EventRow, Journal, LoadQuery};

/// Text that breaks whoever quotes or escapes by hand.
const ODD: &str = "O'Brien \"Zoë\" 🦀 \\ {a,NULL} $1 \u{1}\n";

/// Loads a user, and counts the links of the subject.
static LOAD_USER: LoadQuery = LoadQuery {
    name: "test user",
    kind: StatementKind::Load,
    sql: "SELECT wanted.id, wanted.subject, snapshots.last_sequence AS sequence, \
        snapshots.current_snapshot AS snapshot_number, snapshots.payload AS snapshot, \
        snapshots.leaf_hash, \
        (SELECT {array}{object}'sequence', events.sequence, 'payload', {json}events.payload{/json}{/object} \
                ORDER BY events.sequence{/array} \
            FROM events WHERE events.aggregate_type = 'user' AND events.aggregate_id = wanted.id \
                AND events.sequence > coalesce(snapshots.last_sequence, 0)) AS tail, \
        {object}'links', (SELECT count(*) FROM login_check_links WHERE user_id = wanted.subject){/object} AS facts \
        FROM {wanted} LEFT JOIN snapshots \
            ON snapshots.aggregate_type = 'user' AND snapshots.aggregate_id = wanted.id",
};

/// A journal on each database that can be tested here; the database goes when the first part does.
async fn journals() -> Vec<(FreshDatabase, Journal)> {
    let mut journals = Vec::new();
    for fresh in fresh_databases().await.unwrap() {
        let journal = Journal::open(fresh.database.clone()).await.unwrap();
        journals.push((fresh, journal));
    }
    journals
}

fn moment() -> DateTime<Utc> {
    "2026-02-03T04:05:06.123456789Z".parse().unwrap()
}

fn event(event_id: String, sequence: i64) -> EventRow {
    EventRow {
        event_id,
        sequence,
        event_type: "LoginSucceeded".to_owned(),
        event_version: "1".to_owned(),
        payload: serde_json::json!({ "n": sequence, "odd": ODD }).to_string(),
        metadata: "{}".to_owned(),
        recorded_at: moment(),
        user_id: Some("u1".to_owned()),
        agreement_id: None,
        actor_id: None,
        leaf: Some(format!("leaf {sequence} {ODD}")),
    }
}

/// Two events for a user; `by` makes the event ids its own.
fn append(stream_id: &str, expected_sequence: i64, by: &str) -> Append {
    let sequences = [expected_sequence + 1, expected_sequence + 2];
    Append {
        stream_type: "user",
        stream_id: stream_id.to_owned(),
        expected_sequence,
        expected_snapshot: expected_sequence / 2,
        events: sequences.map(|n| event(format!("{stream_id} {n} by {by}"), n)).to_vec(),
        snapshot: format!(r#"{{"events":{}}}"#, expected_sequence + 2),
        leaf_hash: Some(leaf_hash(stream_id.as_bytes())),
        changes: Vec::new(),
    }
}

fn claim(digest: &str, user_id: &str) -> Change {
    Change::Insert(&EMAIL_CLAIMS, vec![digest.into(), user_id.into()])
}

/// One row of every table that an append may write, with its key made from `key`.
fn rows_of_every_table(key: &str, locked: Option<DateTime<Utc>>) -> Vec<(&'static Table, Vec<Value>)> {
    let at = Value::from(moment());
    let key = || Value::from(key);
    let odd = || Value::from(ODD);
    vec![
        (&EMAIL_CLAIMS, vec![key(), odd()]),
        (&AGREEMENT_NUMBER_CLAIMS, vec![key(), odd()]),
        (&DATA_KEYS, vec![key(), odd(), odd(), odd(), at.clone()]),
        (&VAULT, vec![key(), odd(), odd(), odd(), odd(), at.clone()]),
        (
            &LOGIN_CHECK_USERS,
            vec![
                key(),
                Value::Null,
                odd(),
                true.into(),
                false.into(),
                true.into(),
                locked.into(),
                Value::Null,
                at.clone(),
            ],
        ),
        (&LOGIN_CHECK_LINKS, vec![key(), odd(), odd(), at.clone()]),
        (
            &LOGIN_CHECK_AGREEMENTS,
            vec![
                key(),
                odd(),
                odd(),
                odd(),
                Value::Null,
                locked.into(),
                false.into(),
                locked.into(),
                Value::Null,
                locked.into(),
                odd(),
                true.into(),
                at.clone(),
            ],
        ),
        (&API_KEYS, vec![key(), odd(), odd(), odd(), at.clone(), locked.into(), Value::Null]),
        (&WEBHOOKS, vec![key(), odd(), odd(), odd(), at.clone()]),
        (&WEBHOOK_CURSORS, vec![key(), 7.into()]),
    ]
}

async fn count(database: &Database, table: &str) -> i64 {
    let rows = database.read(&format!("SELECT count(*) AS found FROM {table}"), &[]).await.unwrap();
    rows[0].get("found").unwrap()
}

/// How many rows each table has that an append can write.
async fn sizes(database: &Database) -> Vec<(&'static str, i64)> {
    let mut sizes = Vec::new();
    let others = ["events", "snapshots", "ledger_pending"];
    for table in APPEND_TABLES.iter().map(|table| table.name).chain(others) {
        sizes.push((table, count(database, table).await));
    }
    sizes
}

/// Every event has its pending row, each stream is numbered without a gap and pends in its order, and
/// no event id is stored twice.
async fn assert_whole(database: &Database) {
    let sql = "SELECT events.aggregate_id, events.sequence, events.event_id, leaf FROM events \
        JOIN ledger_pending ON ledger_pending.event_id = events.event_id \
            AND ledger_pending.aggregate_type = events.aggregate_type \
            AND ledger_pending.aggregate_id = events.aggregate_id \
            AND ledger_pending.sequence = events.sequence \
        ORDER BY ledger_pending.pending_id";
    let rows = database.read(sql, &[]).await.unwrap();
    let mut last = std::collections::HashMap::<String, i64>::new();
    let mut ids = std::collections::HashSet::<String>::new();
    for row in &rows {
        let sequence = last.entry(row.get("aggregate_id").unwrap()).or_default();
        *sequence += 1;
        assert_eq!(row.get::<i64>("sequence").unwrap(), *sequence);
        assert!(ids.insert(row.get("event_id").unwrap()));
        assert_eq!(row.get::<String>("leaf").unwrap(), format!("leaf {sequence} {ODD}"));
    }
    let stored = i64::try_from(rows.len()).unwrap();
    assert_eq!(count(database, "events").await, stored);
    assert_eq!(count(database, "ledger_pending").await, stored);
    for (stream, sequence) in last {
        let sql = "SELECT last_sequence FROM snapshots WHERE aggregate_id = $1";
        let snapshot = database.read(sql, &[stream.into()]).await.unwrap();
        assert_eq!(snapshot[0].get::<i64>("last_sequence").unwrap(), sequence);
    }
}
