//! A machine's clock that is set back must not give anybody a second chance.

use countersign_tests::{TestApp, answer::time, on_both_databases};

on_both_databases![
    s01_a_code_of_an_older_step_stays_refused,
    s04_codes_stay_locked,
    recorded_times_never_decrease_within_a_stream,
    a_session_goes_on,
];

async fn s01_a_code_of_an_older_step_stays_refused(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.advance_min(10);
    app.sign_in_with(&ada, &two_factor).await;
    app.advance_min(-5);
    let challenge = app.challenge(&ada).await;
    let code = app.code(&two_factor.secret);
    app.verify(&challenge, &code).await.refused(401, "wrong-code");
}

async fn s04_codes_stay_locked(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.advance_min(10);
    app.lock_codes(&ada, &two_factor.secret).await;
    app.advance_min(-5);
    app.decides(&ada, "locked").await;
    let challenge = app.challenge(&ada).await;
    let code = app.next_code(&two_factor.secret);
    app.verify(&challenge, &code).await.refused(429, "locked");
}

async fn recorded_times_never_decrease_within_a_stream(app: TestApp) {
    let ada = app.register("Ada").await;
    app.advance_min(-60);
    app.sign_in(&ada).await;
    app.advance_min(30);
    app.sign_in(&ada).await;
    let entries = app.entries(&format!("user={}", ada.id)).await;
    assert!(entries.len() >= 3, "{entries:?}");
    // Newest first.
    let times = entries.iter().map(|entry| time(&entry["recorded_at"]));
    assert!(times.rev().is_sorted(), "{entries:?}");
}

async fn a_session_goes_on(app: TestApp) {
    let ada = app.register("Ada").await;
    let session = app.sign_in(&ada).await;
    app.advance_min(-60);
    app.get(&ada.path(""), &session.token).await.expect(200);
}
