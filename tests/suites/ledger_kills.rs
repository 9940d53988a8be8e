//! The program stopped or killed while it works: what it answered is in the ledger, once.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_tests::{Place, Serving, TestApp, program_on_both_databases};
use serde_json::json;

program_on_both_databases![
    s24_killed_at_any_moment_nothing_acknowledged_is_lost_and_the_ledger_goes_on,
    a_node_that_stops_leaves_what_it_answered_in_the_ledger_and_in_the_trail,
];

const KILLS: usize = 12;

/// Opens agreements until the program is gone; those that were answered.
async fn write_until_killed(app: &TestApp, round: usize, first: &tokio::sync::Notify) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let name = format!("{round}-{number}");
        let body = json!({ "number": name, "name": name, "kind": "standard" });
        match app.try_post("/v1/agreements", &app.key, body).await {
            Some(answer) => acknowledged.push(answer.expect(201).string("id")),
            None => break,
        }
        first.notify_one();
    }
    acknowledged
}

async fn s24_killed_at_any_moment_nothing_acknowledged_is_lost_and_the_ledger_goes_on(place: Arc<Place>) {
    let mut key = None;
    let (mut acknowledged, mut before) = (BTreeSet::new(), Vec::new());
    for round in 0..KILLS {
        let serving = place.serve();
        let key = key.get_or_insert_with(|| place.create_api_key("killed", &["agreements:write"])).clone();
        let app = TestApp::of_program(&place, &serving, &key);
        let first = tokio::sync::Notify::new();
        let killed = async {
            // From the first answer on, at a moment that differs from round to round.
            for _ in 0..=8 * round {
                first.notified().await;
            }
            Serving::kill(serving);
        };
        let (answered, ()) = tokio::join!(write_until_killed(&app, round, &first), killed);
        assert!(!answered.is_empty(), "nothing was answered before the kill");
        acknowledged.extend(answered);
        let leaves = place.column("SELECT leaf FROM ledger_entries ORDER BY position").await;
        assert!(leaves.starts_with(&before), "entries that had their place are others now");
        before = leaves;
    }
    let serving = place.serve();
    serving.stop().exits(0);
    let stored =
        place.column("SELECT aggregate_id FROM ledger_entries WHERE aggregate_type = 'agreement'").await;
    let ids: BTreeSet<String> = stored.iter().cloned().collect();
    assert_eq!(ids.len(), stored.len(), "an event has two places");
    assert!(acknowledged.is_subset(&ids), "{:?} are missing", acknowledged.difference(&ids));
    assert_eq!(place.number("SELECT count(*) FROM ledger_pending").await, 0);
    place.run(&["verify"]).exits(0);
}

async fn a_node_that_stops_leaves_what_it_answered_in_the_ledger_and_in_the_trail(place: Arc<Place>) {
    let serving = place.serve();
    let key = place.create_api_key("stopped", &["agreements:write"]);
    let app = TestApp::of_program(&place, &serving, &key);
    for number in 0..20 {
        let name = number.to_string();
        let body = json!({ "number": name, "name": name, "kind": "standard" });
        app.post("/v1/agreements", &app.key, body).await.expect(201);
    }
    serving.stop().exits(0);
    let events = place.number("SELECT count(*) FROM events").await;
    assert_eq!(place.number("SELECT signed_size FROM ledger_state").await, events);
    assert_eq!(place.number("SELECT count(*) FROM audit_trail_v1").await, events);
}
