//! `/readyz`: what a load balancer and an operator are told.

use countersign_tests::{Answer, NOBODY, TestApp, on_both_databases};
use serde_json::json;

on_both_databases![
    a_node_that_runs_is_ready,
    a_node_is_ready_on_a_database_that_a_newer_program_has_migrated,
];

/// The whole body, and that nothing else is said.
#[track_caller]
fn says(answer: &Answer, status: &str, database: bool, migrations: bool) {
    // Without its database a node cannot know how far the sequencer is, and cannot sign either.
    let (lag, alarms) =
        if database { (json!(0), json!([])) } else { (json!(null), answer["alarms"].clone()) };
    let expected = json!({
        "status": status,
        "database": database,
        "migrations": migrations,
        "keys": true,
        "sequencer_lag_ms": lag,
        "alarms": alarms,
    });
    assert_eq!(answer.body, expected, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
}

async fn a_node_that_runs_is_ready(app: TestApp) {
    says(&app.get("/readyz", NOBODY).await.expect(200), "ready", true, true);
}

async fn a_node_is_ready_on_a_database_that_a_newer_program_has_migrated(app: TestApp) {
    let ada = app.register("Ada").await;
    app.migrate_as_a_newer_program().await;
    says(&app.get("/readyz", NOBODY).await.expect(200), "ready", true, true);
    // It does serve: this is what a rolling upgrade relies on.
    app.sign_in(&ada).await;
    app.register("Grace").await;
}

/// Only a database of its own can be taken away.
#[cfg(feature = "postgres")]
mod taken_away {
    use countersign_tests::{
        NOBODY, TestApp, on_postgresql,
        postgres::{give_back, take_away},
    };

    use super::says;

    on_postgresql![a_node_without_its_database_is_not_ready_and_lives];

    async fn a_node_without_its_database_is_not_ready_and_lives(app: TestApp) {
        take_away(app.place.url()).await;
        says(&app.get("/readyz", NOBODY).await.expect(503), "not_ready", false, false);
        // Restarting it would not help, so it does not ask for that.
        app.get("/healthz", NOBODY).await.expect(200);
        app.get("/metrics", NOBODY).await.expect(200);
        give_back(app.place.url()).await;
        app.eventually("the ledger is signed again", async || {
            app.get("/readyz", NOBODY).await["alarms"] == serde_json::json!([])
        })
        .await;
        says(&app.get("/readyz", NOBODY).await.expect(200), "ready", true, true);
    }
}
