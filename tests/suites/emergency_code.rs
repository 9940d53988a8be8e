//! The emergency code: single use, replaced at once, exactly one a person.

use countersign_tests::{TestApp, TwoFactor, on_both_databases, trail::types};
use serde_json::json;

on_both_databases![
    s07_an_emergency_code_signs_in_and_is_replaced_at_once,
    s07_an_emergency_code_is_accepted_once,
    s07_the_replacement_works,
    s07_case_and_dashes_are_forgiven,
    s07_a_new_emergency_code_voids_the_old_one,
    s07_a_replacement_has_not_been_stored_yet,
    s07_the_use_of_an_emergency_code_is_recorded,
    s07_the_emergency_code_of_somebody_else_is_wrong,
    s09_a_new_emergency_code_needs_proof,
    an_emergency_code_as_proof_is_replaced_in_the_answer,
    an_emergency_code_as_proof_of_turning_off_is_not_replaced,
];

async fn s07_an_emergency_code_signs_in_and_is_replaced_at_once(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    let answer = app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.expect(200);
    assert_eq!(answer["status"], "complete");
    assert_eq!(answer["session"]["user_id"], ada.id);
    assert_ne!(answer.string("recovery_code"), two_factor.recovery_code);
    assert_eq!(app.user(&ada).await["two_factor"]["recovery_codes_left"], 1);
}

async fn s07_an_emergency_code_is_accepted_once(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.expect(200);
    let challenge = app.challenge(&ada).await;
    app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.refused(401, "wrong-code");
}

async fn s07_the_replacement_works(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let mut recovery_code = two_factor.recovery_code;
    for _ in 0..3 {
        let challenge = app.challenge(&ada).await;
        let answer = app.verify_recovery_code(&challenge, &recovery_code).await.expect(200);
        recovery_code = answer.string("recovery_code");
    }
}

async fn s07_case_and_dashes_are_forgiven(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    let typed = two_factor.recovery_code.replace('-', "").to_lowercase();
    app.verify_recovery_code(&challenge, &typed).await.expect(200);
}

/// Asks for a new emergency code with the password and a code as proof.
async fn new_code(app: &TestApp, ada: &countersign_tests::Person, two_factor: &TwoFactor) -> String {
    let proof = app.proof(ada, two_factor);
    let path = ada.path("/two-factor/recovery-code");
    app.post(&path, &app.key, proof).await.expect(200).string("recovery_code")
}

async fn s07_a_new_emergency_code_voids_the_old_one(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let new = new_code(&app, &ada, &two_factor).await;
    let challenge = app.challenge(&ada).await;
    app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.refused(401, "wrong-code");
    app.verify_recovery_code(&challenge, &new).await.expect(200);
}

async fn s07_a_replacement_has_not_been_stored_yet(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let saved = ada.path("/two-factor/recovery-code/saved");
    app.post(&saved, &app.key, json!({})).await.expect(204);
    new_code(&app, &ada, &two_factor).await;
    assert_eq!(app.user(&ada).await["two_factor"]["recovery_code_saved"], false);
}

async fn s07_the_use_of_an_emergency_code_is_recorded(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.expect(200);
    assert_eq!(app.count(&ada.id, types::RECOVERY_CODE_USED).await, 1);
}

async fn s07_the_emergency_code_of_somebody_else_is_wrong(app: TestApp) {
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let (grace, of_grace) = app.register_with_two_factor("Grace").await;
    let challenge = app.challenge(&ada).await;
    app.verify_recovery_code(&challenge, &of_grace.recovery_code).await.refused(401, "wrong-code");
    let challenge = app.challenge(&grace).await;
    app.verify_recovery_code(&challenge, &of_grace.recovery_code).await.expect(200);
}

async fn s09_a_new_emergency_code_needs_proof(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let path = ada.path("/two-factor/recovery-code");
    let password_only = json!({ "password": ada.password });
    app.post(&path, &app.key, password_only).await.refused(403, "step-up-required");
    let challenge = app.challenge(&ada).await;
    app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.expect(200);
}

async fn an_emergency_code_as_proof_is_replaced_in_the_answer(app: TestApp) {
    let (ada, phone) = app.register_with_two_factor("Ada").await;
    let tablet = app.enrol_another(&ada, &phone, json!({})).await;
    app.confirm(&ada, &tablet).await;
    let path = ada.path(&format!("/two-factor/authenticators/{}", phone.authenticator_id));
    let proof = json!({ "password": ada.password, "recovery_code": phone.recovery_code });
    // Two-factor stays on: never a bare 204, or nobody would hold the code that replaced it.
    let answer = app.delete_with(&path, &app.key, proof).await.expect(200);
    let new = answer.string("recovery_code");
    assert_ne!(new, phone.recovery_code);
    let challenge = app.challenge(&ada).await;
    app.verify_recovery_code(&challenge, &new).await.expect(200);
}

async fn an_emergency_code_as_proof_of_turning_off_is_not_replaced(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let proof = json!({ "password": ada.password, "recovery_code": two_factor.recovery_code });
    app.post(&ada.path("/two-factor/disable"), &app.key, proof).await.expect(204);
    assert_eq!(app.user(&ada).await["two_factor"]["recovery_codes_left"], 0);
}
