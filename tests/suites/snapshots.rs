//! A snapshot is derived: it equals its events folded anew, and without it nothing is lost.

use countersign_tests::{TestApp, on_both_databases};
use serde_json::json;

on_both_databases![
    every_snapshot_equals_its_events_folded_anew,
    without_snapshots_everything_goes_on_as_before,
];

/// A bit of everything that writes events.
async fn a_busy_day(app: &TestApp) {
    let office = app.administrator("Nordlys").await;
    let shop = app.administered("Havbris", &office).await;
    let (grace, _, _) = app.superuser(&office, "Grace").await;
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.link(&shop, &ada).await;
    app.enforce(&office).await;
    let challenge = app.challenge(&ada).await;
    app.guess_wrong(&challenge, &two_factor.secret, 3).await;
    app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.expect(200);
    app.post("/v1/logins", &app.key, json!({ "email": ada.email, "password": "not the password at all" }))
        .await
        .expect(401);
    app.lock_codes(&ada, &two_factor.secret).await;
    app.stop_enforcing(&office).await;
    app.unlink(&shop, &ada).await;
    app.delete(&grace.path("/sessions"), &app.key).await.expect(204);
    app.administer(&shop, None).await;
    app.post(&shop.path("/close"), &app.key, json!({})).await.expect(204);
}

async fn every_snapshot_equals_its_events_folded_anew(app: TestApp) {
    a_busy_day(&app).await;
    let all = app.snapshots_and_refolds().await;
    assert!(all.len() >= 5, "two agreements, two people and an API key: {}", all.len());
    for (stream, id, snapshot, refolded) in all {
        assert_eq!(snapshot, refolded, "{stream} {id}");
    }
}

async fn without_snapshots_everything_goes_on_as_before(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    let before = app.snapshots_and_refolds().await;
    app.forget_snapshots().await;
    assert_eq!(app.snapshots_and_refolds().await, before);
    let code = app.next_code(&two_factor.secret);
    app.verify(&challenge, &code).await.expect(200);
    let challenge = app.challenge(&ada).await;
    app.verify(&challenge, &code).await.refused(401, "wrong-code");
}
