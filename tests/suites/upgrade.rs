//! What an older version left behind is gone on with: its events are read, its read models are filled anew where
//! their shape has changed, and every answer is the one that it gave.

use std::collections::HashSet;
use std::sync::Arc;

use countersign_tests::{
    Agreement, Database, Person, Place, TestApp, clock, fixture, left_by_on_both_databases,
};
use serde_json::{Value, json};

left_by_on_both_databases![
    "0.1.0":
    everything_is_answered_as_the_older_version_did,
    events_of_an_older_shape_are_read_and_never_rewritten,
    a_read_model_of_a_new_version_is_filled_beside_the_old_one,
    nodes_of_the_older_version_find_entries_by_the_key_that_they_know,
    events_of_a_newer_shape_are_refused_by_name_and_change_nothing,
];

/// What the older version answered before it stopped.
fn answers(place: &Place) -> Value {
    let file = fixture("0.1.0", place.database).join("answers.json");
    serde_json::from_str(&std::fs::read_to_string(file).expect("the answers")).expect("JSON")
}

async fn resumed(place: &Arc<Place>) -> (TestApp, Value) {
    let answers = answers(place);
    let at = |field: &Value| clock::parse(field.as_str().expect("a time"));
    let app =
        TestApp::resume(place, answers["key"].as_str().expect("a key"), at(&answers["stopped_at"])).await;
    app.wait_for_the_trail().await;
    (app, answers)
}

/// Fields may have been added since; those that there were say the same.
fn holds_all_of(shown: &Value, was: &Value, what: &str) {
    for (field, was) in was.as_object().expect("an object") {
        assert_eq!(shown[field], *was, "{what}: {field}");
    }
}

async fn everything_is_answered_as_the_older_version_did(place: Arc<Place>) {
    let (app, answers) = resumed(&place).await;
    let days = answers["days"].as_array().expect("days");
    for day in days {
        let at = day["at"].as_str().expect("a time");
        for (path, was) in day["shown"].as_object().expect("answers") {
            let path = path.replacen("/v1/", "/v1/compliance/", 1);
            let shown = app.get(&format!("{path}?as_of={at}"), &app.key).await.expect(200).body;
            holds_all_of(&shown, was, &format!("{path} at {at}"));
        }
    }
    let last = days.last().expect("a day");
    for (path, was) in last["shown"].as_object().expect("answers") {
        holds_all_of(&app.get(path, &app.key).await.expect(200).body, was, path);
    }
    for (user_id, was) in last["login_checks"].as_object().expect("answers") {
        let body = json!({ "user_id": user_id });
        let check = app.post("/v1/login-checks", &app.key, body).await.expect(200);
        // A lock that was on when that day ended is over a day later.
        if was["locked_until"].is_null() && was["deadline"].is_null() {
            assert_eq!(check.body, *was, "{user_id}");
        }
    }
    // People go on where they were, with the passwords and authenticators they have.
    let mut signed_in = 0;
    for person in answers["people"].as_array().expect("people") {
        let Some(secret) = person["secret"].as_str() else { continue };
        let text = |field: &str| person[field].as_str().expect("a text").to_owned();
        let person = Person {
            id: text("id"),
            email: text("email"),
            display_name: String::new(),
            password: text("password"),
        };
        let challenge = app.challenge(&person).await;
        app.verify(&challenge, &app.next_code(secret)).await.expect(200);
        signed_in += 1;
    }
    assert!(signed_in > 3, "{signed_in}");
    app.wait_for_the_trail().await;
    let report = app.replay_report().await;
    assert!(report.holds(), "{report}");
    app.stop().await;
    place.run(&["verify"]).exits(0);
}

const SHAPES: &str =
    "SELECT event_type || ' ' || event_version FROM events WHERE event_type = 'AuthenticatorRemoved'";

async fn events_of_an_older_shape_are_read_and_never_rewritten(place: Arc<Place>) {
    let payloads = "SELECT CAST(payload AS text) FROM events ORDER BY aggregate_id, sequence";
    let before = place.column(payloads).await;
    assert_eq!(
        HashSet::from_iter(place.column(SHAPES).await),
        HashSet::from(["AuthenticatorRemoved 1".to_owned()])
    );
    let (app, _) = resumed(&place).await;
    let shown = app.entries("type=AuthenticatorRemoved").await;
    let reasons: HashSet<&str> =
        shown.iter().map(|entry| entry["data"]["reason"].as_str().expect("a reason")).collect();
    assert_eq!(reasons, HashSet::from(["requested", "replaced"]));
    assert!(
        shown
            .iter()
            .any(|entry| entry["summary"].as_str().expect("a text").contains("gave way to a new one"))
    );

    let (ada, phone) = app.register_with_two_factor("Ada").await;
    let tablet = app.enrol_another(&ada, &phone, json!({ "replace": true })).await;
    app.confirm(&ada, &tablet).await;
    let shapes: HashSet<String> = place.column(SHAPES).await.into_iter().collect();
    assert!(shapes.contains("AuthenticatorRemoved 2"), "{shapes:?}");
    // Snapshots gone, everybody is folded from events of both shapes.
    let snapshots = app.snapshots_and_refolds().await;
    app.forget_snapshots().await;
    assert_eq!(app.snapshots_and_refolds().await, snapshots);
    let after = place.column(payloads).await;
    assert!(before.iter().all(|payload| after.contains(payload)), "what was stored is as it was");
}

