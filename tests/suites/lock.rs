//! Guessing: every tenth wrong code locks codes, and the fiftieth disables the authenticators.

use chrono::TimeDelta;
use countersign_tests::{Person, TestApp, TwoFactor, answer::time, on_both_databases, trail::types};
use serde_json::json;

on_both_databases![
    s03_ten_wrong_codes_are_ten_events,
    s03_codes_are_still_locked_after_a_restart,
    s04_the_tenth_wrong_code_locks_codes_for_30_minutes,
    s04_nine_wrong_codes_lock_nothing,
    s04_the_right_code_is_refused_while_codes_are_locked,
    s04_the_right_code_works_again_after_30_minutes,
    s04_one_counter_counts_across_challenges,
    s04_wrong_codes_as_proof_count_too,
    s04_a_passed_second_factor_resets_the_counter,
    s04_a_correct_password_does_not_reset_the_counter,
    s04_while_codes_are_locked_a_sign_in_offers_the_emergency_code,
    s04_the_emergency_code_works_while_codes_are_locked,
    s04_at_fifty_the_authenticators_are_disabled,
    s04_a_disabled_authenticator_still_counts_as_two_factor,
    s04_a_disabled_person_returns_with_the_emergency_code_and_a_new_authenticator,
    s04_ten_wrong_emergency_codes_lock_the_emergency_code,
    s06_a_lock_appends_one_refusal_however_often_it_is_tried,
    s06_every_lock_appends_a_refusal_of_its_own,
    s21_a_locked_answer_says_how_long_to_wait,
    a_lock_is_told_before_an_expired_challenge,
];

async fn locked_person(app: &TestApp) -> (Person, TwoFactor) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.lock_codes(&ada, &two_factor.secret).await;
    (ada, two_factor)
}

/// Fifty wrong codes: five locks, each waited for.
async fn disabled_person(app: &TestApp) -> (Person, TwoFactor) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    for _ in 0..5 {
        app.lock_codes(&ada, &two_factor.secret).await;
        app.advance_min(31);
    }
    (ada, two_factor)
}

async fn s03_ten_wrong_codes_are_ten_events(app: TestApp) {
    let (ada, _) = locked_person(&app).await;
    assert_eq!(app.count(&ada.id, types::SECOND_FACTOR_FAILED).await, 10);
}

async fn s03_codes_are_still_locked_after_a_restart(app: TestApp) {
    let (ada, two_factor) = locked_person(&app).await;
    let app = app.restarted().await;
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&two_factor.secret);
    app.verify(&challenge, &code).await.refused(429, "locked");
}

async fn s04_the_tenth_wrong_code_locks_codes_for_30_minutes(app: TestApp) {
    let (ada, _) = locked_person(&app).await;
    let until = app.now() + TimeDelta::minutes(30);
    assert_eq!(time(&app.user(&ada).await["locked_until"]), until);
    assert_eq!(app.decides(&ada, "locked").await.time("locked_until"), until);
}

async fn s04_nine_wrong_codes_lock_nothing(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    app.guess_wrong(&challenge, &two_factor.secret, 9).await;
    assert!(app.user(&ada).await["locked_until"].is_null());
    let code = app.next_code(&two_factor.secret);
    app.verify(&challenge, &code).await.expect(200);
}

async fn s04_the_right_code_is_refused_while_codes_are_locked(app: TestApp) {
    let (ada, two_factor) = locked_person(&app).await;
    app.advance_s(29 * 60);
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&two_factor.secret);
    app.verify(&challenge, &code).await.refused(429, "locked");
}

async fn s04_the_right_code_works_again_after_30_minutes(app: TestApp) {
    let (ada, two_factor) = locked_person(&app).await;
    app.advance_min(30);
    app.decides(&ada, "challenge").await;
    app.sign_in_with(&ada, &two_factor).await;
}

async fn s04_one_counter_counts_across_challenges(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    for _ in 0..10 {
        let challenge = app.challenge(&ada).await;
        app.guess_wrong(&challenge, &two_factor.secret, 1).await;
    }
    let challenge = app.challenge(&ada).await;
    let wrong = app.wrong_code(&two_factor.secret);
    for _ in 0..10 {
        app.verify(&challenge, &wrong).await.refused(429, "locked");
    }
    assert_eq!(app.count(&ada.id, types::SECOND_FACTOR_FAILED).await, 10);
}

async fn s04_wrong_codes_as_proof_count_too(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let body = json!({ "password": ada.password, "code": app.wrong_code(&two_factor.secret) });
    for _ in 0..10 {
        app.post(&ada.path("/two-factor/disable"), &app.key, body.clone()).await.refused(401, "wrong-code");
    }
    app.decides(&ada, "locked").await;
}

async fn s04_a_passed_second_factor_resets_the_counter(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    for _ in 0..2 {
        let challenge = app.challenge(&ada).await;
        app.guess_wrong(&challenge, &two_factor.secret, 9).await;
        let code = app.next_code(&two_factor.secret);
        app.verify(&challenge, &code).await.expect(200);
    }
    app.decides(&ada, "challenge").await;
}

