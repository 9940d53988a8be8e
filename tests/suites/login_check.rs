//! The one question at sign-in: every decision, and that no answer is stale.

use chrono::TimeDelta;
use countersign_tests::{TestApp, on_both_databases};
use serde_json::{Value, json};

on_both_databases![
    nobody_requires_it_and_it_is_off_so_the_password_is_enough,
    it_is_on_so_a_challenge_follows,
    it_is_required_and_off_so_they_enrol_now,
    it_is_required_later_so_they_may_enrol_by_then,
    it_is_required_and_on_so_a_challenge_follows_and_names_who_requires_it,
    codes_are_locked_so_the_answer_says_until_when,
    an_unknown_email_is_unknown,
    an_unknown_user_id_is_unknown,
    a_user_id_and_an_email_ask_the_same,
    an_email_is_found_whatever_its_case,
    s10_the_tick_decides_the_very_next_check,
    s10_the_untick_decides_the_very_next_check,
    a_deadline_is_recomputed_when_the_policy_changes,
    the_earliest_of_two_deadlines_counts,
    an_enforcement_without_a_deadline_overrules_one_with,
    every_agreement_that_requires_it_is_named,
    an_unlinked_person_is_free_again,
    an_agreement_that_is_no_longer_administered_is_free_again,
    an_agreement_that_comes_to_be_administered_is_reached,
    a_closed_agreement_requires_nothing,
    the_agreement_of_a_sign_in_only_attributes_it,
    an_agreement_that_the_person_is_not_linked_to_is_not_found,
    a_sign_in_for_an_agreement_of_somebody_else_is_not_found,
];

async fn nobody_requires_it_and_it_is_off_so_the_password_is_enough(app: TestApp) {
    let ada = app.register("Ada").await;
    let check = app.decides(&ada, "password_only").await;
    assert_eq!(check["user_id"], ada.id);
    assert_eq!(check["methods"], json!([]));
    assert_eq!(check["required_by"], json!([]));
    assert_eq!(check["deadline"], Value::Null);
    assert_eq!(check["locked_until"], Value::Null);
}

async fn it_is_on_so_a_challenge_follows(app: TestApp) {
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let check = app.decides(&ada, "challenge").await;
    assert_eq!(check["methods"], json!(["totp", "recovery_code"]));
}

