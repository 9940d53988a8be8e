//! The order of all events: dense, without loss or inversion, whoever writes and whatever is open beside.

use countersign_tests::{Client, Database, NOBODY, TestApp, on_both_databases};
use serde_json::json;
use tokio::task::JoinSet;

on_both_databases![
    sixteen_writers_beside_an_open_transaction_miss_nothing,
    the_same_position_tells_the_same_event_ever_after,
    an_event_that_nobody_announced_is_an_alarm,
    a_ledger_that_is_rolled_back_under_a_running_node_is_not_signed_on,
    an_event_that_waits_for_ten_seconds_makes_the_node_unready,
];

/// Every event has exactly one place, places are dense, and a stream's places rise with its sequence.
async fn in_order(app: &TestApp) -> i64 {
    let place = &app.place;
    let events = place.number("SELECT count(*) FROM events").await;
    let joined = "SELECT count(*) FROM events e JOIN ledger_entries l ON l.aggregate_type = e.aggregate_type \
                  AND l.aggregate_id = e.aggregate_id AND l.sequence = e.sequence";
    assert_eq!(place.number(joined).await, events, "an event is missing");
    assert_eq!(place.number("SELECT count(*) FROM ledger_entries").await, events);
    assert_eq!(place.number("SELECT max(position) + 1 FROM ledger_entries").await, events, "not dense");
    let inverted = "SELECT count(*) FROM ledger_entries a JOIN ledger_entries b ON b.aggregate_type = a.aggregate_type \
                    AND b.aggregate_id = a.aggregate_id AND b.sequence = a.sequence + 1 AND b.position < a.position";
    assert_eq!(place.number(inverted).await, 0, "inverted");
    events
}

/// Waits until nothing waits any more.
async fn sequenced(app: &TestApp) {
    app.eventually("everything has its place", async || {
        let waiting = app.place.number("SELECT count(*) FROM ledger_pending").await;
        let trail = "SELECT count(*) FROM ledger_state s WHERE s.signed_size = s.size AND s.size = \
                     (SELECT max(position) FROM projection_checkpoints)";
        waiting == 0 && app.place.number(trail).await == 1
    })
    .await;
}

async fn write(nodes: Vec<Client>, key: &str, writers: usize, each: usize) {
    let mut running = JoinSet::new();
    for (writer, node) in nodes.into_iter().cycle().take(writers).enumerate() {
        let key = key.to_owned();
        running.spawn(async move {
            let number = format!("writer-{writer}");
            let body = json!({ "number": number, "name": number, "kind": "standard" });
            let opened = node.post("/v1/agreements", &key, body).await.expect(201).string("id");
            for turn in 0..each {
                let path = format!("/v1/agreements/{opened}/enforcement");
                node.put(&path, &key, json!({ "enforced": turn % 2 == 0 })).await.expect(200);
            }
        });
    }
    running.join_all().await;
}

async fn sixteen_writers_beside_an_open_transaction_miss_nothing(app: TestApp) {
    // An event of its own has a number in the queue before those of all who come meanwhile.
    let event = format!("{}; {}", forged_event(1), announcement(1));
    let open = OpenTransaction::begin(app.place.url(), &event).await;
    write(vec![Client::clone(&app)], &app.key, 16, 20).await;
    sequenced(&app).await;
    let events = in_order(&app).await;
    assert!(events >= 16 * 21, "{events}");
    // Still open: it was so all the time. What it has written comes late, and is not missed.
    open.end().await;
    sequenced(&app).await;
    let late = in_order(&app).await - events;
    assert_eq!(late, i64::from(app.place.database != Database::Sqlite));
}

/// A transaction that on PostgreSQL has an id, as one that writes, and that nobody ends before the test does.
enum OpenTransaction {
    Sqlite(rusqlite::Connection),
    #[cfg(feature = "postgres")]
    Postgres(Box<sqlx::PgConnection>),
}

impl OpenTransaction {
    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, reason = "only PostgreSQL waits"))]
    /// What it writes, it writes on PostgreSQL only.
    async fn begin(url: &str, writes: &str) -> Self {
        if let Some(file) = url.strip_prefix("sqlite://") {
            // SQLite has one writer, so a transaction that stays open beside it can only read.
            let connection = rusqlite::Connection::open(file).expect("the database");
            connection.execute_batch("BEGIN").expect("a transaction");
            let count: i64 =
                connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).expect("a count");
            assert!(count > 0, "it has seen a state of the database");
            return Self::Sqlite(connection);
        }
        #[cfg(feature = "postgres")]
        {
            let mut connection = countersign_tests::postgres::connect(url).await;
            // With an id of its own, which is what holds others up that wait for ids to end.
            let sql = format!("BEGIN; SELECT pg_current_xact_id(); {writes}");
            countersign_tests::postgres::run(&mut connection, &sql).await;
            Self::Postgres(Box::new(connection))
        }
        #[cfg(not(feature = "postgres"))]
        panic!("{url} is on PostgreSQL: {writes}")
    }

    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, reason = "only PostgreSQL waits"))]
    async fn end(self) {
        match self {
            Self::Sqlite(connection) => connection.execute_batch("COMMIT").expect("it was still open"),
            #[cfg(feature = "postgres")]
            Self::Postgres(mut connection) => {
                countersign_tests::postgres::run(&mut connection, "COMMIT").await;
            }
        }
    }
}

async fn the_same_position_tells_the_same_event_ever_after(app: TestApp) {
    write(vec![Client::clone(&app)], &app.key, 4, 5).await;
    sequenced(&app).await;
    let before = app.place.column("SELECT leaf FROM ledger_entries ORDER BY position").await;
    let app = app.restarted().await;
    app.register("Ada").await;
    sequenced(&app).await;
    let after = app.place.column("SELECT leaf FROM ledger_entries ORDER BY position").await;
    assert!(after.len() > before.len());
    assert_eq!(after[..before.len()], before);
}

