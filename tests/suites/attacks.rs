//! Ways around two-factor, enforcement and the walls between tenants that somebody has tried.

use countersign_tests::{
    Person, Session, TestApp, on_both_databases,
    people::{enrolment, verify_path},
    trail::types,
};
use reqwest::Method;
use serde_json::json;

on_both_databases![
    s08_where_an_application_judges_passwords_enrolling_gives_no_session,
    the_token_that_enrolled_may_say_that_the_emergency_code_is_saved,
    s11_a_session_does_not_outlive_the_second_factor_that_it_passed,
    s09_a_session_is_not_fresh_for_a_factor_that_came_after_it,
    s05_an_ipv6_network_counts_as_one_address,
    s05_a_right_password_with_a_foreign_agreement_is_counted_too,
    s19_a_superuser_does_not_learn_where_else_a_member_signs_in,
    s19_what_another_agreement_requires_of_a_member_is_not_shown,
    s20_an_array_does_not_stand_for_an_object,
    s20_a_time_that_no_calendar_has_is_refused,
    nobody_is_left_administered_by_a_closed_agreement,
];

async fn required_of(app: &TestApp, name: &str) -> Person {
    let agreement = app.agreement("Havbris").await;
    let person = app.register(name).await;
    app.link(&agreement, &person).await;
    app.enforce(&agreement).await;
    person
}

async fn s08_where_an_application_judges_passwords_enrolling_gives_no_session(app: TestApp) {
    let ada = required_of(&app, "Ada").await;
    let demanded = app.post("/v1/challenges", &app.key, json!({ "user_id": ada.id })).await.expect(202);
    assert_eq!(demanded["status"], "enrolment_required");
    let token = demanded.string("enrolment_token");
    let enrolment = enrolment(&app.try_to_enrol(&ada, &token, json!({})).await.expect(201));
    let code = app.code(&enrolment.secret);
    let confirmed = app.try_to_confirm(&ada, &enrolment, &token, &code).await.expect(200);
    assert_eq!(confirmed["two_factor"]["enabled"], true);
    assert!(confirmed.body.get("session").is_none(), "{}", confirmed.text);
}

async fn the_token_that_enrolled_may_say_that_the_emergency_code_is_saved(app: TestApp) {
    let ada = required_of(&app, "Ada").await;
    let token = app.log_in(&ada).await.expect(202).string("enrolment_token");
    let saved = ada.path("/two-factor/recovery-code/saved");
    app.post(&saved, &token, json!({})).await.refused(409, "two-factor-not-enabled");
    let enrolment = enrolment(&app.try_to_enrol(&ada, &token, json!({})).await.expect(201));
    let code = app.code(&enrolment.secret);
    app.try_to_confirm(&ada, &enrolment, &token, &code).await.expect(200);
    app.post(&saved, &token, json!({})).await.expect(204);
    assert_eq!(app.user(&ada).await["two_factor"]["recovery_code_saved"], true);
    app.try_to_enrol(&ada, &token, json!({})).await.refused(410, "enrolment-expired");
}

async fn s11_a_session_does_not_outlive_the_second_factor_that_it_passed(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let (grace, _, session) = app.superuser(&agreement, "Grace").await;
    app.post(&grace.path("/two-factor/disable"), &session.token, json!({})).await.expect(204);
    app.get(&grace.path(""), &session.token).await.expect(200);
    app.enforce(&agreement).await;
    app.decides(&grace, "enrol").await;
    app.get(&grace.path(""), &session.token).await.refused(401, "unauthenticated");
    app.get(&agreement.path("/users"), &session.token).await.refused(401, "unauthenticated");
}

async fn s09_a_session_is_not_fresh_for_a_factor_that_came_after_it(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let session = app.sign_in_with(&ada, &two_factor).await;
    app.post(&ada.path("/two-factor/disable"), &session.token, json!({})).await.expect(204);
    app.advance_s(30);
    app.enrol_and_confirm(&ada).await;
    let new_code = ada.path("/two-factor/recovery-code");
    app.post(&new_code, &session.token, json!({})).await.refused(403, "step-up-required");
}

async fn s05_an_ipv6_network_counts_as_one_address(app: TestApp) {
    let ada = app.register("Ada").await;
    let guess = async |host: u32| {
        app.request(Method::POST, "/v1/logins")
            .token(&app.key)
            .from_address(&format!("2001:db8:1:2::{host:x}"))
            .json(&json!({ "email": ada.email, "password": "not her passphrase at all" }))
            .send()
            .await
    };
    for host in 1..=10 {
        guess(host).await.refused(401, "wrong-credentials");
    }
    guess(11).await.refused(429, "throttled");
}

