//! The same thing sent many times at once. The answers are counted, and then the events.

use std::collections::BTreeMap;

use countersign_tests::{Answer, Client, TestApp, on_both_databases, people::verify_path, trail::types};
use serde_json::{Value, json};
use tokio::task::JoinSet;

on_both_databases![
    s01_one_code_sent_50_times_to_one_challenge_makes_one_session,
    s01_one_code_sent_to_25_challenges_makes_one_session,
    s07_one_emergency_code_sent_50_times_makes_one_session,
    s07_one_emergency_code_sent_to_25_challenges_makes_one_session,
    s03_of_500_wrong_guesses_at_once_10_are_judged,
    one_enrolment_confirmed_20_times_at_once_gives_out_one_emergency_code,
    one_email_registered_20_times_at_once_makes_one_user,
    one_agreement_number_created_20_times_at_once_makes_one_agreement,
];

/// One request of a race: to which node, where, and what.
pub(crate) struct Shot {
    pub(crate) node: Client,
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) body: Value,
}

/// Sends everything at once and collects all answers.
pub(crate) async fn fire(shots: Vec<Shot>) -> Vec<Answer> {
    let mut running = JoinSet::new();
    for shot in shots {
        running.spawn(async move { shot.node.post(&shot.path, &shot.key, shot.body).await });
    }
    running.join_all().await
}

/// How many answers had which status.
pub(crate) fn statuses(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let mut counted = BTreeMap::new();
    for answer in answers {
        *counted.entry(answer.status).or_default() += 1;
    }
    counted
}

pub(crate) fn how_many(answers: &[Answer], status: u16) -> usize {
    statuses(answers).get(&status).copied().unwrap_or_default()
}

fn same(app: &TestApp, times: usize, path: &str, body: &Value) -> Vec<Shot> {
    (0..times)
        .map(|_| Shot {
            node: Client::clone(app),
            path: path.to_owned(),
            key: app.key.clone(),
            body: body.clone(),
        })
        .collect()
}

/// Asserts one winner, that nobody else got a session, and that one session is there.
async fn one_session(app: &TestApp, person: &countersign_tests::Person, answers: &[Answer]) {
    assert_eq!(how_many(answers, 200), 1, "{:?}", statuses(answers));
    let sessions = answers.iter().filter(|answer| !answer["session"].is_null()).count();
    assert_eq!(sessions, 1);
    let listed = app.get(&person.path("/sessions"), &app.key).await.expect(200);
    assert_eq!(listed.items().len(), 1, "{}", listed.text);
}

async fn s01_one_code_sent_50_times_to_one_challenge_makes_one_session(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let path = verify_path(&app.challenge(&ada).await);
    let body = json!({ "code": app.next_code(&two_factor.secret) });
    let answers = fire(same(&app, 50, &path, &body)).await;
    one_session(&app, &ada, &answers).await;
}

async fn s01_one_code_sent_to_25_challenges_makes_one_session(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let mut shots = Vec::new();
    let body = json!({ "code": app.next_code(&two_factor.secret) });
    for _ in 0..25 {
        let path = verify_path(&app.challenge(&ada).await);
        shots.extend(same(&app, 2, &path, &body));
    }
    let answers = fire(shots).await;
    one_session(&app, &ada, &answers).await;
}

async fn s07_one_emergency_code_sent_50_times_makes_one_session(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let path = verify_path(&app.challenge(&ada).await);
    let body = json!({ "recovery_code": two_factor.recovery_code });
    let answers = fire(same(&app, 50, &path, &body)).await;
    one_session(&app, &ada, &answers).await;
    assert_eq!(app.count(&ada.id, types::RECOVERY_CODE_USED).await, 1);
}

async fn s07_one_emergency_code_sent_to_25_challenges_makes_one_session(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let mut shots = Vec::new();
    let body = json!({ "recovery_code": two_factor.recovery_code });
    for _ in 0..25 {
        let path = verify_path(&app.challenge(&ada).await);
        shots.extend(same(&app, 2, &path, &body));
    }
    let answers = fire(shots).await;
    one_session(&app, &ada, &answers).await;
}

async fn s03_of_500_wrong_guesses_at_once_10_are_judged(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let path = verify_path(&app.challenge(&ada).await);
    let body = json!({ "code": app.wrong_code(&two_factor.secret) });
    let answers = fire(same(&app, 500, &path, &body)).await;
    // A node may turn some away unjudged (503); none of them may be told that it was wrong.
    assert_eq!(how_many(&answers, 401), 10, "{:?}", statuses(&answers));
    let turned_away = how_many(&answers, 429) + how_many(&answers, 503);
    assert_eq!(turned_away, 490, "{:?}", statuses(&answers));
    assert_eq!(app.count(&ada.id, types::SECOND_FACTOR_FAILED).await, 10);
    assert!(app.count(&ada.id, types::SECOND_FACTOR_REFUSED).await <= 1);
}

async fn one_enrolment_confirmed_20_times_at_once_gives_out_one_emergency_code(app: TestApp) {
    let ada = app.register("Ada").await;
    let enrolment = app.enrol(&ada).await;
    let path = ada.path(&format!("/two-factor/enrolments/{}/confirm", enrolment.id));
    let body = json!({ "code": app.code(&enrolment.secret) });
    let answers = fire(same(&app, 20, &path, &body)).await;
    assert_eq!(how_many(&answers, 200), 1, "{:?}", statuses(&answers));
    let user = app.user(&ada).await;
    let authenticators = user["two_factor"]["authenticators"].as_array().map(Vec::len);
    assert_eq!(authenticators, Some(1), "{}", user.text);
}

async fn one_email_registered_20_times_at_once_makes_one_user(app: TestApp) {
    let body = json!({ "email": "ada@example.com", "display_name": "Ada" });
    let answers = fire(same(&app, 20, "/v1/users", &body)).await;
    assert_eq!(how_many(&answers, 201), 1, "{:?}", statuses(&answers));
    assert_eq!(how_many(&answers, 409), 19, "{:?}", statuses(&answers));
    let found = app.get("/v1/users?email=ada@example.com", &app.key).await.expect(200);
    assert_eq!(found.items().len(), 1, "{}", found.text);
}

async fn one_agreement_number_created_20_times_at_once_makes_one_agreement(app: TestApp) {
    let body = json!({ "number": "4711", "name": "Havbris", "kind": "standard" });
    let answers = fire(same(&app, 20, "/v1/agreements", &body)).await;
    assert_eq!(how_many(&answers, 201), 1, "{:?}", statuses(&answers));
    assert_eq!(how_many(&answers, 409), 19, "{:?}", statuses(&answers));
    let found = app.get("/v1/agreements?number=4711", &app.key).await.expect(200);
    assert_eq!(found.items().len(), 1, "{}", found.text);
}
