//! Erasing a person with the built program: what is gone, what is told of it, and what stays provable.

use std::sync::Arc;

use countersign_tests::{
    Agreement, NOBODY, Person, Place, Ran, Serving, Session, TestApp, TwoFactor, answer::string, app::SCOPES,
    people::enrolment, people::verify_path, program_on_both_databases, trail::types,
};
use serde_json::{Value, json};

use crate::routes::UNKNOWN_ID;
use crate::secrets::heaps_of_the_database;
use crate::secrets_search::Secret;

program_on_both_databases![
    s14_an_erased_person_is_answered_for_like_somebody_who_never_was,
    s14_tokens_of_an_erased_person_are_refused,
    s14_the_trail_tells_of_an_erased_person_without_a_name,
    s14_the_ledger_holds_and_exports_name_nobody,
    s14_nothing_that_was_kept_of_an_erased_person_is_found_in_the_database,
    s14_the_address_of_an_erased_person_makes_another_account,
    s14_an_erased_person_is_a_member_of_nothing,
    s14_the_last_superuser_of_an_agreement_is_not_erased,
    s14_an_erasure_that_cannot_be_is_refused,
    s14_looking_back_and_replaying_go_on_without_the_person,
];

const ERASED: &str = "[erased]";

fn serve(place: &Arc<Place>) -> (Serving, TestApp) {
    let serving = place.serve();
    let app = TestApp::of_program(place, &serving, &place.create_api_key("all", &SCOPES));
    (serving, app)
}

fn erase(place: &Place, id: &str) -> Ran {
    place.run(&["user", "erase", id])
}

/// Somebody with everything that there is, signed in with it: a password, two-factor, an agreement.
async fn ada(app: &TestApp, agreement: &Agreement) -> (Person, TwoFactor, Session) {
    let (ada, two_factor) = app.register_with_two_factor("Ada Augusta Lovelace").await;
    app.link_as(agreement, &ada, "superuser").await;
    let challenge = app.challenge(&ada).await;
    let answer = app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.expect(200);
    (ada, two_factor, Session::of(&answer))
}

/// Another superuser, so that the first one may go.
async fn colleague(app: &TestApp, agreement: &Agreement) -> Person {
    let grace = app.register("Grace").await;
    app.link_as(agreement, &grace, "superuser").await;
    grace
}

async fn until_the_trail_tells_of_it(app: &TestApp, person: &Person) {
    // Another process wrote it, so there is no write to wait for.
    app.eventually("the erasure is in the trail", async || {
        app.count(&person.id, types::USER_ERASED).await == 1
    })
    .await;
}

async fn s14_an_erased_person_is_answered_for_like_somebody_who_never_was(place: Arc<Place>) {
    let (_serving, app) = serve(&place);
    let agreement = app.agreement("Havbris").await;
    colleague(&app, &agreement).await;
    let (ada, ..) = ada(&app, &agreement).await;
    let ran = erase(&place, &ada.id).exits(0);
    assert_eq!(ran.stdout, format!("erased {}, unlinked from 1 agreement\n", ada.id));

    app.get(&ada.path(""), &app.key).await.refused(404, "not-found");
    app.get(&ada.path("/sessions"), &app.key).await.refused(404, "not-found");
    let password = json!({ "new_password": "a passphrase for nobody" });
    app.put(&ada.path("/password"), &app.key, password).await.refused(404, "not-found");
    let proof = json!({ "password": ada.password });
    app.try_to_enrol(&ada, &app.key, proof.clone()).await.refused(404, "not-found");
    app.post(&ada.path("/two-factor/disable"), &app.key, proof).await.refused(404, "not-found");
    app.post("/v1/challenges", &app.key, json!({ "user_id": ada.id })).await.refused(404, "not-found");
    let link = app.put(&agreement.link_path(&ada), &app.key, json!({ "role": "user" })).await;
    link.refused(404, "not-found");

    let found = app.get(&format!("/v1/users?email={}", ada.email), &app.key).await.expect(200);
    assert_eq!(found.items(), Vec::<Value>::new());
    let all = app.get("/v1/users", &app.key).await.expect(200);
    assert!(!all.text.contains(&ada.id), "{}", all.text);

    let stranger =
        Person { id: UNKNOWN_ID.to_owned(), email: "nobody@example.com".to_owned(), ..ada.clone() };
    let of_stranger = app.decides(&stranger, "unknown").await;
    assert_eq!(app.decides(&ada, "unknown").await.body, of_stranger.body);
    let by_id = app.post("/v1/login-checks", &app.key, json!({ "user_id": ada.id })).await.expect(200);
    assert_eq!(by_id.body, of_stranger.body);
    let signed_in = app.log_in(&ada).await.refused(401, "wrong-credentials");
    let of_stranger = app.log_in(&stranger).await.refused(401, "wrong-credentials");
    assert_eq!(signed_in.problem_without_request_id(), of_stranger.problem_without_request_id());
}

