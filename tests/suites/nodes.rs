//! Two nodes on one PostgreSQL: what one has answered, the other knows.

use countersign_tests::{Client, Session, TestApp, on_postgresql, people::verify_path, trail::types};
use serde_json::{Value, json};

use crate::races::{Shot, fire, how_many, statuses};

on_postgresql![
    s01_one_code_sent_50_times_to_two_nodes_makes_one_session,
    s07_one_emergency_code_sent_50_times_to_two_nodes_makes_one_session,
    s03_of_500_wrong_guesses_at_two_nodes_10_are_judged,
    s04_a_lock_on_one_node_holds_on_the_other,
    s05_wrong_passwords_are_counted_across_nodes,
    s10_enforcement_answered_on_one_node_decides_the_very_next_check_on_the_other,
    s10_a_link_answered_on_one_node_decides_the_very_next_check_on_the_other,
    s17_a_session_ended_on_one_node_is_over_on_the_other,
    a_challenge_of_one_node_is_verified_on_the_other,
    an_entry_written_on_one_node_is_read_on_the_other_after_its_write,
    both_nodes_are_ready,
];

/// The same request, by turns to either node.
fn by_turns(app: &TestApp, other: &TestApp, times: usize, path: &str, body: &Value) -> Vec<Shot> {
    let nodes = [app, other];
    nodes
        .into_iter()
        .cycle()
        .take(times)
        .map(|node| Shot {
            node: Client::clone(node),
            path: path.to_owned(),
            key: app.key.clone(),
            body: body.clone(),
        })
        .collect()
}

async fn s01_one_code_sent_50_times_to_two_nodes_makes_one_session(app: TestApp) {
    let other = app.another_node().await;
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let path = verify_path(&app.challenge(&ada).await);
    let body = json!({ "code": app.next_code(&two_factor.secret) });
    let answers = fire(by_turns(&app, &other, 50, &path, &body)).await;
    assert_eq!(how_many(&answers, 200), 1, "{:?}", statuses(&answers));
}

async fn s07_one_emergency_code_sent_50_times_to_two_nodes_makes_one_session(app: TestApp) {
    let other = app.another_node().await;
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let path = verify_path(&app.challenge(&ada).await);
    let body = json!({ "recovery_code": two_factor.recovery_code });
    let answers = fire(by_turns(&app, &other, 50, &path, &body)).await;
    assert_eq!(how_many(&answers, 200), 1, "{:?}", statuses(&answers));
    app.wait_for_the_trail().await;
    assert_eq!(other.count(&ada.id, types::RECOVERY_CODE_USED).await, 1);
}

async fn s03_of_500_wrong_guesses_at_two_nodes_10_are_judged(app: TestApp) {
    let other = app.another_node().await;
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let path = verify_path(&app.challenge(&ada).await);
    let body = json!({ "code": app.wrong_code(&two_factor.secret) });
    let answers = fire(by_turns(&app, &other, 500, &path, &body)).await;
    // Conflicts between the nodes may turn some away unjudged (503), never told apart as wrong.
    assert_eq!(how_many(&answers, 401), 10, "{:?}", statuses(&answers));
    let turned_away = how_many(&answers, 429) + how_many(&answers, 503);
    assert_eq!(turned_away, 490, "{:?}", statuses(&answers));
    other.wait_for_the_trail().await;
    assert_eq!(app.count(&ada.id, types::SECOND_FACTOR_FAILED).await, 10);
    assert!(app.count(&ada.id, types::SECOND_FACTOR_REFUSED).await <= 1);
}

async fn s04_a_lock_on_one_node_holds_on_the_other(app: TestApp) {
    let other = app.another_node().await;
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    app.guess_wrong(&challenge, &two_factor.secret, 5).await;
    other.guess_wrong(&challenge, &two_factor.secret, 5).await;
    let code = app.next_code(&two_factor.secret);
    app.verify(&challenge, &code).await.refused(429, "locked");
    other.verify(&challenge, &code).await.refused(429, "locked");
}

async fn s05_wrong_passwords_are_counted_across_nodes(app: TestApp) {
    let other = app.another_node().await;
    let ada = app.register("Ada").await;
    let body = json!({ "email": ada.email, "password": "not her passphrase at all" });
    for node in [&app, &other].into_iter().cycle().take(10) {
        node.post("/v1/logins", &app.key, body.clone()).await.refused(401, "wrong-credentials");
    }
    for node in [&app, &other] {
        node.post("/v1/logins", &app.key, body.clone()).await.refused(429, "throttled");
    }
}

async fn s10_enforcement_answered_on_one_node_decides_the_very_next_check_on_the_other(app: TestApp) {
    let other = app.another_node().await;
    let agreement = app.agreement("Havbris").await;
    let ada = app.register("Ada").await;
    app.link(&agreement, &ada).await;
    for _ in 0..20 {
        app.enforce(&agreement).await;
        other.decides(&ada, "enrol").await;
        other.stop_enforcing(&agreement).await;
        app.decides(&ada, "password_only").await;
    }
}

async fn s10_a_link_answered_on_one_node_decides_the_very_next_check_on_the_other(app: TestApp) {
    let other = app.another_node().await;
    let agreement = app.agreement("Havbris").await;
    app.enforce(&agreement).await;
    let ada = app.register("Ada").await;
    for _ in 0..20 {
        app.link(&agreement, &ada).await;
        other.decides(&ada, "enrol").await;
        other.unlink(&agreement, &ada).await;
        app.decides(&ada, "password_only").await;
    }
}

async fn s17_a_session_ended_on_one_node_is_over_on_the_other(app: TestApp) {
    let other = app.another_node().await;
    let ada = app.register("Ada").await;
    let session = app.sign_in(&ada).await;
    other.get(&ada.path(""), &session.token).await.expect(200);
    let path = ada.path(&format!("/sessions/{}", session.id));
    app.delete(&path, &session.token).await.expect(204);
    other.get(&ada.path(""), &session.token).await.refused(401, "unauthenticated");
}

async fn a_challenge_of_one_node_is_verified_on_the_other(app: TestApp) {
    let other = app.another_node().await;
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&two_factor.secret);
    let session = Session::of(&other.verify(&challenge, &code).await.expect(200));
    app.get(&ada.path(""), &session.token).await.expect(200);
}

async fn an_entry_written_on_one_node_is_read_on_the_other_after_its_write(app: TestApp) {
    let other = app.another_node().await;
    let body = json!({ "email": "ada@example.com", "display_name": "Ada" });
    let registered = other.post("/v1/users", &app.key, body).await.expect(201);
    let write = registered.header("countersign-write").replace('/', "%2F");
    let user = registered.string("id");
    let path = format!("/v1/audit/entries?user={user}&after_write={write}");
    let entries = app.get(&path, &app.key).await.expect(200).items();
    assert!(entries.iter().any(|entry| entry["type"] == types::USER_REGISTERED), "{entries:?}");
}

async fn both_nodes_are_ready(app: TestApp) {
    let other = app.another_node().await;
    for node in [&app, &other] {
        node.get("/readyz", countersign_tests::NOBODY).await.expect(200);
    }
}
