//! The audit trail: what an entry says, and how entries are found.

use countersign_tests::{
    NOBODY, Person, TestApp, TwoFactor,
    answer::{string, time},
    clock, on_both_databases,
    trail::types,
};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases![
    the_journey_is_told_in_order,
    an_entry_has_every_field,
    an_entry_says_who_did_it_and_for_whom,
    an_entry_of_a_session_names_the_person,
    an_entry_has_the_address_and_the_program_of_the_person,
    an_entry_is_dated_by_the_clock,
    the_summary_is_a_sentence_without_secrets,
    entries_are_found_by_user,
    entries_are_found_by_agreement,
    entries_are_found_by_actor,
    entries_are_found_by_any_of_several_types,
    a_period_is_half_open,
    pages_hold_every_entry_once_newest_first,
    pages_are_stable_while_the_trail_grows,
    a_write_is_in_the_trail_once_the_reader_has_waited_for_it,
    a_refused_code_is_a_write_too,
    an_after_write_that_is_none_is_refused,
];

/// Somebody turns two-factor on, mistypes a code, and signs in.
async fn journey(app: &TestApp) -> (Person, TwoFactor) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    app.guess_wrong(&challenge, &two_factor.secret, 1).await;
    let code = app.next_code(&two_factor.secret);
    app.verify(&challenge, &code).await.expect(200);
    (ada, two_factor)
}

fn of(person: &Person) -> String {
    format!("user={}", person.id)
}

/// Until entries have positions in a ledger, ids of events tell them apart.
fn ids(entries: &[Value]) -> Vec<String> {
    entries.iter().map(|entry| string(&entry["event_id"])).collect()
}

async fn the_journey_is_told_in_order(app: TestApp) {
    let (ada, _) = journey(&app).await;
    let mut entries = app.entries(&of(&ada)).await;
    entries.reverse();
    let told: Vec<String> = entries.iter().map(|entry| string(&entry["type"])).collect();
    let expected = [
        types::USER_REGISTERED,
        types::TWO_FACTOR_ENABLED,
        types::SECOND_FACTOR_FAILED,
        types::SECOND_FACTOR_PASSED,
    ];
    // Other events may stand between them.
    let mut rest = told.iter();
    for event_type in expected {
        assert!(rest.any(|told| told == event_type), "{event_type} is missing in {told:?}");
    }
}

async fn an_entry_has_every_field(app: TestApp) {
    journey(&app).await;
    for entry in app.entries("").await {
        for field in [
            "position",
            "event_id",
            "recorded_at",
            "type",
            "user_id",
            "agreement_id",
            "actor",
            "on_behalf_of",
            "address",
            "user_agent",
            "request_id",
            "summary",
            "data",
        ] {
            assert!(entry.get(field).is_some(), "{field} is missing in {entry}");
        }
        for field in ["kind", "id", "name"] {
            assert!(entry["actor"].get(field).is_some(), "actor.{field} is missing in {entry}");
        }
    }
}

async fn the_only(app: &TestApp, person: &Person, event_type: &str) -> Value {
    let entries = app.entries(&format!("{}&type={event_type}", of(person))).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].clone()
}

async fn an_entry_says_who_did_it_and_for_whom(app: TestApp) {
    let (ada, _) = journey(&app).await;
    let entry = the_only(&app, &ada, types::SECOND_FACTOR_PASSED).await;
    assert_eq!(entry["user_id"], ada.id);
    assert_eq!(entry["actor"]["name"], "suites", "the API key that called");
    assert!(entry["on_behalf_of"].to_string().contains(&ada.id), "{entry}");
}

async fn an_entry_of_a_session_names_the_person(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let session = app.sign_in_with(&ada, &two_factor).await;
    let body = json!({ "password": ada.password });
    app.post(&ada.path("/two-factor/disable"), &session.token, body).await.expect(204);
    let entry = the_only(&app, &ada, types::TWO_FACTOR_DISABLED).await;
    assert_eq!(entry["actor"]["id"], ada.id);
    assert_eq!(entry["actor"]["name"], ada.display_name);
    assert_eq!(entry["on_behalf_of"], Value::Null);
}

async fn an_entry_has_the_address_and_the_program_of_the_person(app: TestApp) {
    let ada = app.register("Ada").await;
    app.request(Method::POST, "/v1/logins")
        .token(&app.key)
        .from_address("192.0.2.44")
        .header("countersign-client-user-agent", "Suite/1.0 (a browser)")
        .json(&json!({ "email": ada.email, "password": "not her passphrase at all" }))
        .send()
        .await
        .refused(401, "wrong-credentials");
    let entry = the_only(&app, &ada, types::PASSWORD_FAILED).await;
    assert_eq!(entry["address"], "192.0.2.44");
    assert_eq!(entry["user_agent"], "Suite/1.0 (a browser)");
}

async fn an_entry_is_dated_by_the_clock(app: TestApp) {
    app.advance_min(90);
    let ada = app.register("Ada").await;
    let entry = the_only(&app, &ada, types::USER_REGISTERED).await;
    assert_eq!(time(&entry["recorded_at"]), app.now());
}

async fn the_summary_is_a_sentence_without_secrets(app: TestApp) {
    let (ada, two_factor) = journey(&app).await;
    for entry in app.entries(&of(&ada)).await {
        assert!(string(&entry["summary"]).contains(' '), "{entry}");
        for secret in [&two_factor.secret, &two_factor.recovery_code, &ada.password] {
            assert!(!entry.to_string().contains(secret.as_str()), "{entry}");
        }
    }
}

