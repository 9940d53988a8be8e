//! Codes, enrolments and authenticators.

use chrono::TimeDelta;
use countersign_tests::{
    TestApp,
    answer::{string, time},
    authenticator::{STEP_S, code_at, wrong_code},
    on_both_databases,
    people::enrolment,
};
use serde_json::json;

on_both_databases![
    s01_a_code_is_accepted_once,
    s01_a_code_of_an_older_step_is_refused_after_a_newer_one,
    s01_the_code_that_confirmed_the_enrolment_does_not_sign_in,
    s01_a_refused_code_of_an_open_challenge_leaves_it_open,
    s02_secrets_are_160_bits_in_unpadded_base32_and_differ,
    s02_the_uri_names_nothing_but_30_s_6_digits_and_sha1,
    s02_the_uri_names_the_person_and_the_issuer,
    s02_a_code_is_accepted_one_step_early_and_one_step_late,
    s02_a_code_two_steps_away_is_refused,
    s09_an_enrolment_expires_after_ten_minutes,
    s09_an_enrolment_allows_five_tries,
    s09_a_second_enrolment_voids_nothing_until_it_is_confirmed,
    s09_a_confirmation_ends_every_other_pending_enrolment,
    s09_an_enrolment_is_of_no_use_to_somebody_else,
    s04_wrong_confirmations_do_not_count_towards_the_lock,
    a_person_has_several_authenticators_and_signs_in_with_either,
    a_further_authenticator_keeps_the_emergency_code,
    replacing_voids_the_other_authenticators,
    one_of_two_authenticators_can_be_removed_under_enforcement,
    the_last_authenticator_cannot_be_removed_under_enforcement,
    removing_the_last_authenticator_turns_two_factor_off,
    the_label_and_the_last_use_of_an_authenticator_are_shown,
];

async fn s01_a_code_is_accepted_once(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let code = app.next_code(&two_factor.secret);
    let first = app.challenge(&ada).await;
    let second = app.challenge(&ada).await;
    app.verify(&first, &code).await.expect(200);
    app.verify(&second, &code).await.refused(401, "wrong-code");
}

async fn s01_a_code_of_an_older_step_is_refused_after_a_newer_one(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.advance_s(10 * STEP_S);
    let older = code_at(&two_factor.secret, app.now() - TimeDelta::seconds(STEP_S));
    let newer = app.code(&two_factor.secret);
    let challenge = app.challenge(&ada).await;
    app.verify(&challenge, &newer).await.expect(200);
    let challenge = app.challenge(&ada).await;
    app.verify(&challenge, &older).await.refused(401, "wrong-code");
}

async fn s01_the_code_that_confirmed_the_enrolment_does_not_sign_in(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    app.verify(&challenge, &app.code(&two_factor.secret)).await.refused(401, "wrong-code");
}

async fn s01_a_refused_code_of_an_open_challenge_leaves_it_open(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    app.guess_wrong(&challenge, &two_factor.secret, 1).await;
    let code = app.next_code(&two_factor.secret);
    app.verify(&challenge, &code).await.expect(200);
}

async fn s02_secrets_are_160_bits_in_unpadded_base32_and_differ(app: TestApp) {
    let ada = app.register("Ada").await;
    let (first, second) = (app.enrol(&ada).await, app.enrol(&ada).await);
    for secret in [&first.secret, &second.secret] {
        assert_eq!(secret.len(), 32, "160 bits are 32 letters: {secret}");
        let bytes = base32::decode(base32::Alphabet::Rfc4648 { padding: false }, secret);
        assert_eq!(bytes.map(|bytes| bytes.len()), Some(20), "{secret}");
    }
    assert_ne!(first.secret, second.secret);
}

async fn s02_the_uri_names_nothing_but_30_s_6_digits_and_sha1(app: TestApp) {
    let ada = app.register("Ada").await;
    let uri = app.enrol(&ada).await.otpauth_uri;
    let (_, query) = uri.split_once('?').expect("a query");
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').expect("a pair");
        // Left out they mean the same.
        match name {
            "algorithm" => assert_eq!(value, "SHA1"),
            "digits" => assert_eq!(value, "6"),
            "period" => assert_eq!(value, "30"),
            "secret" | "issuer" => {}
            other => panic!("an authenticator app does not know {other}"),
        }
    }
}

