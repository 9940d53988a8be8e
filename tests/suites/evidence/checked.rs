//! Reports that go through the whole ledger.

use countersign_tests::{TestApp, on_both_databases};
use serde_json::{Value, json};

use super::{at, evidence, linked, rows};

on_both_databases![
    the_ledger_is_verified_and_what_was_altered_is_named,
    everything_is_folded_twice_at_any_moment,
    the_ledger_is_verified_also_while_the_trail_cannot_go_on,
];

async fn the_ledger_is_verified_and_what_was_altered_is_named(app: TestApp) {
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let report = evidence(&app, "integrity", "").await;
    assert_eq!((&report["holds"], rows(&report).len()), (&json!(true), 0), "{report}");
    assert!(report["proved"].to_string().contains("Every event is what it was"), "{report}");
    let found = evidence(&app, "disabled", "").await;
    assert!(found["position"].as_u64() >= report["position"].as_u64());

    let enabled = app.entries(&format!("user={}&type=TwoFactorEnabled", ada.id)).await;
    let altered = "UPDATE events SET actor_id = 'somebody else' WHERE event_type = 'TwoFactorEnabled'";
    app.place.tamper(altered).await;
    let report = evidence(&app, "integrity", "").await;
    assert_eq!(report["holds"], false);
    assert_eq!(rows(&report)[0]["position"], enabled[0]["position"]);
    assert!(report["summary"].as_str().expect("a sentence").contains("does not hold"), "{report}");
}

async fn the_ledger_is_verified_also_while_the_trail_cannot_go_on(app: TestApp) {
    app.register("Ada").await;
    app.wait_for_the_trail().await;
    // The trail says that it holds nothing, and cannot take in again what it holds.
    app.place.tamper("UPDATE projection_checkpoints SET position = 0 WHERE projection = 'audit_trail'").await;
    app.get("/v1/compliance/evidence/erasures", &app.key).await.refused(503, "busy");
    let answer = app.get("/v1/compliance/evidence/integrity", &app.key).await.expect(200);
    assert_eq!(answer.body["report"]["holds"], true);
}

async fn everything_is_folded_twice_at_any_moment(app: TestApp) {
    let office = app.administrator("Nordlys").await;
    let ada = linked(&app, &office, "Ada").await;
    let early = app.now();
    app.advance_s(60);
    let then = evidence(&app, "replay", &format!("as_of={}", at(early))).await;
    assert_eq!(then["holds"], true, "{then}");
    let events: u64 = rows(&then).iter().map(|row| row["events"].as_u64().expect("a number")).sum();
    assert_eq!(Some(events), then["position"].as_u64());
    let kinds: Vec<Value> = rows(&then).iter().map(|row| row["stream_type"].clone()).collect();
    assert_eq!(kinds, ["agreement", "instance", "user"]);
    for row in rows(&then) {
        assert!(row["first"] == row["second"] && row["first"].as_str().is_some_and(|it| it.len() == 44));
    }
    app.enrol_and_confirm(&ada).await;
    let again = evidence(&app, "replay", &format!("as_of={}", at(early))).await;
    assert_eq!((&again["rows"], &again["root"]), (&then["rows"], &then["root"]));
    let now = evidence(&app, "replay", "").await;
    assert_ne!(rows(&now)[2]["first"], rows(&then)[2]["first"], "Ada has two-factor now");

    app.place.tamper(&format!("DELETE FROM events WHERE aggregate_id = '{}' AND sequence = 2", ada.id)).await;
    let broken = evidence(&app, "replay", "").await;
    assert_eq!(broken["holds"], false);
    assert!(rows(&broken)[0]["problem"].as_str().expect("a sentence").contains("is gone"), "{broken}");
}