async fn s14_tokens_of_an_erased_person_are_refused(place: Arc<Place>) {
    let (_serving, app) = serve(&place);
    let agreement = app.agreement("Havbris").await;
    colleague(&app, &agreement).await;
    let (ada, two_factor, session) = ada(&app, &agreement).await;
    let challenge = app.challenge(&ada).await;
    let edith = app.register("Edith").await;
    app.link(&agreement, &edith).await;
    app.enforce(&agreement).await;
    let token = app.log_in(&edith).await.expect(202).string("enrolment_token");
    let pending = enrolment(&app.try_to_enrol(&edith, &token, json!({})).await.expect(201));
    for person in [&ada, &edith] {
        erase(&place, &person.id).exits(0);
    }

    app.get(&ada.path(""), &session.token).await.refused(401, "unauthenticated");
    app.get("/v1/audit/entries", &session.token).await.refused(401, "unauthenticated");
    app.verify(&challenge, &app.code(&two_factor.secret)).await.refused(410, "challenge-expired");
    let code = json!({ "recovery_code": two_factor.recovery_code });
    app.post(&verify_path(&challenge), &app.key, code).await.refused(410, "challenge-expired");
    app.try_to_enrol(&edith, &token, json!({})).await.refused(410, "enrolment-expired");
    let code = app.code(&pending.secret);
    app.try_to_confirm(&edith, &pending, &token, &code).await.refused(410, "enrolment-expired");
}

async fn s14_the_trail_tells_of_an_erased_person_without_a_name(place: Arc<Place>) {
    let (_serving, app) = serve(&place);
    let agreement = app.agreement("Havbris").await;
    let grace = colleague(&app, &agreement).await;
    let (ada, _, session) = ada(&app, &agreement).await;
    let ticked = app.put(&agreement.path("/enforcement"), &session.token, json!({ "enforced": true })).await;
    ticked.expect(200);
    let before = app.entries(&format!("user={}", ada.id)).await;
    assert!(before.iter().any(|entry| entry.to_string().contains(&ada.display_name)), "{before:?}");
    erase(&place, &ada.id).exits(0);
    until_the_trail_tells_of_it(&app, &ada).await;

    let entries = app.entries("").await;
    for entry in &entries {
        for personal in [&ada.display_name, &ada.email] {
            assert!(!entry.to_string().contains(personal.as_str()), "{entry}");
        }
    }
    let the = |event_type: &str| {
        let mut found = entries.iter().filter(|entry| {
            entry["type"] == event_type
                && [&entry["user_id"], &entry["actor"]["id"]].contains(&&json!(ada.id))
        });
        found.next().cloned().unwrap_or_else(|| panic!("no {event_type} of hers"))
    };
    let registered = the(types::USER_REGISTERED);
    assert_eq!(registered["data"]["email"], ERASED);
    assert_eq!(registered["data"]["display_name"], ERASED);
    assert_eq!(registered["on_behalf_of"]["name"], ERASED);
    assert_eq!(registered["address"], ERASED);
    assert_eq!(registered["summary"], "Account opened for [erased] by all");
    let ticked = the(types::ENFORCEMENT_CHANGED);
    assert_eq!(ticked["actor"]["name"], ERASED);
    assert_eq!(ticked["address"], ERASED, "an agreement's event is sealed under the key of who acted");
    let erased = the(types::USER_ERASED);
    assert_eq!(erased["actor"], json!({ "kind": "operator", "id": null, "name": null }));
    assert_eq!(erased["address"], Value::Null);
    assert_eq!(erased["summary"], "A person was erased by an operator");
    let unlinked = the(types::USER_UNLINKED);
    assert_eq!(unlinked["agreement_id"], agreement.id);
    assert_eq!(unlinked["summary"], "[erased] unlinked from Havbris by an operator");
    let of_grace =
        entries.iter().find(|entry| entry["user_id"] == grace.id && !entry["on_behalf_of"].is_null());
    assert_eq!(of_grace.expect("an entry of hers")["on_behalf_of"]["name"], grace.display_name);
}

