//! Evidence reports on the command line, beside a server and without one.

use std::sync::Arc;

use countersign_tests::{Place, TestApp, app::SCOPES, program_on_both_databases, trail::types};
use serde_json::{Value, json};

use crate::independent::second_program::Outsider;
use crate::routes::UNKNOWN_ID;

program_on_both_databases![
    a_note_is_printed_with_a_server_and_without_one,
    a_reset_is_told_with_its_reason_and_an_erased_person_without_a_name,
    a_report_that_does_not_hold_exits_with_1,
    without_a_name_the_reports_are_listed,
    a_wrong_call_is_refused,
];

/// What a printed note says, if it is signed by the key of the ledger.
async fn signed(place: &Place, words: &[&str]) -> Value {
    let key = place.column("SELECT verifier_key FROM ledger_state").await.remove(0);
    let printed = place.run(words).exits(0).stdout;
    let said = Outsider::who_trusts(&key).note(&printed).exits(0).stdout;
    serde_json::from_str(&said).expect("one JSON value")
}

async fn a_note_is_printed_with_a_server_and_without_one(place: Arc<Place>) {
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, &place.create_api_key("all", &SCOPES));
    let agreement = app.agreement("Havbris").await;
    app.enforce(&agreement).await;
    let beside = signed(&place, &["evidence", "policy-history"]).await;
    assert_eq!(beside["rows"].as_array().map(Vec::len), Some(2), "{beside}");
    // It is on the record, once.
    app.eventually("the question is in the trail", async || {
        let reads = app.entries("type=AuditRead").await;
        let asked = json!({ "route": "evidence", "types": ["policy-history"] });
        let of_operator =
            |read: &&Value| read["data"]["filter"] == asked && read["actor"]["kind"] == "operator";
        reads.iter().filter(of_operator).count() == 1
    })
    .await;
    serving.stop().exits(0);

    let (id, from) = (agreement.id.as_str(), "2000-01-01T00:00:00Z");
    let alone = signed(&place, &["evidence", "policy-history", "--agreement", id, "--from", from]).await;
    assert_eq!(alone["rows"], beside["rows"]);
    for report in ["integrity", "replay", "enforcement-on-date", "sign-ins-without-second-factor"] {
        let told = signed(&place, &["evidence", report]).await;
        assert_eq!(told["report"], report);
    }
    let page = place.run(&["evidence", "integrity", "--format", "html"]).exits(0).stdout;
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("Holds"), "{page}");
    let both = place.run(&["evidence", "integrity", "--format", "json"]).exits(0).stdout;
    let both: Value = serde_json::from_str(&both).expect("one JSON value");
    assert_eq!(both["report"]["holds"], true);
}

async fn a_reset_is_told_with_its_reason_and_an_erased_person_without_a_name(place: Arc<Place>) {
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, &place.create_api_key("all", &SCOPES));
    let (ada, _) = app.register_with_two_factor("Ada Augusta").await;
    place.run(&["user", "reset-two-factor", &ada.id, "--reason", "lost her phone"]).exits(0);
    let told = signed(&place, &["evidence", "disabled"]).await;
    let reset = |report: &Value| {
        let rows = report["rows"].as_array().expect("rows").clone();
        rows.into_iter().find(|row| row["event"] == types::TWO_FACTOR_RESET).expect("the reset")
    };
    let row = reset(&told);
    assert_eq!(row["person"], json!({ "id": ada.id, "name": "Ada Augusta" }));
    assert_eq!((&row["reason"], &row["actor"]["kind"]), (&json!("lost her phone"), &json!("operator")));

    place.run(&["user", "erase", &ada.id]).exits(0);
    let told = signed(&place, &["evidence", "disabled"]).await;
    assert_eq!(reset(&told)["position"], row["position"]);
    assert_eq!(reset(&told)["person"], json!({ "id": ada.id, "name": "[erased]" }));
    assert_eq!(reset(&told)["reason"], "[erased]");
    assert!(!told.to_string().contains("Augusta"), "{told}");
    let erased = signed(&place, &["evidence", "erasures"]).await;
    let [row] = erased["rows"].as_array().expect("rows").as_slice() else { panic!("{erased}") };
    assert_eq!((&row["person"]["id"], &row["actor"]["kind"]), (&json!(ada.id), &json!("operator")));
    assert!(row["position"].as_u64() > reset(&told)["position"].as_u64());
    let done = signed(&place, &["evidence", "admin-actions"]).await.to_string();
    assert!(
        done.contains("TwoFactorReset") && done.contains("UserErased") && !done.contains("Augusta"),
        "{done}"
    );
}

async fn a_report_that_does_not_hold_exits_with_1(place: Arc<Place>) {
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, &place.create_api_key("all", &SCOPES));
    app.register("Ada").await;
    app.wait_for_the_trail().await;
    serving.stop().exits(0);
    place.run(&["evidence", "integrity"]).exits(0);
    place.tamper("UPDATE events SET actor_id = 'somebody else' WHERE event_type = 'UserRegistered'").await;
    let found = place.run(&["evidence", "integrity"]).exits(1);
    assert!(found.stderr.contains("integrity does not hold: The ledger of"), "{}", found.stderr);
    // It is signed all the same.
    let key = place.column("SELECT verifier_key FROM ledger_state").await.remove(0);
    let said = Outsider::who_trusts(&key).note(&found.stdout).exits(0).stdout;
    assert!(said.contains(r#""holds":false"#), "{said}");
}

async fn without_a_name_the_reports_are_listed(place: Arc<Place>) {
    let listed = place.run(&["evidence"]).exits(0).stdout;
    assert_eq!(listed.lines().count(), 11, "{listed}");
    assert!(listed.contains("sign-ins-without-second-factor  Sign-ins with the password alone"), "{listed}");
}

async fn a_wrong_call_is_refused(place: Arc<Place>) {
    place.serve().stop().exits(0);
    let unknown = place.run(&["evidence", "everything"]).exits(2);
    assert!(unknown.stderr.contains("there are enforcement-on-date, disabled"), "{}", unknown.stderr);
    let useless = place.run(&["evidence", "integrity", "--as-of", "2027-01-01T00:00:00Z"]).exits(2);
    assert!(useless.stderr.contains("no use for as_of"), "{}", useless.stderr);
    let future = place.run(&["evidence", "replay", "--as-of", "9000-01-01T00:00:00Z"]).exits(2);
    assert!(future.stderr.contains("in the future"), "{}", future.stderr);
    place.run(&["evidence", "disabled", "--agreement", UNKNOWN_ID]).refuses(&["agreement"]);
}