async fn it_is_required_and_off_so_they_enrol_now(app: TestApp) {
    let ada = app.register("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    app.enforce(&agreement).await;
    let check = app.decides(&ada, "enrol").await;
    assert_eq!(check["required_by"][0]["name"], "Havbris");
}

async fn it_is_required_later_so_they_may_enrol_by_then(app: TestApp) {
    let ada = app.register("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    let deadline = app.now() + TimeDelta::days(30);
    app.enforce_by(&agreement, deadline).await;
    assert_eq!(app.decides(&ada, "enrol_by").await.time("deadline"), deadline);
    app.clock.set(deadline - TimeDelta::seconds(1));
    app.decides(&ada, "enrol_by").await;
    app.clock.set(deadline);
    app.decides(&ada, "enrol").await;
}

async fn it_is_required_and_on_so_a_challenge_follows_and_names_who_requires_it(app: TestApp) {
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    app.enforce(&agreement).await;
    let check = app.decides(&ada, "challenge").await;
    assert_eq!(check["required_by"][0]["agreement_id"], agreement.id);
}

async fn codes_are_locked_so_the_answer_says_until_when(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.lock_codes(&ada, &two_factor.secret).await;
    let check = app.decides(&ada, "locked").await;
    assert_eq!(check.time("locked_until"), app.now() + TimeDelta::minutes(30));
}

async fn an_unknown_email_is_unknown(app: TestApp) {
    let body = json!({ "email": "nobody@example.com" });
    let check = app.post("/v1/login-checks", &app.key, body).await.expect(200);
    assert_eq!(check["decision"], "unknown");
    assert_eq!(check["user_id"], Value::Null);
}

async fn an_unknown_user_id_is_unknown(app: TestApp) {
    let body = json!({ "user_id": crate::routes::UNKNOWN_ID });
    let check = app.post("/v1/login-checks", &app.key, body).await.expect(200);
    assert_eq!(check["decision"], "unknown");
}

async fn a_user_id_and_an_email_ask_the_same(app: TestApp) {
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let body = json!({ "user_id": ada.id });
    let by_id = app.post("/v1/login-checks", &app.key, body).await.expect(200);
    assert_eq!(by_id.body, app.login_check(&ada).await.body);
}

async fn an_email_is_found_whatever_its_case(app: TestApp) {
    let ada = app.register("Ada").await;
    let body = json!({ "email": "ADA@Example.COM" });
    let check = app.post("/v1/login-checks", &app.key, body).await.expect(200);
    assert_eq!(check["user_id"], ada.id);
}

async fn s10_the_tick_decides_the_very_next_check(app: TestApp) {
    let ada = app.register("Ada").await;
    let accountant = app.administrator("Nordlys").await;
    let client = app.administered("Havbris", &accountant).await;
    app.link(&client, &ada).await;
    for _ in 0..20 {
        app.enforce(&accountant).await;
        app.decides(&ada, "enrol").await;
        app.stop_enforcing(&accountant).await;
        app.decides(&ada, "password_only").await;
    }
}

async fn s10_the_untick_decides_the_very_next_check(app: TestApp) {
    let ada = app.register("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    app.enforce(&agreement).await;
    app.stop_enforcing(&agreement).await;
    let check = app.decides(&ada, "password_only").await;
    assert_eq!(check["required_by"], json!([]));
}

async fn a_deadline_is_recomputed_when_the_policy_changes(app: TestApp) {
    let ada = app.register("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    let (sooner, later) = (app.now() + TimeDelta::days(3), app.now() + TimeDelta::days(30));
    app.enforce_by(&agreement, later).await;
    app.enforce_by(&agreement, sooner).await;
    assert_eq!(app.decides(&ada, "enrol_by").await.time("deadline"), sooner);
    app.clock.set(sooner);
    app.decides(&ada, "enrol").await;
    app.enforce_by(&agreement, later).await;
    assert_eq!(app.decides(&ada, "enrol_by").await.time("deadline"), later);
}

async fn the_earliest_of_two_deadlines_counts(app: TestApp) {
    let ada = app.register("Ada").await;
    let sooner = app.now() + TimeDelta::days(3);
    for (name, days) in [("Later", 30), ("Sooner", 3), ("Latest", 60)] {
        let agreement = app.agreement(name).await;
        app.link(&agreement, &ada).await;
        app.enforce_by(&agreement, app.now() + TimeDelta::days(days)).await;
    }
    assert_eq!(app.decides(&ada, "enrol_by").await.time("deadline"), sooner);
}

async fn an_enforcement_without_a_deadline_overrules_one_with(app: TestApp) {
    let ada = app.register("Ada").await;
    let (patient, strict) = (app.agreement("Patient").await, app.agreement("Strict").await);
    app.link(&patient, &ada).await;
    app.link(&strict, &ada).await;
    app.enforce_by(&patient, app.now() + TimeDelta::days(30)).await;
    app.decides(&ada, "enrol_by").await;
    app.enforce(&strict).await;
    app.decides(&ada, "enrol").await;
}

async fn every_agreement_that_requires_it_is_named(app: TestApp) {
    let ada = app.register("Ada").await;
    let accountant = app.administrator("Nordlys").await;
    let client = app.administered("Havbris", &accountant).await;
    app.link(&client, &ada).await;
    app.enforce(&accountant).await;
    app.enforce(&client).await;
    let check = app.decides(&ada, "enrol").await;
    let mut named: Vec<(String, Value)> = check["required_by"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|by| (countersign_tests::answer::string(&by["name"]), by["via"].clone()))
        .collect();
    named.sort_by(|left, right| left.0.cmp(&right.0));
    let expected = [("Havbris".to_owned(), Value::Null), ("Nordlys".to_owned(), json!(client.id))];
    assert_eq!(named, expected);
}

async fn an_unlinked_person_is_free_again(app: TestApp) {
    let ada = app.register("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    app.enforce(&agreement).await;
    app.unlink(&agreement, &ada).await;
    app.decides(&ada, "password_only").await;
}

async fn an_agreement_that_is_no_longer_administered_is_free_again(app: TestApp) {
    let ada = app.register("Ada").await;
    let accountant = app.administrator("Nordlys").await;
    let client = app.administered("Havbris", &accountant).await;
    app.link(&client, &ada).await;
    app.enforce(&accountant).await;
    app.administer(&client, None).await;
    app.decides(&ada, "password_only").await;
}

async fn an_agreement_that_comes_to_be_administered_is_reached(app: TestApp) {
    let ada = app.register("Ada").await;
    let (accountant, client) = (app.administrator("Nordlys").await, app.agreement("Havbris").await);
    app.link(&client, &ada).await;
    app.enforce(&accountant).await;
    app.decides(&ada, "password_only").await;
    app.administer(&client, Some(&accountant)).await;
    app.decides(&ada, "enrol").await;
}

/// The contract does not say what closing does to enforcement; nobody can untick it any more, so a
/// requirement that outlived its agreement would bind people for ever.
async fn a_closed_agreement_requires_nothing(app: TestApp) {
    let ada = app.register("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    app.enforce(&agreement).await;
    app.post(&agreement.path("/close"), &app.key, json!({})).await.expect(204);
    assert_eq!(app.get(&agreement.path(""), &app.key).await.expect(200)["closed"], true);
    app.decides(&ada, "password_only").await;
}

async fn the_agreement_of_a_sign_in_only_attributes_it(app: TestApp) {
    let ada = app.register("Ada").await;
    let (strict, relaxed) = (app.agreement("Strict").await, app.agreement("Relaxed").await);
    app.link(&strict, &ada).await;
    app.link(&relaxed, &ada).await;
    app.enforce(&strict).await;
    let body = json!({ "email": ada.email, "agreement_id": relaxed.id });
    let check = app.post("/v1/login-checks", &app.key, body).await.expect(200);
    assert_eq!(check["decision"], "enrol");
    assert_eq!(check["required_by"][0]["agreement_id"], strict.id);
}

async fn an_agreement_that_the_person_is_not_linked_to_is_not_found(app: TestApp) {
    let ada = app.register("Ada").await;
    let accountant = app.administrator("Nordlys").await;
    let client = app.administered("Havbris", &accountant).await;
    app.link(&client, &ada).await;
    for id in [accountant.id.as_str(), crate::routes::UNKNOWN_ID] {
        let body = json!({ "email": ada.email, "agreement_id": id });
        app.post("/v1/login-checks", &app.key, body).await.refused(404, "not-found");
    }
}

async fn a_sign_in_for_an_agreement_of_somebody_else_is_not_found(app: TestApp) {
    let ada = app.register("Ada").await;
    let (own, other) = (app.agreement("Own").await, app.agreement("Other").await);
    app.link(&own, &ada).await;
    let mut body = json!({ "email": ada.email, "password": ada.password, "agreement_id": other.id });
    app.post("/v1/logins", &app.key, body.clone()).await.refused(404, "not-found");
    body["agreement_id"] = json!(own.id);
    app.post("/v1/logins", &app.key, body).await.expect(200);
}