async fn s14_the_ledger_holds_and_exports_name_nobody(place: Arc<Place>) {
    let (serving, app) = serve(&place);
    let agreement = app.agreement("Havbris").await;
    colleague(&app, &agreement).await;
    let (ada, ..) = ada(&app, &agreement).await;
    app.wait_for_the_trail().await;
    let path = "/v1/audit/export?format=ndjson";
    let before = app.get(path, &app.key).await.expect(200).text;
    assert!(before.contains(&ada.display_name) && before.contains(&ada.email), "{before}");
    erase(&place, &ada.id).exits(0);
    until_the_trail_tells_of_it(&app, &ada).await;
    for format in ["ndjson", "csv", "ocsf", "cef"] {
        let path = format!("/v1/audit/export?format={format}");
        let export = app.get(&path, &app.key).await.expect(200).text;
        assert!(export.contains(types::USER_ERASED) && export.contains(&ada.id), "{format}: {export}");
        assert!(!export.contains(&ada.display_name) && !export.contains(&ada.email), "{format}: {export}");
    }
    let key = app.get("/v1/audit/key", NOBODY).await.expect(200).text;
    serving.stop().exits(0);

    place.run(&["verify"]).exits(0);
    let out = place.data_dir().join("bundle");
    let out = out.to_str().expect("a path of text");
    place.run(&["export", "--out", out]).exits(0);
    let policy = place.data_dir().join("auditor.policy");
    std::fs::write(&policy, format!("log {}\nquorum none\n", key.trim_end())).expect("a file");
    let policy = policy.to_str().expect("a path of text");
    place.run(&["verify", "--bundle", out, "--policy", policy]).exits(0);
}

