//! The user journey of the guide: turning two-factor on, and signing in with it from then on.

use countersign_tests::{Session, TestApp, answer::string, authenticator::read_qr, on_both_databases};
use serde_json::json;

on_both_databases![
    a_person_is_registered_without_two_factor,
    without_two_factor_the_password_is_enough,
    the_qr_code_holds_the_uri_and_the_uri_holds_the_key,
    an_enrolment_changes_nothing_until_it_is_confirmed,
    a_code_of_the_app_turns_two_factor_on,
    the_emergency_code_has_its_format,
    the_emergency_code_is_marked_as_stored,
    from_then_on_the_password_leads_to_a_challenge,
    a_code_completes_the_challenge_with_a_session,
    the_session_is_the_persons_own,
    the_code_that_signed_in_is_refused_the_next_time,
    turning_two_factor_off_makes_the_password_enough_again,
    an_application_that_checks_the_password_itself_gets_a_challenge_without_a_session,
    an_application_asks_for_a_challenge_where_there_is_nothing_to_ask,
];

async fn a_person_is_registered_without_two_factor(app: TestApp) {
    let body = json!({
        "email": "ada@example.com",
        "display_name": "Ada",
        "password": "a passphrase of some length",
    });
    let registered = app.post("/v1/users", &app.key, body).await.expect(201);
    assert_eq!(registered["email"], "ada@example.com");
    assert_eq!(registered["display_name"], "Ada");
    let path = format!("/v1/users/{}", registered.string("id"));
    let user = app.get(&path, &app.key).await.expect(200);
    assert_eq!(user["two_factor"]["enabled"], false);
    assert_eq!(user["two_factor"]["authenticators"], json!([]));
    assert_eq!(user["required_by"], json!([]));
}

async fn without_two_factor_the_password_is_enough(app: TestApp) {
    let ada = app.register("Ada").await;
    let answer = app.log_in(&ada).await.expect(200);
    assert_eq!(answer["status"], "complete");
    assert_eq!(answer["session"]["user_id"], ada.id);
    assert!(answer["session"]["second_factor_at"].is_null());
}

async fn the_qr_code_holds_the_uri_and_the_uri_holds_the_key(app: TestApp) {
    let ada = app.register("Ada").await;
    let enrolment = app.enrol(&ada).await;
    assert_eq!(read_qr(&enrolment.qr_png), enrolment.otpauth_uri);
    let (_, query) = enrolment.otpauth_uri.split_once('?').expect("a query");
    assert!(enrolment.otpauth_uri.starts_with("otpauth://totp/"));
    assert!(query.split('&').any(|pair| pair == format!("secret={}", enrolment.secret)), "{query}");
}

async fn an_enrolment_changes_nothing_until_it_is_confirmed(app: TestApp) {
    let ada = app.register("Ada").await;
    app.enrol(&ada).await;
    assert_eq!(app.user(&ada).await["two_factor"]["enabled"], false);
    app.decides(&ada, "password_only").await;
}

async fn a_code_of_the_app_turns_two_factor_on(app: TestApp) {
    let ada = app.register("Ada").await;
    let enrolment = app.enrol(&ada).await;
    let confirmed = app.confirm(&ada, &enrolment).await;
    assert_eq!(confirmed["two_factor"]["enabled"], true);
    let user = app.user(&ada).await;
    assert_eq!(user["two_factor"]["enabled"], true);
    assert_eq!(user["two_factor"]["recovery_codes_left"], 1);
    assert_eq!(user["two_factor"]["recovery_code_saved"], false);
    assert_eq!(countersign_tests::answer::time(&user["two_factor"]["enabled_at"]), app.now());
    app.decides(&ada, "challenge").await;
}

async fn the_emergency_code_has_its_format(app: TestApp) {
    let (_, two_factor) = app.register_with_two_factor("Ada").await;
    let groups: Vec<&str> = two_factor.recovery_code.split('-').collect();
    assert_eq!(groups.len(), 5, "{}", two_factor.recovery_code);
    for group in groups {
        assert_eq!(group.len(), 4, "{}", two_factor.recovery_code);
        // Crockford's alphabet: no I, L, O or U to misread.
        let known = |letter| "0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(letter);
        assert!(group.chars().all(known), "{}", two_factor.recovery_code);
    }
}

async fn the_emergency_code_is_marked_as_stored(app: TestApp) {
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let path = ada.path("/two-factor/recovery-code/saved");
    app.post(&path, &app.key, json!({})).await.expect(204);
    assert_eq!(app.user(&ada).await["two_factor"]["recovery_code_saved"], true);
}

async fn from_then_on_the_password_leads_to_a_challenge(app: TestApp) {
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let answer = app.log_in(&ada).await.expect(202);
    assert_eq!(answer["status"], "challenge");
    assert_eq!(answer["user_id"], ada.id);
    assert_eq!(answer["methods"], json!(["totp", "recovery_code"]));
    assert_eq!(answer.time("expires_at"), app.now() + chrono::TimeDelta::minutes(5));
    assert!(answer["session"].is_null(), "{}", answer.text);
}

async fn a_code_completes_the_challenge_with_a_session(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&two_factor.secret);
    let answer = app.verify(&challenge, &code).await.expect(200);
    assert_eq!(answer["status"], "complete");
    assert_eq!(answer["user_id"], ada.id);
    assert_eq!(answer["session"]["user_id"], ada.id);
    assert!(string(&answer["session"]["token"]).starts_with("css_"));
    assert_eq!(countersign_tests::answer::time(&answer["session"]["second_factor_at"]), app.now());
    assert!(answer["recovery_code"].is_null(), "the emergency code was not used");
}

async fn the_session_is_the_persons_own(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let session = app.sign_in_with(&ada, &two_factor).await;
    let user = app.get(&ada.path(""), &session.token).await.expect(200);
    assert_eq!(user["email"], ada.email);
}

async fn the_code_that_signed_in_is_refused_the_next_time(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&two_factor.secret);
    app.verify(&challenge, &code).await.expect(200);
    let challenge = app.challenge(&ada).await;
    app.verify(&challenge, &code).await.refused(401, "wrong-code");
}

async fn turning_two_factor_off_makes_the_password_enough_again(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let proof = app.proof(&ada, &two_factor);
    app.post(&ada.path("/two-factor/disable"), &app.key, proof).await.expect(204);
    assert_eq!(app.user(&ada).await["two_factor"]["enabled"], false);
    app.decides(&ada, "password_only").await;
    app.sign_in(&ada).await;
}

async fn an_application_that_checks_the_password_itself_gets_a_challenge_without_a_session(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let body = json!({ "user_id": ada.id });
    let answer = app.post("/v1/challenges", &app.key, body).await.expect(201);
    assert_eq!(answer["user_id"], ada.id);
    let code = app.next_code(&two_factor.secret);
    let answer = app.verify(&answer.string("challenge_id"), &code).await.expect(200);
    assert_eq!(answer["status"], "complete");
    assert_eq!(answer["user_id"], ada.id);
    assert!(answer["session"].is_null(), "{}", answer.text);
}

async fn an_application_asks_for_a_challenge_where_there_is_nothing_to_ask(app: TestApp) {
    let ada = app.register("Ada").await;
    let body = json!({ "user_id": ada.id });
    app.post("/v1/challenges", &app.key, body).await.refused(409, "two-factor-not-enabled");
    assert!(!Session::of(&app.log_in(&ada).await.expect(200)).token.is_empty());
}
