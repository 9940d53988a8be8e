//! A person has so many sessions, authenticators, pending enrolments and open challenges, no more.

use countersign_tests::{
    Enrolment, Person, Session, TestApp, TwoFactor, answer::string, on_both_databases, people::enrolment,
    trail::types,
};
use serde_json::json;

on_both_databases![
    s17_the_fifty_first_session_ends_the_oldest,
    s17_the_fifty_first_session_with_two_factor_ends_the_oldest_too,
    an_eleventh_authenticator_is_refused_until_there_is_room,
    at_ten_authenticators_one_can_take_the_place_of_all,
    s09_the_ninth_pending_enrolment_ends_the_oldest,
    s09_the_ninth_enrolment_token_ends_the_oldest,
    s08_the_thirty_third_challenge_ends_the_oldest,
];

async fn works(app: &TestApp, person: &Person, session: &Session) {
    app.get(&person.path(""), &session.token).await.expect(200);
}

/// Of these sessions the first is over, and the trail says why; all others go on.
async fn only_the_first_was_ended(app: &TestApp, person: &Person, sessions: &[Session]) {
    app.get(&person.path(""), &sessions[0].token).await.refused(401, "unauthenticated");
    for session in &sessions[1..] {
        works(app, person, session).await;
    }
    let ended = app.entries(&format!("user={}&type={}", person.id, types::SESSION_ENDED)).await;
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0]["data"]["session_id"], sessions[0].id);
    assert_eq!(ended[0]["data"]["reason"], "too_many");
    let listed = app.get(&person.path("/sessions"), &app.key).await.expect(200).items();
    let mut listed: Vec<String> = listed.iter().map(|session| string(&session["id"])).collect();
    let mut expected: Vec<String> = sessions[1..].iter().map(|session| session.id.clone()).collect();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
}

async fn s17_the_fifty_first_session_ends_the_oldest(app: TestApp) {
    let ada = app.register("Ada").await;
    let mut sessions = Vec::new();
    for _ in 0..50 {
        sessions.push(app.sign_in(&ada).await);
        app.advance_s(1);
    }
    works(&app, &ada, &sessions[0]).await;
    sessions.push(app.sign_in(&ada).await);
    only_the_first_was_ended(&app, &ada, &sessions).await;
}

async fn s17_the_fifty_first_session_with_two_factor_ends_the_oldest_too(app: TestApp) {
    let ada = app.register("Ada").await;
    let mut sessions = Vec::new();
    for _ in 0..50 {
        sessions.push(app.sign_in(&ada).await);
    }
    let two_factor = app.enrol_and_confirm(&ada).await;
    works(&app, &ada, &sessions[0]).await;
    sessions.push(app.sign_in_with(&ada, &two_factor).await);
    only_the_first_was_ended(&app, &ada, &sessions).await;
}

/// Somebody with ten authenticators.
async fn somebody_with_ten(app: &TestApp) -> (Person, TwoFactor) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    for _ in 0..9 {
        let another = app.enrol_another(&ada, &two_factor, json!({})).await;
        app.confirm(&ada, &another).await;
    }
    assert_eq!(authenticators(app, &ada).await.len(), 10);
    (ada, two_factor)
}

async fn authenticators(app: &TestApp, person: &Person) -> Vec<String> {
    let user = app.user(person).await;
    let authenticators = user["two_factor"]["authenticators"].as_array().expect("authenticators");
    authenticators.iter().map(|authenticator| string(&authenticator["id"])).collect()
}

async fn an_eleventh_authenticator_is_refused_until_there_is_room(app: TestApp) {
    let (ada, two_factor) = somebody_with_ten(&app).await;
    let proof = app.proof(&ada, &two_factor);
    app.try_to_enrol(&ada, &app.key, proof.clone()).await.refused(409, "too-many-authenticators");
    let last = authenticators(&app, &ada).await.remove(9);
    let path = ada.path(&format!("/two-factor/authenticators/{last}"));
    // The refusal judged nothing, so the code it came with is still good.
    app.delete_with(&path, &app.key, proof).await.expect(204);
    let another = app.enrol_another(&ada, &two_factor, json!({})).await;
    app.confirm(&ada, &another).await;
    assert_eq!(authenticators(&app, &ada).await.len(), 10);
}

async fn at_ten_authenticators_one_can_take_the_place_of_all(app: TestApp) {
    let (ada, two_factor) = somebody_with_ten(&app).await;
    let only = app.enrol_another(&ada, &two_factor, json!({ "replace": true })).await;
    app.confirm(&ada, &only).await;
    assert_eq!(authenticators(&app, &ada).await.len(), 1);
    let challenge = app.challenge(&ada).await;
    app.verify(&challenge, &app.next_code(&two_factor.secret)).await.refused(401, "wrong-code");
    app.verify(&challenge, &app.code(&only.secret)).await.expect(200);
}

async fn s09_the_ninth_pending_enrolment_ends_the_oldest(app: TestApp) {
    let ada = app.register("Ada").await;
    let mut pending: Vec<Enrolment> = Vec::new();
    for _ in 0..9 {
        pending.push(app.enrol(&ada).await);
    }
    let confirm = async |enrolment: &Enrolment| {
        app.try_to_confirm(&ada, enrolment, &app.key, &app.code(&enrolment.secret)).await
    };
    confirm(&pending[0]).await.refused(410, "enrolment-expired");
    assert_eq!(app.user(&ada).await["two_factor"]["enabled"], false);
    confirm(&pending[1]).await.expect(200);
}

async fn s09_the_ninth_enrolment_token_ends_the_oldest(app: TestApp) {
    let ada = app.register("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    app.enforce(&agreement).await;
    let mut tokens = Vec::new();
    for _ in 0..9 {
        tokens.push(app.log_in(&ada).await.expect(202).string("enrolment_token"));
    }
    // Not told apart from a token that never was (401), or known to have ended (410).
    let refused = app.try_to_enrol(&ada, &tokens[0], json!({})).await.problem();
    assert!([401, 410].contains(&refused.status), "{}", refused.text);
    let offered = enrolment(&app.try_to_enrol(&ada, &tokens[1], json!({})).await.expect(201));
    let code = app.code(&offered.secret);
    app.try_to_confirm(&ada, &offered, &tokens[1], &code).await.expect(200);
}

async fn s08_the_thirty_third_challenge_ends_the_oldest(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let mut challenges = Vec::new();
    for _ in 0..33 {
        challenges.push(app.challenge(&ada).await);
    }
    let code = app.next_code(&two_factor.secret);
    app.verify(&challenges[0], &code).await.refused(410, "challenge-expired");
    // An ended challenge judges nothing: the code is still good for the next one.
    app.verify(&challenges[1], &code).await.expect(200);
    let code = app.next_code(&two_factor.secret);
    app.verify(&challenges[32], &code).await.expect(200);
}
