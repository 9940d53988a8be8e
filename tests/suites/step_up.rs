//! Proof: what somebody must show before a change of their two-factor, their password or an
//! enforcement.

use countersign_tests::{
    Person, Session, TestApp, TwoFactor, on_both_databases, people::merge, trail::types,
};
use serde_json::{Value, json};

on_both_databases![
    s09_the_password_alone_does_not_turn_two_factor_off,
    s09_a_code_alone_does_not_turn_two_factor_off,
    s09_nothing_at_all_is_not_enough_to_enrol,
    s09_a_wrong_password_is_judged_first_and_no_code_with_it,
    s09_a_wrong_code_is_counted,
    s09_a_code_that_was_proof_is_spent,
    s09_a_session_needs_no_code_within_ten_minutes_of_its_second_factor,
    s09_after_ten_minutes_a_session_needs_a_code_again,
    s09_a_session_without_a_second_factor_is_no_proof,
    s09_a_session_of_somebody_else_is_no_proof,
    s09_a_second_authenticator_needs_the_first_one,
    s09_changing_the_password_needs_a_code,
    s09_a_superuser_needs_proof_to_change_enforcement,
    s09_an_api_key_needs_no_proof_to_change_enforcement,
    s09_no_password_is_asked_of_a_person_who_has_none,
    a_refusal_that_does_not_depend_on_the_proof_consumes_none,
];

fn disable(person: &Person) -> String {
    person.path("/two-factor/disable")
}

async fn is_still_on(app: &TestApp, person: &Person) {
    assert_eq!(app.user(person).await["two_factor"]["enabled"], true);
}

async fn s09_the_password_alone_does_not_turn_two_factor_off(app: TestApp) {
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let password = json!({ "password": ada.password });
    app.post(&disable(&ada), &app.key, password).await.refused(403, "step-up-required");
    is_still_on(&app, &ada).await;
}

async fn s09_a_code_alone_does_not_turn_two_factor_off(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let code = json!({ "code": app.next_code(&two_factor.secret) });
    app.post(&disable(&ada), &app.key, code).await.refused(403, "step-up-required");
    is_still_on(&app, &ada).await;
}

async fn s09_nothing_at_all_is_not_enough_to_enrol(app: TestApp) {
    let ada = app.register("Ada").await;
    app.try_to_enrol(&ada, &app.key, json!({})).await.refused(403, "step-up-required");
}

async fn s09_a_wrong_password_is_judged_first_and_no_code_with_it(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let code = app.next_code(&two_factor.secret);
    let wrong = json!({ "password": "not her passphrase at all", "code": code });
    app.post(&disable(&ada), &app.key, wrong).await.refused(401, "wrong-credentials");
    let right = json!({ "password": ada.password, "code": code });
    app.post(&disable(&ada), &app.key, right).await.expect(204);
}

async fn s09_a_wrong_code_is_counted(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let body = json!({ "password": ada.password, "code": app.wrong_code(&two_factor.secret) });
    app.post(&disable(&ada), &app.key, body).await.refused(401, "wrong-code");
    assert_eq!(app.count(&ada.id, types::SECOND_FACTOR_FAILED).await, 1);
    is_still_on(&app, &ada).await;
}

async fn s09_a_code_that_was_proof_is_spent(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let proof = app.proof(&ada, &two_factor);
    let path = ada.path("/two-factor/recovery-code");
    app.post(&path, &app.key, proof.clone()).await.expect(200);
    app.post(&path, &app.key, proof).await.refused(401, "wrong-code");
}

async fn signed_in(app: &TestApp) -> (Person, TwoFactor, Session) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let session = app.sign_in_with(&ada, &two_factor).await;
    (ada, two_factor, session)
}

async fn s09_a_session_needs_no_code_within_ten_minutes_of_its_second_factor(app: TestApp) {
    let (ada, _, session) = signed_in(&app).await;
    app.advance_s(10 * 60 - 1);
    // Whether the password may be left out too is not for this test: a careful client sends it.
    let password = json!({ "password": ada.password });
    app.post(&disable(&ada), &session.token, password).await.expect(204);
}

