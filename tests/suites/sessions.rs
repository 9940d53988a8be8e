//! Sessions: how long they last, and who ends them.

use chrono::TimeDelta;
use countersign_tests::{Person, Session, TestApp, answer::time, on_both_databases};
use serde_json::json;

on_both_databases![
    s17_a_session_token_has_its_prefix_and_256_bits,
    s17_a_session_ends_after_24_hours_of_use,
    s17_a_session_ends_after_an_hour_without_use,
    s17_using_a_session_is_no_event,
    s17_a_person_ends_a_session_of_their_own,
    s17_an_api_key_ends_a_session,
    s17_all_sessions_end_at_once,
    s17_sessions_are_listed_without_their_tokens,
    s17_a_session_is_not_ended_by_somebody_else,
    s11_a_session_without_a_second_factor_stops_once_it_is_required,
    s11_a_session_without_a_second_factor_works_until_the_deadline,
    s11_a_session_with_a_second_factor_goes_on,
    s11_stopping_appends_no_event_per_session,
    s11_turning_two_factor_off_is_refused_to_a_session_too,
    somebody_unlinked_keeps_their_session,
];

async fn works(app: &TestApp, person: &Person, session: &Session) {
    app.get(&person.path(""), &session.token).await.expect(200);
}

async fn is_over(app: &TestApp, person: &Person, session: &Session) {
    app.get(&person.path(""), &session.token).await.refused(401, "unauthenticated");
}

async fn s17_a_session_token_has_its_prefix_and_256_bits(app: TestApp) {
    let ada = app.register("Ada").await;
    let (first, second) = (app.sign_in(&ada).await, app.sign_in(&ada).await);
    let random = first.token.strip_prefix("css_").expect("css_…");
    // 256 bits are 43 letters of base64; any other alphabet needs more.
    assert!(random.len() >= 43, "{} letters", random.len());
    assert_ne!(first.token, second.token);
}

async fn s17_a_session_ends_after_24_hours_of_use(app: TestApp) {
    let ada = app.register("Ada").await;
    let answer = app.log_in(&ada).await.expect(200);
    let session = Session::of(&answer);
    let ends = app.now() + TimeDelta::hours(24);
    assert_eq!(time(&answer["session"]["expires_at"]), ends);
    while app.now() + TimeDelta::minutes(50) < ends {
        app.advance_min(50);
        works(&app, &ada, &session).await;
    }
    app.clock.set(ends - TimeDelta::seconds(1));
    works(&app, &ada, &session).await;
    app.clock.set(ends);
    is_over(&app, &ada, &session).await;
}

async fn s17_a_session_ends_after_an_hour_without_use(app: TestApp) {
    let ada = app.register("Ada").await;
    let session = app.sign_in(&ada).await;
    app.advance_min(59);
    works(&app, &ada, &session).await;
    app.advance_min(61);
    is_over(&app, &ada, &session).await;
}

async fn s17_using_a_session_is_no_event(app: TestApp) {
    let ada = app.register("Ada").await;
    let session = app.sign_in(&ada).await;
    let before = app.entries(&format!("user={}", ada.id)).await.len();
    for _ in 0..5 {
        app.advance_min(10);
        works(&app, &ada, &session).await;
    }
    assert_eq!(app.entries(&format!("user={}", ada.id)).await.len(), before);
}

async fn s17_a_person_ends_a_session_of_their_own(app: TestApp) {
    let ada = app.register("Ada").await;
    let (this, other) = (app.sign_in(&ada).await, app.sign_in(&ada).await);
    let path = ada.path(&format!("/sessions/{}", other.id));
    app.delete(&path, &this.token).await.expect(204);
    is_over(&app, &ada, &other).await;
    works(&app, &ada, &this).await;
}

async fn s17_an_api_key_ends_a_session(app: TestApp) {
    let ada = app.register("Ada").await;
    let session = app.sign_in(&ada).await;
    let key = app.key_with(&["users:write"]).await;
    app.delete(&ada.path(&format!("/sessions/{}", session.id)), &key).await.expect(204);
    is_over(&app, &ada, &session).await;
}