async fn s05_a_right_password_with_a_foreign_agreement_is_counted_too(app: TestApp) {
    let ada = app.register("Ada").await;
    let foreign = app.agreement("Havbris").await;
    let body = json!({ "email": ada.email, "password": ada.password, "agreement_id": foreign.id });
    for _ in 0..10 {
        app.post("/v1/logins", &app.key, body.clone()).await.refused(404, "not-found");
    }
    app.post("/v1/logins", &app.key, body).await.refused(429, "throttled");
}

async fn s19_a_superuser_does_not_learn_where_else_a_member_signs_in(app: TestApp) {
    let (here, elsewhere) = (app.agreement("Havbris").await, app.agreement("Nordlys").await);
    let (_, _, superuser) = app.superuser(&here, "Grace").await;
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.link(&here, &ada).await;
    app.link(&elsewhere, &ada).await;
    for agreement in [&elsewhere, &here] {
        app.advance_s(30);
        let body = json!({ "email": ada.email, "password": ada.password, "agreement_id": agreement.id });
        let challenge = app.post("/v1/logins", &app.key, body).await.expect(202).string("challenge_id");
        let code = app.next_code(&two_factor.secret);
        app.post(&verify_path(&challenge), &app.key, json!({ "code": code })).await.expect(200);
    }
    let query = format!("user={}&type={}", ada.id, types::SECOND_FACTOR_PASSED);
    let seen = app.entries_as(&superuser.token, &query).await;
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(seen[0]["agreement_id"], here.id);
    assert!(seen[1]["agreement_id"].is_null(), "{seen:?}");
    let there = format!("{query}&agreement={}", elsewhere.id);
    assert!(app.entries_as(&superuser.token, &there).await.is_empty());
    let here = format!("{query}&agreement={}", here.id);
    assert_eq!(app.entries_as(&superuser.token, &here).await.len(), 1);
}

async fn s19_what_another_agreement_requires_of_a_member_is_not_shown(app: TestApp) {
    let (here, elsewhere) = (app.agreement("Havbris").await, app.agreement("Nordlys").await);
    let (_, _, superuser) = app.superuser(&here, "Grace").await;
    let ada = app.register("Ada").await;
    app.link(&here, &ada).await;
    app.link(&elsewhere, &ada).await;
    app.enforce(&elsewhere).await;
    let of_ada = async |session: &Session| {
        let members = app.get(&here.path("/users"), &session.token).await.expect(200).items();
        members.into_iter().find(|member| member["user_id"] == ada.id).expect("a member")
    };
    let seen = of_ada(&superuser).await;
    assert!(seen["required_since"].is_null() && seen["overdue"] == false, "{seen}");
    app.advance_s(1);
    app.enforce(&here).await;
    let seen = of_ada(&superuser).await;
    assert!(!seen["required_since"].is_null() && seen["overdue"] == true, "{seen}");
}

async fn s20_an_array_does_not_stand_for_an_object(app: TestApp) {
    let ada = app.register("Ada").await;
    let body = json!([ada.email, ada.password, null]);
    app.post("/v1/logins", &app.key, body).await.refused(422, "invalid-body");
}

async fn s20_a_time_that_no_calendar_has_is_refused(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    for deadline in
        ["+10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "tomorrow"]
    {
        let body = json!({ "enforced": true, "deadline": deadline });
        app.put(&agreement.path("/enforcement"), &app.key, body).await.refused(422, "invalid-body");
    }
    for from in ["-262143-01-01T00:00:00Z", "%2B10000-01-01T00:00:00Z"] {
        let path = format!("/v1/audit/entries?from={from}");
        app.get(&path, &app.key).await.refused(400, "malformed-request");
    }
}

async fn nobody_is_left_administered_by_a_closed_agreement(app: TestApp) {
    for round in 0..10 {
        let office = app.administrator(&format!("Office {round}")).await;
        let shop = app.agreement(&format!("Shop {round}")).await;
        let (close, administration) = (office.path("/close"), shop.path("/administration"));
        let (closed, named) = tokio::join!(
            app.post(&close, &app.key, json!({})),
            app.put(&administration, &app.key, json!({ "administered_by": office.id })),
        );
        assert!([204, 409].contains(&closed.status), "{}", closed.text);
        assert!([204, 409].contains(&named.status), "{}", named.text);
        let is_closed = app.get(&office.path(""), &app.key).await.expect(200)["closed"] == true;
        let administered_by = &app.get(&shop.path(""), &app.key).await.expect(200)["administered_by"].clone();
        assert!(!(is_closed && *administered_by == office.id), "round {round}");
    }
}