async fn entries_are_found_by_user(app: TestApp) {
    let (ada, _) = journey(&app).await;
    let grace = app.register("Grace").await;
    let entries = app.entries(&of(&ada)).await;
    assert!(entries.iter().all(|entry| entry["user_id"] == ada.id), "{entries:?}");
    let of_grace = app.entries(&of(&grace)).await;
    assert!(!of_grace.is_empty());
    assert!(of_grace.iter().all(|entry| entry["user_id"] == grace.id), "{of_grace:?}");
}

async fn entries_are_found_by_agreement(app: TestApp) {
    let (first, second) = (app.agreement("First").await, app.agreement("Second").await);
    app.enforce(&first).await;
    let entries = app.entries(&format!("agreement={}", first.id)).await;
    assert!(entries.iter().all(|entry| entry["agreement_id"] == first.id), "{entries:?}");
    assert!(entries.iter().any(|entry| entry["type"] == types::ENFORCEMENT_CHANGED), "{entries:?}");
    let entries = app.entries(&format!("agreement={}", second.id)).await;
    assert!(!entries.is_empty());
    assert!(entries.iter().all(|entry| entry["agreement_id"] == second.id), "{entries:?}");
}

async fn entries_are_found_by_actor(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let session = app.sign_in_with(&ada, &two_factor).await;
    let body = json!({ "password": ada.password });
    app.post(&ada.path("/two-factor/disable"), &session.token, body).await.expect(204);
    let entries = app.entries(&format!("actor={}", ada.id)).await;
    assert!(!entries.is_empty());
    assert!(entries.iter().all(|entry| entry["actor"]["id"] == ada.id), "{entries:?}");
}

async fn entries_are_found_by_any_of_several_types(app: TestApp) {
    let (ada, _) = journey(&app).await;
    let (one, other) = (types::SECOND_FACTOR_FAILED, types::SECOND_FACTOR_PASSED);
    let entries = app.entries(&format!("{}&type={one}&type={other}", of(&ada))).await;
    let types: Vec<String> = entries.iter().map(|entry| string(&entry["type"])).collect();
    assert_eq!(types, [other, one], "newest first, and nothing else");
}

async fn a_period_is_half_open(app: TestApp) {
    let mut registered = Vec::new();
    for name in ["Ada", "Grace", "Edith"] {
        registered.push((app.register(name).await, app.now()));
        app.advance_s(60);
    }
    let (from, to) = (clock::text(registered[0].1), clock::text(registered[2].1));
    let query = format!("type={}&from={from}&to={to}", types::USER_REGISTERED);
    let found: Vec<String> =
        app.entries(&query).await.iter().map(|entry| string(&entry["user_id"])).collect();
    assert_eq!(found, [registered[1].0.id.clone(), registered[0].0.id.clone()]);
}

/// Reads page by page; `between` may write in between.
async fn pages(app: &TestApp, query: &str, between: impl AsyncFn(usize)) -> Vec<Value> {
    app.wait_for_the_trail().await;
    let mut entries = Vec::new();
    let mut cursor = String::new();
    for page in 0..100 {
        let path = format!("/v1/audit/entries?limit=2&{query}{cursor}");
        let answer = app.get(&path, &app.key).await.expect(200);
        assert!(answer.items().len() <= 2, "{}", answer.text);
        entries.extend(answer.items());
        match answer["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return entries,
        }
        between(page).await;
    }
    panic!("the pages never end");
}

async fn pages_hold_every_entry_once_newest_first(app: TestApp) {
    let (ada, _) = journey(&app).await;
    let whole = app.entries(&of(&ada)).await;
    assert!(whole.len() >= 4, "{whole:?}");
    let times: Vec<String> = whole.iter().map(|entry| string(&entry["recorded_at"])).collect();
    assert!(times.iter().rev().is_sorted(), "{times:?}");
    let paged = pages(&app, &of(&ada), async |_| {}).await;
    assert_eq!(ids(&paged), ids(&whole));
}

async fn pages_are_stable_while_the_trail_grows(app: TestApp) {
    let (ada, _) = journey(&app).await;
    let whole = app.entries(&of(&ada)).await;
    let paged = pages(&app, &of(&ada), async |_| {
        app.challenge(&ada).await;
        app.wait_for_the_trail().await;
    })
    .await;
    assert_eq!(ids(&paged), ids(&whole), "what came later is not among them");
}

async fn a_write_is_in_the_trail_once_the_reader_has_waited_for_it(app: TestApp) {
    for number in 0..20 {
        let body = json!({ "email": format!("ada{number}@example.com"), "display_name": "Ada" });
        let registered = app.post("/v1/users", &app.key, body).await.expect(201);
        let write = registered.header("countersign-write").replace('/', "%2F");
        assert!(!write.is_empty(), "every write answers Countersign-Write");
        let user = registered.string("id");
        let path = format!("/v1/audit/entries?user={user}&after_write={write}");
        assert!(!app.get(&path, &app.key).await.expect(200).items().is_empty());
    }
}

async fn a_refused_code_is_a_write_too(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    let wrong = app.wrong_code(&two_factor.secret);
    let refused = app.verify(&challenge, &wrong).await.refused(401, "wrong-code");
    assert_ne!(refused.header("countersign-write"), "", "{:?}", refused.headers);
}

async fn an_after_write_that_is_none_is_refused(app: TestApp) {
    let path = "/v1/audit/entries?after_write=nonsense";
    let refused = app.get(path, &app.key).await.problem();
    assert!([400, 422].contains(&refused.status), "{}", refused.text);
    app.get("/v1/audit/entries", NOBODY).await.refused(401, "unauthenticated");
}
