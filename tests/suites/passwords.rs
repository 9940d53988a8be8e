//! Passwords: what is accepted, what a change ends, and how guessing is throttled.

use countersign_tests::{Answer, TestApp, on_both_databases, trail::types};
use reqwest::Method;
use serde_json::json;

on_both_databases![
    s15_fourteen_characters_are_too_short,
    s15_fifteen_characters_are_enough_whatever_their_bytes,
    s15_a_common_password_is_refused,
    s15_1024_bytes_are_accepted_and_one_more_is_not,
    s15_no_kind_of_character_is_demanded,
    s15_a_password_is_not_shortened,
    a_first_password_is_set_with_the_api_key,
    a_password_that_exists_is_not_changed_without_it,
    a_changed_password_replaces_the_old_one,
    a_changed_password_ends_the_other_sessions,
    a_changed_password_ends_pending_enrolments,
    s16_an_unknown_user_and_a_wrong_password_get_the_same_answer,
    s16_a_person_without_a_password_gets_that_answer_too,
    s05_the_eleventh_try_is_throttled_even_with_the_right_password,
    s05_an_unknown_email_is_throttled_alike,
    s05_another_address_is_not_throttled,
    s05_another_person_at_that_address_is_not_throttled,
    s05_the_throttle_ends_after_15_minutes,
    s05_wrong_passwords_never_lock_the_second_factor,
    s05_an_hour_holds_at_most_20_failed_passwords_as_events,
];

const WRONG: &str = "not her passphrase at all";

async fn register_with(app: &TestApp, password: &str) -> Answer {
    let body = json!({ "email": "ada@example.com", "display_name": "Ada", "password": password });
    app.post("/v1/users", &app.key, body).await
}

async fn log_in_from(app: &TestApp, address: &str, email: &str, password: &str) -> Answer {
    app.request(Method::POST, "/v1/logins")
        .token(&app.key)
        .from_address(address)
        .json(&json!({ "email": email, "password": password }))
        .send()
        .await
}

async fn s15_fourteen_characters_are_too_short(app: TestApp) {
    // The second one is longer in bytes: characters count.
    for password in ["fourteen chars", "ææææææææææææææ"] {
        assert_eq!(password.chars().count(), 14);
        register_with(&app, password).await.refused(422, "invalid-field");
    }
}

async fn s15_fifteen_characters_are_enough_whatever_their_bytes(app: TestApp) {
    let password = "blåbærgrød 🍮 nu";
    assert_eq!(password.chars().count(), 15);
    register_with(&app, password).await.expect(201);
    log_in_from(&app, "192.0.2.1", "ada@example.com", password).await.expect(200);
}

async fn s15_a_common_password_is_refused(app: TestApp) {
    for password in ["123456789012345", "passwordpassword", "PasswordPassword"] {
        register_with(&app, password).await.refused(422, "invalid-field");
    }
}

async fn s15_1024_bytes_are_accepted_and_one_more_is_not(app: TestApp) {
    let longest = "long passphrase ".repeat(64);
    assert_eq!(longest.len(), 1_024);
    register_with(&app, &format!("{longest}x")).await.refused(422, "invalid-field");
    register_with(&app, &longest).await.expect(201);
}

async fn s15_no_kind_of_character_is_demanded(app: TestApp) {
    register_with(&app, "onlysmalllettershere").await.expect(201);
}

async fn s15_a_password_is_not_shortened(app: TestApp) {
    let password = "a passphrase that goes on and on ".repeat(4);
    register_with(&app, &password).await.expect(201);
    let shorter = &password[..password.len() - 1];
    log_in_from(&app, "192.0.2.1", "ada@example.com", shorter).await.refused(401, "wrong-credentials");
    log_in_from(&app, "192.0.2.1", "ada@example.com", &password).await.expect(200);
}

async fn a_first_password_is_set_with_the_api_key(app: TestApp) {
    let body = json!({ "email": "ada@example.com", "display_name": "Ada" });
    let id = app.post("/v1/users", &app.key, body).await.expect(201).string("id");
    let path = format!("/v1/users/{id}/password");
    let body = json!({ "new_password": "a first passphrase" });
    app.put(&path, &app.key, body).await.expect(204);
    log_in_from(&app, "192.0.2.1", "ada@example.com", "a first passphrase").await.expect(200);
}

async fn a_password_that_exists_is_not_changed_without_it(app: TestApp) {
    let ada = app.register("Ada").await;
    let body = json!({ "new_password": "somebody else's passphrase" });
    let refused = app.put(&ada.path("/password"), &app.key, body).await.problem();
    // An API key is for a first one only: forbidden, or asked for the proof that it cannot give.
    assert_eq!(refused.status, 403, "{}", refused.text);
    app.sign_in(&ada).await;
}

async fn a_changed_password_replaces_the_old_one(app: TestApp) {
    let ada = app.register("Ada").await;
    let session = app.sign_in(&ada).await;
    let new = "another long passphrase";
    let body = json!({ "current_password": ada.password, "new_password": new });
    app.put(&ada.path("/password"), &session.token, body).await.expect(204);
    app.log_in(&ada).await.refused(401, "wrong-credentials");
    log_in_from(&app, "192.0.2.1", &ada.email, new).await.expect(200);
}