async fn nodes_of_the_older_version_find_entries_by_the_key_that_they_know(place: Arc<Place>) {
    place.run(&["migrate"]).exits(0);
    let named = if place.database == Database::Sqlite {
        "SELECT sql FROM sqlite_schema WHERE name = 'ledger_entries'"
    } else {
        "SELECT conname::text FROM pg_constraint WHERE conrelid = 'ledger_entries'::regclass"
    };
    let named = place.column(named).await;
    assert!(named.iter().any(|text| text.contains("ledger_entries_event_key")), "{named:?}");
}

async fn a_read_model_of_a_new_version_is_filled_beside_the_old_one(place: Arc<Place>) {
    let old = "SELECT agreement_id || day || members || '/' || with_two_factor FROM coverage_v1 ORDER BY 1";
    let (rows, size) = (place.column(old).await, place.number("SELECT size FROM ledger_state").await);
    // Before a deploy, while the old version may serve: nothing of its own changes.
    let migrated = place.run(&["migrate"]).exits(0);
    assert!(
        migrated.stdout.contains(&format!("coverage version 2 holds {size} entries")),
        "{}",
        migrated.stdout
    );
    let filled = "SELECT position FROM projection_checkpoints WHERE projection = 'coverage' ORDER BY version";
    assert_eq!(place.column(filled).await, [size.to_string(), size.to_string()]);
    assert_eq!(place.column(old).await, rows);
    assert_eq!(place.run(&["migrate"]).exits(0).stdout, "");

    // Where it was not filled before, a node fills it by itself.
    place
        .tamper(
            "DELETE FROM coverage_v2; DELETE FROM coverage_members_v2; DELETE FROM coverage_two_factor_v2; \
             DELETE FROM projection_checkpoints WHERE version = 2",
        )
        .await;
    let (app, answers) = resumed(&place).await;
    for (agreement, was) in answers["coverage"].as_object().expect("answers") {
        let was = was["items"].as_array().expect("days");
        let (from, to) =
            (clock::beginning().date_naive(), (app.now() - chrono::TimeDelta::days(1)).date_naive());
        let path = format!("/v1/compliance/agreements/{agreement}/coverage?from={from}&to={to}");
        let days = app.get(&path, &app.key).await.expect(200).items();
        assert_eq!(days.len(), was.len());
        for (day, was) in days.iter().zip(was) {
            for (field, was) in was.as_object().expect("a day") {
                assert_eq!(day[field], *was, "{agreement} {field} of {day}");
            }
            assert!(day["superusers"].as_i64() <= day["members"].as_i64());
        }
    }
    assert_eq!(place.column(old).await, rows);
    let report = app.replay_report().await;
    assert!(report.holds(), "{report}");
}

async fn events_of_a_newer_shape_are_refused_by_name_and_change_nothing(place: Arc<Place>) {
    let (app, answers) = resumed(&place).await;
    let agreement = answers["agreements"][0].as_str().expect("an id");
    let agreement = Agreement { id: agreement.to_owned(), number: String::new(), name: String::new() };
    place.tamper("UPDATE events SET event_version = '9' WHERE event_type = 'AgreementOpened'").await;
    // Its snapshot still answers for it; whoever must fold it says what is the matter.
    app.get(&agreement.path(""), &app.key).await.expect(200);
    let report = app.replay_report().await;
    assert!(report.to_string().contains("is of version 9, and this program knows 1"), "{report}");
    let opened = app.entries("type=AgreementOpened").await;
    assert!(opened.iter().all(|entry| entry["data"].is_null() && entry["summary"] == "AgreementOpened"));
    app.stop().await;
    let before = place.column("SELECT CAST(payload AS text) FROM snapshots").await;
    let refused = place.run(&["replay", "snapshots"]).exits(1);
    assert!(refused.stderr.contains("is of version 9"), "{}", refused.stderr);
    assert_eq!(place.column("SELECT CAST(payload AS text) FROM snapshots").await, before);
}