async fn s14_nothing_that_was_kept_of_an_erased_person_is_found_in_the_database(place: Arc<Place>) {
    let (serving, app) = serve(&place);
    let agreement = app.agreement("Havbris").await;
    colleague(&app, &agreement).await;
    let (ada, two_factor, _) = ada(&app, &agreement).await;
    let of = |table: &str, columns: &str, owner: &str| {
        format!("SELECT {columns} FROM {table} WHERE {owner} = '{}'", ada.id)
    };
    let mut kept = vec![
        Secret::new("e-mail", &ada.email),
        Secret::new("display name", &ada.display_name),
        Secret::new("password", &ada.password),
        Secret::new("TOTP secret", &two_factor.secret),
    ];
    for (name, sql, count) in [
        ("sealed secret", of("vault", "sealed", "user_id"), 3),
        ("wrapped data key", of("data_keys", "wrapped", "owner_id"), 1),
        ("digest of the address", of("email_claims", "digest", "user_id"), 1),
    ] {
        let stored = place.column(&sql).await;
        assert_eq!(stored.len(), count, "{name}");
        kept.extend(stored.iter().map(|text| Secret::new(name, text)));
    }
    let found = |kept: &[Secret]| -> Vec<String> {
        let heaps = heaps_of_the_database(&place);
        heaps.iter().flat_map(|heap| kept.iter().flat_map(|secret| heap.find(secret))).collect()
    };
    assert!(!found(&kept).is_empty(), "the search finds what is there");
    erase(&place, &ada.id).exits(0);
    serving.stop().exits(0);

    assert_eq!(found(&kept), Vec::<String>::new());
    for (table, owner) in [
        ("vault", "user_id"),
        ("data_keys", "owner_id"),
        ("email_claims", "user_id"),
        ("login_check_users", "user_id"),
        ("login_check_links", "user_id"),
    ] {
        assert_eq!(place.number(&of(table, "count(*)", owner)).await, 0, "{table}");
    }
}

async fn s14_the_address_of_an_erased_person_makes_another_account(place: Arc<Place>) {
    let (_serving, app) = serve(&place);
    let (ada, two_factor) = app.register_with_two_factor("Ada Augusta Lovelace").await;
    let ran = erase(&place, &ada.id).exits(0);
    assert_eq!(ran.stdout, format!("erased {}\n", ada.id));
    let again = app.register("Ada Augusta Lovelace").await;
    assert_ne!(again.id, ada.id);
    assert_eq!(again.email, ada.email);
    assert_eq!(app.user(&again).await["two_factor"]["enabled"], false, "nothing came over");
    app.decides(&again, "password_only").await;
    app.sign_in(&again).await;
    app.get(&ada.path(""), &app.key).await.refused(404, "not-found");
    let proof = json!({ "password": ada.password, "code": app.code(&two_factor.secret) });
    app.post(&ada.path("/two-factor/disable"), &app.key, proof).await.refused(404, "not-found");
    until_the_trail_tells_of_it(&app, &ada).await;
    for entry in app.entries(&format!("user={}", ada.id)).await {
        assert!(
            !entry.to_string().contains(&ada.display_name),
            "her new account names no old entry: {entry}"
        );
    }
}

async fn s14_an_erased_person_is_a_member_of_nothing(place: Arc<Place>) {
    let (_serving, app) = serve(&place);
    let (office, shop, closed) =
        (app.administrator("Nordlys").await, app.agreement("Havbris").await, app.agreement("Stengt").await);
    let grace = colleague(&app, &office).await;
    let (ada, ..) = ada(&app, &office).await;
    app.link(&shop, &ada).await;
    app.link_as(&closed, &ada, "superuser").await;
    app.post(&closed.path("/close"), &app.key, json!({})).await.expect(204);
    let ran = erase(&place, &ada.id).exits(0);
    assert_eq!(ran.stdout, format!("erased {}, unlinked from 3 agreements\n", ada.id));

    for agreement in [&office, &shop, &closed] {
        let members = app.get(&agreement.path("/users"), &app.key).await.expect(200);
        assert!(!members.text.contains(&ada.id), "{}", members.text);
    }
    assert_eq!(app.preview(&office).await["affected_users"], 1, "Grace");
    app.delete(&office.link_path(&grace), &app.key).await.refused(409, "last-superuser");
    until_the_trail_tells_of_it(&app, &ada).await;
    app.eventually("all three say so", async || app.count(&ada.id, types::USER_UNLINKED).await == 3).await;
}