async fn a_changed_password_ends_the_other_sessions(app: TestApp) {
    let ada = app.register("Ada").await;
    let (this, other) = (app.sign_in(&ada).await, app.sign_in(&ada).await);
    let body = json!({ "current_password": ada.password, "new_password": "another long passphrase" });
    app.put(&ada.path("/password"), &this.token, body).await.expect(204);
    app.get(&ada.path(""), &this.token).await.expect(200);
    app.get(&ada.path(""), &other.token).await.refused(401, "unauthenticated");
}

async fn a_changed_password_ends_pending_enrolments(app: TestApp) {
    let ada = app.register("Ada").await;
    let session = app.sign_in(&ada).await;
    let enrolment = app.enrol(&ada).await;
    let body = json!({ "current_password": ada.password, "new_password": "another long passphrase" });
    app.put(&ada.path("/password"), &session.token, body).await.expect(204);
    let code = app.code(&enrolment.secret);
    app.try_to_confirm(&ada, &enrolment, &app.key, &code).await.refused(410, "enrolment-expired");
}

async fn s16_an_unknown_user_and_a_wrong_password_get_the_same_answer(app: TestApp) {
    let ada = app.register("Ada").await;
    let wrong = log_in_from(&app, "192.0.2.1", &ada.email, WRONG).await;
    let unknown = log_in_from(&app, "192.0.2.1", "nobody@example.com", WRONG).await;
    let wrong = wrong.refused(401, "wrong-credentials");
    let unknown = unknown.refused(401, "wrong-credentials");
    assert_eq!(wrong.problem_without_request_id(), unknown.problem_without_request_id());
    let names = |answer: &Answer| {
        let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    // A header on one of them only would tell who is known.
    assert_eq!(names(&wrong), names(&unknown));
}

async fn s16_a_person_without_a_password_gets_that_answer_too(app: TestApp) {
    let body = json!({ "email": "ada@example.com", "display_name": "Ada" });
    app.post("/v1/users", &app.key, body).await.expect(201);
    log_in_from(&app, "192.0.2.1", "ada@example.com", WRONG).await.refused(401, "wrong-credentials");
}

/// Ten wrong passwords from one address.
async fn use_up_the_tries(app: &TestApp, address: &str, email: &str) {
    for _ in 0..10 {
        log_in_from(app, address, email, WRONG).await.refused(401, "wrong-credentials");
    }
}

async fn s05_the_eleventh_try_is_throttled_even_with_the_right_password(app: TestApp) {
    let ada = app.register("Ada").await;
    use_up_the_tries(&app, "192.0.2.1", &ada.email).await;
    log_in_from(&app, "192.0.2.1", &ada.email, &ada.password).await.refused(429, "throttled");
}

async fn s05_an_unknown_email_is_throttled_alike(app: TestApp) {
    let ada = app.register("Ada").await;
    let mut answers = Vec::new();
    for email in [ada.email.as_str(), "nobody@example.com"] {
        use_up_the_tries(&app, "192.0.2.1", email).await;
        let throttled = log_in_from(&app, "192.0.2.1", email, WRONG).await;
        answers.push(throttled.refused(429, "throttled"));
    }
    let (known, unknown) = (&answers[0], &answers[1]);
    assert_eq!(known.problem_without_request_id(), unknown.problem_without_request_id());
    assert_eq!(known.header("retry-after"), unknown.header("retry-after"));
}

async fn s05_another_address_is_not_throttled(app: TestApp) {
    let ada = app.register("Ada").await;
    use_up_the_tries(&app, "192.0.2.1", &ada.email).await;
    log_in_from(&app, "198.51.100.7", &ada.email, &ada.password).await.expect(200);
}

async fn s05_another_person_at_that_address_is_not_throttled(app: TestApp) {
    let (ada, grace) = (app.register("Ada").await, app.register("Grace").await);
    use_up_the_tries(&app, "192.0.2.1", &ada.email).await;
    log_in_from(&app, "192.0.2.1", &grace.email, &grace.password).await.expect(200);
}

async fn s05_the_throttle_ends_after_15_minutes(app: TestApp) {
    let ada = app.register("Ada").await;
    use_up_the_tries(&app, "192.0.2.1", &ada.email).await;
    app.advance_min(15);
    log_in_from(&app, "192.0.2.1", &ada.email, &ada.password).await.expect(200);
}

async fn s05_wrong_passwords_never_lock_the_second_factor(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    for last in 1..=3 {
        use_up_the_tries(&app, &format!("192.0.2.{last}"), &ada.email).await;
    }
    app.decides(&ada, "challenge").await;
    app.advance_min(15);
    app.sign_in_with(&ada, &two_factor).await;
}

async fn s05_an_hour_holds_at_most_20_failed_passwords_as_events(app: TestApp) {
    let ada = app.register("Ada").await;
    for last in 1..=3 {
        use_up_the_tries(&app, &format!("192.0.2.{last}"), &ada.email).await;
    }
    let events = app.count(&ada.id, types::PASSWORD_FAILED).await;
    assert!((1..=20).contains(&events), "{events}");
}