const FORGED_STREAM: &str = "00000000-0000-4000-8000-000000000001";

/// Stores an event of a stream of its own that no command brought about.
fn forged_event(sequence: u32) -> String {
    format!(
        "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
         event_id, recorded_at) SELECT aggregate_type, '{FORGED_STREAM}', {sequence}, event_type, \
         event_version, payload, metadata, '00000000-0000-4000-8000-000000000002', recorded_at \
         FROM events WHERE sequence = 1 AND aggregate_type = 'instance'"
    )
}

/// Announces it.
fn announcement(sequence: u32) -> String {
    format!(
        "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
         VALUES ('unused', 'instance', '{FORGED_STREAM}', {sequence})"
    )
}

async fn put_past_the_program(app: &TestApp, sequence: u32) {
    app.place.tamper(&forged_event(sequence)).await;
}

async fn an_event_that_nobody_announced_is_an_alarm(app: TestApp) {
    sequenced(&app).await;
    put_past_the_program(&app, 1).await;
    app.advance_s(11);
    app.eventually("the alarm is there", async || {
        let ready = app.get("/readyz", NOBODY).await.expect(200);
        let alarms = ready["alarms"].as_array().cloned().unwrap_or_default();
        alarms == [json!("Events never came to the ledger: 1.")]
    })
    .await;
    let metrics = app.get("/metrics", NOBODY).await.expect(200);
    assert!(metrics.text.contains("countersign_ledger_unsequenced_events 1"), "{}", metrics.text);
}

async fn a_ledger_that_is_rolled_back_under_a_running_node_is_not_signed_on(app: TestApp) {
    sequenced(&app).await;
    let columns = ["CAST(size AS text)", "frontier", "checkpoint", "CAST(signed_size AS text)"];
    let mut before = Vec::new();
    for column in columns {
        before.extend(app.place.column(&format!("SELECT {column} FROM ledger_state")).await);
    }
    let [size, frontier, checkpoint, signed_size] = before.as_slice() else { panic!("{before:?}") };
    app.register("Ada").await;
    sequenced(&app).await;
    app.place.tamper(&format!("DELETE FROM ledger_entries WHERE position >= {size}")).await;
    app.place
        .tamper(&format!(
            "UPDATE ledger_state SET size = {size}, frontier = '{frontier}', checkpoint = '{checkpoint}', \
             signed_size = {signed_size}"
        ))
        .await;
    // By the turn, or by the head if that was compared first.
    let refusals = [
        json!("The ledger is not signed."),
        json!("The ledger has not grown from its head, or the head cannot be kept."),
    ];
    app.eventually("the alarm is there", async || {
        let ready = app.get("/readyz", NOBODY).await.expect(200);
        ready["alarms"].as_array().is_some_and(|alarms| alarms.iter().any(|alarm| refusals.contains(alarm)))
    })
    .await;
    // Sign-ins go on, and what they record gets no place in a second history, not by the last turn either, which a
    // node takes before it stops.
    app.register("Grace").await;
    app.stop().await;
    assert_eq!(app.place.column("SELECT checkpoint FROM ledger_state").await, [checkpoint.as_str()]);
    assert!(app.place.number("SELECT count(*) FROM ledger_pending").await > 0);
}

async fn an_event_that_waits_for_ten_seconds_makes_the_node_unready(app: TestApp) {
    sequenced(&app).await;
    // The queue names an event that is not the next of its stream.
    put_past_the_program(&app, 2).await;
    app.place.tamper(&announcement(2)).await;
    let waits = app.get("/readyz", NOBODY).await.expect(200);
    assert_eq!(waits["sequencer_lag_ms"], 0);
    app.advance_s(10);
    let late = app.get("/readyz", NOBODY).await.expect(503);
    assert_eq!((&late["status"], &late["sequencer_lag_ms"]), (&json!("not_ready"), &json!(10_000)));
    // Everybody else's events go on.
    app.register("Ada").await;
    app.eventually("the others have their place", async || {
        app.place.number("SELECT count(*) FROM ledger_pending").await == 1
    })
    .await;
}

/// Only PostgreSQL has a cluster around it and several nodes on it.
#[cfg(feature = "postgres")]
mod together {
    use countersign_tests::{Client, TestApp, on_postgresql};

    use super::{OpenTransaction, in_order, sequenced, write};

    on_postgresql![
        a_transaction_open_in_another_database_of_the_cluster_holds_nothing_up,
        nodes_that_write_at_once_share_one_order,
        another_node_sequences_when_the_leader_stops,
    ];

    async fn a_transaction_open_in_another_database_of_the_cluster_holds_nothing_up(app: TestApp) {
        let open = OpenTransaction::begin(&countersign_tests::postgres::cluster_url(), "").await;
        write(vec![Client::clone(&app)], &app.key, 16, 20).await;
        sequenced(&app).await;
        in_order(&app).await;
        open.end().await;
    }

    async fn nodes_that_write_at_once_share_one_order(app: TestApp) {
        let (second, third) = (app.another_node().await, app.another_node().await);
        let nodes = vec![Client::clone(&app), Client::clone(&second), Client::clone(&third)];
        write(nodes, &app.key, 15, 10).await;
        sequenced(&app).await;
        in_order(&app).await;
    }

    async fn another_node_sequences_when_the_leader_stops(app: TestApp) {
        let other = app.another_node().await;
        app.stop().await;
        other.register("Ada").await;
        sequenced(&other).await;
        in_order(&other).await;
    }
}