async fn s14_the_last_superuser_of_an_agreement_is_not_erased(place: Arc<Place>) {
    let (_serving, app) = serve(&place);
    let (office, shop, other) = (
        app.administrator("Nordlys").await,
        app.agreement("Havbris").await,
        app.agreement("Fjordcafé").await,
    );
    let (ada, _, session) = ada(&app, &office).await;
    app.link_as(&shop, &ada, "superuser").await;
    app.link(&other, &ada).await;
    let number = |agreement: &Agreement| agreement.number.clone();
    erase(&place, &ada.id).refuses(&[
        "last superuser",
        "nordlys",
        &number(&office),
        "havbris",
        &number(&shop),
    ]);

    assert_eq!(app.user(&ada).await["agreements"].as_array().map(Vec::len), Some(3), "nothing was changed");
    app.get(&ada.path(""), &session.token).await.expect(200);
    assert_eq!(app.count(&ada.id, types::USER_UNLINKED).await, 0);
    let grace = colleague(&app, &office).await;
    erase(&place, &ada.id).refuses(&["last superuser", "havbris"]);
    app.link_as(&shop, &grace, "superuser").await;
    erase(&place, &ada.id).exits(0);
}

async fn s14_an_erasure_that_cannot_be_is_refused(place: Arc<Place>) {
    let (_serving, app) = serve(&place);
    erase(&place, UNKNOWN_ID).refuses(&["no such user", UNKNOWN_ID]);
    erase(&place, "somebody").refuses(&["somebody", "not the id of a user"]);
    let ada = app.register("Ada").await;
    erase(&place, &ada.id).exits(0);
    erase(&place, &ada.id).refuses(&["erased already"]);
    place.run(&["user", "erase"]).exits(2);
    until_the_trail_tells_of_it(&app, &ada).await;
    let told: Vec<String> =
        app.entries(&format!("user={}", ada.id)).await.iter().map(|entry| string(&entry["type"])).collect();
    assert_eq!(told, [types::USER_ERASED, "PasswordSet", types::USER_REGISTERED], "erased once");
}

async fn s14_looking_back_and_replaying_go_on_without_the_person(place: Arc<Place>) {
    let (serving, app) = serve(&place);
    let agreement = app.agreement("Havbris").await;
    colleague(&app, &agreement).await;
    let (ada, ..) = ada(&app, &agreement).await;
    let view = ada.path("").replacen("/v1/", "/v1/compliance/", 1);
    let before = app.get(&view, &app.key).await.expect(200).body;
    assert_eq!(before["display_name"], "Ada Augusta Lovelace");
    erase(&place, &ada.id).exits(0);
    until_the_trail_tells_of_it(&app, &ada).await;

    // As things are there is nobody; as they were, everything but the name.
    app.get(&view, &app.key).await.refused(404, "not-found");
    let as_of = before["as_of"].as_str().expect("a time").replace(':', "%3A");
    let then = app.get(&format!("{view}?as_of={as_of}"), &app.key).await.expect(200).body;
    assert_eq!((&then["email"], &then["display_name"]), (&json!(ERASED), &json!(ERASED)));
    assert_eq!(then["two_factor"]["authenticators"][0]["label"], ERASED);
    for kept in ["position", "agreements", "required_by", "sessions"] {
        assert_eq!(then[kept], before[kept], "{kept}");
    }
    assert_eq!(then["two_factor"]["enabled"], true);

    // One member is left, without two-factor.
    app.wait_for_the_trail().await;
    let coverage = agreement.path("/coverage").replacen("/v1/", "/v1/compliance/", 1);
    let days = app.get(&coverage, &app.key).await.expect(200).items();
    let today = days.last().expect("a day");
    assert_eq!((&today["members"], &today["with_two_factor"]), (&json!(1), &json!(0)));

    serving.stop().exits(0);
    place.run(&["replay", "--verify"]).exits(0);
    let rebuilt = place.run(&["replay", "--json"]).exits(0);
    let rebuilt: Value = serde_json::from_str(&rebuilt.stdout).expect("JSON");
    for (model, rows) in rebuilt["replaced_rows"].as_object().expect("read models") {
        assert_eq!(rows, 0, "{model}");
    }
    place.run(&["verify"]).exits(0);
}