async fn s04_a_correct_password_does_not_reset_the_counter(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    app.guess_wrong(&challenge, &two_factor.secret, 9).await;
    let challenge = app.challenge(&ada).await;
    app.guess_wrong(&challenge, &two_factor.secret, 1).await;
    app.decides(&ada, "locked").await;
}

async fn s04_while_codes_are_locked_a_sign_in_offers_the_emergency_code(app: TestApp) {
    let (ada, _) = locked_person(&app).await;
    let answer = app.log_in(&ada).await.expect(202);
    assert_eq!(answer["status"], "challenge");
    assert_eq!(answer["methods"], json!(["recovery_code"]));
    assert_eq!(app.login_check(&ada).await["methods"], json!(["recovery_code"]));
}

async fn s04_the_emergency_code_works_while_codes_are_locked(app: TestApp) {
    let (ada, two_factor) = locked_person(&app).await;
    let challenge = app.challenge(&ada).await;
    let answer = app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.expect(200);
    assert_eq!(answer["status"], "complete");
    // A second-factor success resets the counter, and the lock with it.
    app.decides(&ada, "challenge").await;
}

async fn s04_at_fifty_the_authenticators_are_disabled(app: TestApp) {
    let (ada, two_factor) = disabled_person(&app).await;
    let user = app.user(&ada).await;
    assert_eq!(user["two_factor"]["authenticators"][0]["disabled"], true, "{}", user.text);
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&two_factor.secret);
    let refused = app.verify(&challenge, &code).await.problem();
    // There is no authenticator left to judge it: the contract names no code for that.
    assert!((400..500).contains(&refused.status), "{}", refused.text);
}

async fn s04_a_disabled_authenticator_still_counts_as_two_factor(app: TestApp) {
    let (ada, _) = disabled_person(&app).await;
    let check = app.decides(&ada, "challenge").await;
    assert_eq!(check["methods"], json!(["recovery_code"]));
    assert_eq!(app.user(&ada).await["two_factor"]["enabled"], true);
    assert_eq!(app.log_in(&ada).await.expect(202)["methods"], json!(["recovery_code"]));
}

async fn s04_a_disabled_person_returns_with_the_emergency_code_and_a_new_authenticator(app: TestApp) {
    let (ada, two_factor) = disabled_person(&app).await;
    let proof = json!({
        "password": ada.password,
        "recovery_code": two_factor.recovery_code,
        "replace": true,
    });
    let answer = app.try_to_enrol(&ada, &app.key, proof).await.expect(201);
    let enrolment = countersign_tests::people::enrolment(&answer);
    app.confirm(&ada, &enrolment).await;
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&enrolment.secret);
    app.verify(&challenge, &code).await.expect(200);
}

async fn s04_ten_wrong_emergency_codes_lock_the_emergency_code(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    for _ in 0..10 {
        app.verify_recovery_code(&challenge, "0000-0000-0000-0000-0000").await.refused(401, "wrong-code");
    }
    app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.refused(429, "locked");
    // Its counter is its own: codes still work.
    app.sign_in_with(&ada, &two_factor).await;
}

async fn s06_a_lock_appends_one_refusal_however_often_it_is_tried(app: TestApp) {
    let (ada, two_factor) = locked_person(&app).await;
    let challenge = app.challenge(&ada).await;
    let wrong = app.wrong_code(&two_factor.secret);
    for _ in 0..100 {
        app.verify(&challenge, &wrong).await.refused(429, "locked");
    }
    assert_eq!(app.count(&ada.id, types::SECOND_FACTOR_REFUSED).await, 1);
    assert_eq!(app.count(&ada.id, types::SECOND_FACTOR_FAILED).await, 10);
}

async fn s06_every_lock_appends_a_refusal_of_its_own(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    for _ in 0..2 {
        app.lock_codes(&ada, &two_factor.secret).await;
        let challenge = app.challenge(&ada).await;
        let wrong = app.wrong_code(&two_factor.secret);
        for _ in 0..3 {
            app.verify(&challenge, &wrong).await.refused(429, "locked");
        }
        app.advance_min(31);
    }
    assert_eq!(app.count(&ada.id, types::SECOND_FACTOR_REFUSED).await, 2);
}

async fn s21_a_locked_answer_says_how_long_to_wait(app: TestApp) {
    let (ada, two_factor) = locked_person(&app).await;
    app.advance_min(10);
    let challenge = app.challenge(&ada).await;
    let code = app.code(&two_factor.secret);
    let refused = app.verify(&challenge, &code).await.refused(429, "locked");
    assert_eq!(refused.header("retry-after"), "1200", "20 of 30 minutes are left");
    assert!(
        refused.headers.keys().any(|name| name.as_str().starts_with("ratelimit")),
        "{:?}",
        refused.headers
    );
}

async fn a_lock_is_told_before_an_expired_challenge(app: TestApp) {
    let (ada, two_factor) = locked_person(&app).await;
    let challenge = app.challenge(&ada).await;
    app.advance_min(6);
    let code = app.code(&two_factor.secret);
    app.verify(&challenge, &code).await.refused(429, "locked");
}