async fn s02_the_uri_names_the_person_and_the_issuer(app: TestApp) {
    let ada = app.register("Ada").await;
    let uri = app.enrol(&ada).await.otpauth_uri;
    let readable = uri.replace("%40", "@").replace("%3A", ":");
    assert!(readable.contains(&ada.email), "{uri}");
    assert!(uri.contains("issuer="), "{uri}");
}

async fn s02_a_code_is_accepted_one_step_early_and_one_step_late(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.advance_s(10 * STEP_S);
    let late = code_at(&two_factor.secret, app.now() - TimeDelta::seconds(STEP_S));
    let challenge = app.challenge(&ada).await;
    app.verify(&challenge, &late).await.expect(200);
    let early = code_at(&two_factor.secret, app.now() + TimeDelta::seconds(STEP_S));
    let challenge = app.challenge(&ada).await;
    app.verify(&challenge, &early).await.expect(200);
}

async fn s02_a_code_two_steps_away_is_refused(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.advance_s(10 * STEP_S);
    let challenge = app.challenge(&ada).await;
    for steps in [-2, 2] {
        let at = app.now() + TimeDelta::seconds(steps * STEP_S);
        let code = code_at(&two_factor.secret, at);
        app.verify(&challenge, &code).await.refused(401, "wrong-code");
    }
}

async fn s09_an_enrolment_expires_after_ten_minutes(app: TestApp) {
    let ada = app.register("Ada").await;
    let proof = json!({ "password": ada.password });
    let answer = app.try_to_enrol(&ada, &app.key, proof).await.expect(201);
    assert_eq!(answer.time("expires_at"), app.now() + TimeDelta::minutes(10));
    let enrolment = enrolment(&answer);
    app.advance_min(10);
    let code = app.code(&enrolment.secret);
    app.try_to_confirm(&ada, &enrolment, &app.key, &code).await.refused(410, "enrolment-expired");
    assert_eq!(app.user(&ada).await["two_factor"]["enabled"], false);
}

async fn s09_an_enrolment_allows_five_tries(app: TestApp) {
    let ada = app.register("Ada").await;
    let enrolment = app.enrol(&ada).await;
    let wrong = wrong_code(&enrolment.secret, app.now());
    for _ in 0..5 {
        app.try_to_confirm(&ada, &enrolment, &app.key, &wrong).await.refused(422, "wrong-code");
    }
    let right = app.code(&enrolment.secret);
    app.try_to_confirm(&ada, &enrolment, &app.key, &right).await.refused(410, "enrolment-expired");
}

async fn s09_a_second_enrolment_voids_nothing_until_it_is_confirmed(app: TestApp) {
    let ada = app.register("Ada").await;
    let first = app.enrol(&ada).await;
    app.enrol(&ada).await;
    app.confirm(&ada, &first).await;
    assert_eq!(app.user(&ada).await["two_factor"]["enabled"], true);
}

async fn s09_a_confirmation_ends_every_other_pending_enrolment(app: TestApp) {
    let ada = app.register("Ada").await;
    let (first, second) = (app.enrol(&ada).await, app.enrol(&ada).await);
    app.confirm(&ada, &second).await;
    let code = app.code(&first.secret);
    app.try_to_confirm(&ada, &first, &app.key, &code).await.refused(410, "enrolment-expired");
}

async fn s09_an_enrolment_is_of_no_use_to_somebody_else(app: TestApp) {
    let (ada, eve) = (app.register("Ada").await, app.register("Eve").await);
    let enrolment = app.enrol(&ada).await;
    let code = app.code(&enrolment.secret);
    app.try_to_confirm(&eve, &enrolment, &app.key, &code).await.refused(404, "not-found");
    assert_eq!(app.user(&eve).await["two_factor"]["enabled"], false);
}

async fn s04_wrong_confirmations_do_not_count_towards_the_lock(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    for _ in 0..2 {
        let enrolment = app.enrol_another(&ada, &two_factor, json!({})).await;
        let wrong = app.wrong_code(&enrolment.secret);
        for _ in 0..5 {
            app.try_to_confirm(&ada, &enrolment, &app.key, &wrong).await.refused(422, "wrong-code");
        }
    }
    assert!(app.user(&ada).await["locked_until"].is_null());
    app.sign_in_with(&ada, &two_factor).await;
}