async fn s09_after_ten_minutes_a_session_needs_a_code_again(app: TestApp) {
    let (ada, two_factor, session) = signed_in(&app).await;
    app.advance_min(10);
    let password = json!({ "password": ada.password });
    app.post(&disable(&ada), &session.token, password).await.refused(403, "step-up-required");
    let proof = app.proof(&ada, &two_factor);
    app.post(&disable(&ada), &session.token, proof).await.expect(204);
}

async fn s09_a_session_without_a_second_factor_is_no_proof(app: TestApp) {
    let ada = app.register("Ada").await;
    let session = app.sign_in(&ada).await;
    app.enrol_and_confirm(&ada).await;
    let password = json!({ "password": ada.password });
    app.post(&disable(&ada), &session.token, password).await.refused(403, "step-up-required");
    is_still_on(&app, &ada).await;
}

async fn s09_a_session_of_somebody_else_is_no_proof(app: TestApp) {
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let (eve, of_eve) = app.register_with_two_factor("Eve").await;
    let session = app.sign_in_with(&eve, &of_eve).await;
    let proof = app.proof(&eve, &of_eve);
    app.post(&disable(&ada), &session.token, proof).await.refused(404, "not-found");
    is_still_on(&app, &ada).await;
}

async fn s09_a_second_authenticator_needs_the_first_one(app: TestApp) {
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let password = json!({ "password": ada.password });
    app.try_to_enrol(&ada, &app.key, password).await.refused(403, "step-up-required");
}

async fn s09_changing_the_password_needs_a_code(app: TestApp) {
    let (ada, two_factor, session) = signed_in(&app).await;
    app.advance_min(10);
    let path = ada.path("/password");
    let mut body = json!({
        "current_password": ada.password,
        "new_password": "another long passphrase",
    });
    app.put(&path, &session.token, body.clone()).await.refused(403, "step-up-required");
    merge(&mut body, json!({ "code": app.next_code(&two_factor.secret) }));
    app.put(&path, &session.token, body).await.expect(204);
}

fn ticked(proof: Value) -> Value {
    let mut body = json!({ "enforced": true });
    merge(&mut body, proof);
    body
}

async fn s09_a_superuser_needs_proof_to_change_enforcement(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let (ada, two_factor, session) = app.superuser(&agreement, "Ada").await;
    app.advance_min(10);
    let path = agreement.path("/enforcement");
    app.put(&path, &session.token, ticked(json!({}))).await.refused(403, "step-up-required");
    let proof = app.proof(&ada, &two_factor);
    let answer = app.put(&path, &session.token, ticked(proof)).await.expect(200);
    assert_eq!(answer["enforced"], true);
}

async fn s09_an_api_key_needs_no_proof_to_change_enforcement(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let key = app.key_with(&["agreements:write"]).await;
    let path = agreement.path("/enforcement");
    app.put(&path, &key, ticked(json!({}))).await.expect(200);
}

async fn s09_no_password_is_asked_of_a_person_who_has_none(app: TestApp) {
    let body = json!({ "email": "ada@example.com", "display_name": "Ada" });
    let id = app.post("/v1/users", &app.key, body).await.expect(201).string("id");
    let path = format!("/v1/users/{id}/two-factor/enrolments");
    app.post(&path, &app.key, json!({})).await.expect(201);
}

async fn a_refusal_that_does_not_depend_on_the_proof_consumes_none(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    app.enforce(&agreement).await;
    let proof = app.proof(&ada, &two_factor);
    app.post(&disable(&ada), &app.key, proof.clone()).await.refused(409, "two-factor-required");
    app.stop_enforcing(&agreement).await;
    app.post(&disable(&ada), &app.key, proof).await.expect(204);
}