async fn s17_all_sessions_end_at_once(app: TestApp) {
    let ada = app.register("Ada").await;
    let (first, second) = (app.sign_in(&ada).await, app.sign_in(&ada).await);
    app.delete(&ada.path("/sessions"), &app.key).await.expect(204);
    is_over(&app, &ada, &first).await;
    is_over(&app, &ada, &second).await;
}

async fn s17_sessions_are_listed_without_their_tokens(app: TestApp) {
    let (ada, grace) = (app.register("Ada").await, app.register("Grace").await);
    let (first, second) = (app.sign_in(&ada).await, app.sign_in(&ada).await);
    app.sign_in(&grace).await;
    let listed = app.get(&ada.path("/sessions"), &first.token).await.expect(200);
    let mut ids: Vec<String> =
        listed.items().iter().map(|session| countersign_tests::answer::string(&session["id"])).collect();
    ids.sort();
    let mut expected = vec![first.id.clone(), second.id.clone()];
    expected.sort();
    assert_eq!(ids, expected);
    for session in [&first, &second] {
        assert!(!listed.text.contains(&session.token), "a token is shown once");
    }
}

async fn s17_a_session_is_not_ended_by_somebody_else(app: TestApp) {
    let (ada, eve) = (app.register("Ada").await, app.register("Eve").await);
    let (of_ada, of_eve) = (app.sign_in(&ada).await, app.sign_in(&eve).await);
    let path = ada.path(&format!("/sessions/{}", of_ada.id));
    app.delete(&path, &of_eve.token).await.refused(404, "not-found");
    let path = eve.path(&format!("/sessions/{}", of_ada.id));
    app.delete(&path, &of_eve.token).await.refused(404, "not-found");
    works(&app, &ada, &of_ada).await;
}

async fn s11_a_session_without_a_second_factor_stops_once_it_is_required(app: TestApp) {
    let ada = app.register("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    let session = app.sign_in(&ada).await;
    works(&app, &ada, &session).await;
    app.enforce(&agreement).await;
    is_over(&app, &ada, &session).await;
}

async fn s11_a_session_without_a_second_factor_works_until_the_deadline(app: TestApp) {
    let ada = app.register("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    let session = app.sign_in(&ada).await;
    let deadline = app.now() + TimeDelta::minutes(30);
    app.enforce_by(&agreement, deadline).await;
    app.clock.set(deadline - TimeDelta::seconds(1));
    works(&app, &ada, &session).await;
    app.clock.set(deadline);
    is_over(&app, &ada, &session).await;
}

async fn s11_a_session_with_a_second_factor_goes_on(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    let session = app.sign_in_with(&ada, &two_factor).await;
    app.enforce(&agreement).await;
    works(&app, &ada, &session).await;
}

async fn s11_stopping_appends_no_event_per_session(app: TestApp) {
    let ada = app.register("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    let session = app.sign_in(&ada).await;
    app.enforce(&agreement).await;
    let before = app.entries(&format!("user={}", ada.id)).await.len();
    for _ in 0..5 {
        is_over(&app, &ada, &session).await;
    }
    assert_eq!(app.entries(&format!("user={}", ada.id)).await.len(), before);
}

async fn s11_turning_two_factor_off_is_refused_to_a_session_too(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    app.enforce(&agreement).await;
    let session = app.sign_in_with(&ada, &two_factor).await;
    let body = json!({ "password": ada.password });
    app.post(&ada.path("/two-factor/disable"), &session.token, body)
        .await
        .refused(409, "two-factor-required");
}

async fn somebody_unlinked_keeps_their_session(app: TestApp) {
    let ada = app.register("Ada").await;
    let agreement = app.agreement("Havbris").await;
    app.link(&agreement, &ada).await;
    let session = app.sign_in(&ada).await;
    app.get(&agreement.path(""), &session.token).await.expect(200);
    app.unlink(&agreement, &ada).await;
    works(&app, &ada, &session).await;
    app.get(&agreement.path(""), &session.token).await.refused(404, "not-found");
}