async fn a_person_has_several_authenticators_and_signs_in_with_either(app: TestApp) {
    let (ada, phone) = app.register_with_two_factor("Ada").await;
    let tablet = app.enrol_another(&ada, &phone, json!({})).await;
    app.confirm(&ada, &tablet).await;
    for secret in [&phone.secret, &tablet.secret] {
        let challenge = app.challenge(&ada).await;
        let code = app.next_code(secret);
        app.verify(&challenge, &code).await.expect(200);
    }
}

async fn a_further_authenticator_keeps_the_emergency_code(app: TestApp) {
    let (ada, phone) = app.register_with_two_factor("Ada").await;
    let tablet = app.enrol_another(&ada, &phone, json!({})).await;
    let confirmed = app.confirm(&ada, &tablet).await;
    assert!(confirmed["recovery_code"].is_null(), "exactly one per user: {}", confirmed.text);
    let challenge = app.challenge(&ada).await;
    app.verify_recovery_code(&challenge, &phone.recovery_code).await.expect(200);
}

async fn replacing_voids_the_other_authenticators(app: TestApp) {
    let (ada, old) = app.register_with_two_factor("Ada").await;
    let new = app.enrol_another(&ada, &old, json!({ "replace": true })).await;
    app.confirm(&ada, &new).await;
    let user = app.user(&ada).await;
    let left = user["two_factor"]["authenticators"].as_array().map(Vec::len);
    assert_eq!(left, Some(1), "{}", user.text);
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&old.secret);
    app.verify(&challenge, &code).await.refused(401, "wrong-code");
    let code = app.code(&new.secret);
    app.verify(&challenge, &code).await.expect(200);
}

async fn one_of_two_authenticators_can_be_removed_under_enforcement(app: TestApp) {
    let (ada, phone) = app.register_with_two_factor("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    app.enforce(&agreement).await;
    let tablet = app.enrol_another(&ada, &phone, json!({})).await;
    app.confirm(&ada, &tablet).await;
    let path = ada.path(&format!("/two-factor/authenticators/{}", phone.authenticator_id));
    let proof = json!({ "password": ada.password, "code": app.next_code(&tablet.secret) });
    app.delete_with(&path, &app.key, proof).await.expect(204);
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&phone.secret);
    app.verify(&challenge, &code).await.refused(401, "wrong-code");
}

async fn the_last_authenticator_cannot_be_removed_under_enforcement(app: TestApp) {
    let (ada, phone) = app.register_with_two_factor("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    app.enforce(&agreement).await;
    let path = ada.path(&format!("/two-factor/authenticators/{}", phone.authenticator_id));
    let proof = app.proof(&ada, &phone);
    let refused = app.delete_with(&path, &app.key, proof).await.refused(409, "two-factor-required");
    assert!(refused.text.contains(&agreement.name), "{}", refused.text);
    app.sign_in_with(&ada, &phone).await;
}

async fn removing_the_last_authenticator_turns_two_factor_off(app: TestApp) {
    let (ada, phone) = app.register_with_two_factor("Ada").await;
    let path = ada.path(&format!("/two-factor/authenticators/{}", phone.authenticator_id));
    let proof = app.proof(&ada, &phone);
    app.delete_with(&path, &app.key, proof).await.expect(204);
    assert_eq!(app.user(&ada).await["two_factor"]["enabled"], false);
    app.decides(&ada, "password_only").await;
}

async fn the_label_and_the_last_use_of_an_authenticator_are_shown(app: TestApp) {
    let ada = app.register("Ada").await;
    let body = json!({ "password": ada.password, "label": "Ada's phone" });
    let answer = app.try_to_enrol(&ada, &app.key, body).await.expect(201);
    let enrolment = enrolment(&answer);
    app.confirm(&ada, &enrolment).await;
    let added_at = app.now();
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&enrolment.secret);
    app.verify(&challenge, &code).await.expect(200);
    let user = app.user(&ada).await;
    let phone = &user["two_factor"]["authenticators"][0];
    assert_eq!(string(&phone["label"]), "Ada's phone");
    assert_eq!(time(&phone["added_at"]), added_at);
    assert_eq!(time(&phone["last_used_at"]), app.now());
    assert_eq!(phone["disabled"], false);
}
