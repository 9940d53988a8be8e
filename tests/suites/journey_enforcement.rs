//! The second half of the guide: a superuser requires two-factor of everybody linked to the
//! agreements that they administer, changes their mind, and people get time to enrol.

use chrono::TimeDelta;
use countersign_tests::{
    Agreement, Answer, Person, Session, TestApp,
    answer::time,
    on_both_databases,
    people::{Enrolment, enrolment},
};
use serde_json::{Value, json};

on_both_databases![
    enforcement_reaches_people_linked_to_an_administered_agreement,
    enforcement_reaches_people_linked_directly,
    enforcement_answers_who_ticked_it_since_when_and_whom_it_reaches,
    the_preview_counts_each_person_once,
    two_factor_cannot_be_turned_off_while_an_agreement_requires_it,
    unticking_only_permits_turning_two_factor_off,
    before_the_deadline_a_sign_in_completes_and_reminds,
    after_the_deadline_a_sign_in_leads_to_enrolment,
    an_enrolment_token_leads_from_the_password_to_a_session,
    an_enrolment_token_does_nothing_but_enrol,
    an_enrolment_token_is_of_no_use_once_an_authenticator_is_confirmed,
    an_enrolment_token_lasts_ten_minutes,
    members_without_two_factor_are_listed,
];

/// An administrator agreement, an agreement that it administers, and somebody linked to that only.
async fn an_accountant_and_a_client(app: &TestApp) -> (Agreement, Agreement, Person) {
    let accountant = app.administrator("Nordlys Revision").await;
    let client = app.administered("Havbris ApS", &accountant).await;
    let ada = app.register("Ada").await;
    app.link(&client, &ada).await;
    (accountant, client, ada)
}

fn only(list: &Value) -> &Value {
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    &list[0]
}

async fn enforcement_reaches_people_linked_to_an_administered_agreement(app: TestApp) {
    let (accountant, client, ada) = an_accountant_and_a_client(&app).await;
    app.decides(&ada, "password_only").await;
    app.enforce(&accountant).await;
    let check = app.decides(&ada, "enrol").await;
    let required_by = only(&check["required_by"]);
    assert_eq!(required_by["agreement_id"], accountant.id);
    assert_eq!(required_by["name"], accountant.name);
    assert_eq!(required_by["via"], client.id, "the linked agreement through which it reaches her");
}

async fn enforcement_reaches_people_linked_directly(app: TestApp) {
    let agreement = app.agreement("Havbris ApS").await;
    let ada = app.register("Ada").await;
    app.link(&agreement, &ada).await;
    app.enforce(&agreement).await;
    let check = app.decides(&ada, "enrol").await;
    let required_by = only(&check["required_by"]);
    assert_eq!(required_by["agreement_id"], agreement.id);
    assert_eq!(required_by["via"], Value::Null);
}

async fn enforcement_answers_who_ticked_it_since_when_and_whom_it_reaches(app: TestApp) {
    let (accountant, _, _) = an_accountant_and_a_client(&app).await;
    let body = json!({ "enforced": true, "reason": "board decision 12" });
    let answer = app.put(&accountant.path("/enforcement"), &app.key, body).await.expect(200);
    assert_eq!(answer["enforced"], true);
    assert_eq!(answer.time("since"), app.now());
    assert!(!answer["by"].is_null());
    assert_eq!(answer["deadline"], Value::Null);
    assert_eq!(answer["reason"], "board decision 12");
    assert_eq!(answer["affected_users"], 1);
    assert_eq!(answer["without_two_factor"], 1);
    let read = app.get(&accountant.path(""), &app.key).await.expect(200);
    assert_eq!(read["enforcement"]["enforced"], true);
    assert_eq!(read["administers_count"], 1);
}

async fn the_preview_counts_each_person_once(app: TestApp) {
    let (accountant, client, ada) = an_accountant_and_a_client(&app).await;
    // Linked to both agreements, and protected already.
    let (grace, _) = app.register_with_two_factor("Grace").await;
    app.link(&accountant, &grace).await;
    app.link(&client, &grace).await;
    // Linked to neither.
    app.register("Eve").await;
    let preview = app.preview(&accountant).await;
    assert_eq!(preview["affected_users"], 2);
    assert_eq!(preview["without_two_factor"], 1);
    let mut users: Vec<String> = preview["users"]
        .as_array()
        .expect("users")
        .iter()
        .map(|user| countersign_tests::answer::string(&user["user_id"]))
        .collect();
    users.sort();
    let mut expected = vec![ada.id.clone(), grace.id.clone()];
    expected.sort();
    assert_eq!(users, expected);
    app.decides(&ada, "password_only").await;
}

async fn two_factor_cannot_be_turned_off_while_an_agreement_requires_it(app: TestApp) {
    let (accountant, _, ada) = an_accountant_and_a_client(&app).await;
    let two_factor = app.enrol_and_confirm(&ada).await;
    app.enforce(&accountant).await;
    let proof = app.proof(&ada, &two_factor);
    let refused =
        app.post(&ada.path("/two-factor/disable"), &app.key, proof).await.refused(409, "two-factor-required");
    // Both for a person (the detail) and for a program (a member of the problem).
    assert!(refused.string("detail").contains(&accountant.name), "{}", refused.text);
    assert_eq!(only(&refused["required_by"])["agreement_id"], accountant.id);
    assert_eq!(app.user(&ada).await["two_factor"]["enabled"], true);
}

async fn unticking_only_permits_turning_two_factor_off(app: TestApp) {
    let (accountant, _, ada) = an_accountant_and_a_client(&app).await;
    let two_factor = app.enrol_and_confirm(&ada).await;
    app.enforce(&accountant).await;
    app.stop_enforcing(&accountant).await;
    assert_eq!(app.user(&ada).await["two_factor"]["enabled"], true, "nothing is taken away");
    let proof = app.proof(&ada, &two_factor);
    app.post(&ada.path("/two-factor/disable"), &app.key, proof).await.expect(204);
    assert_eq!(app.user(&ada).await["two_factor"]["enabled"], false);
}

async fn before_the_deadline_a_sign_in_completes_and_reminds(app: TestApp) {
    let (accountant, _, ada) = an_accountant_and_a_client(&app).await;
    let deadline = app.now() + TimeDelta::days(7);
    app.enforce_by(&accountant, deadline).await;
    let check = app.decides(&ada, "enrol_by").await;
    assert_eq!(check.time("deadline"), deadline);
    let answer = app.log_in(&ada).await.expect(200);
    assert_eq!(answer["status"], "complete");
    assert_eq!(time(&answer["enrolment"]["deadline"]), deadline);
    assert_eq!(only(&answer["enrolment"]["required_by"])["agreement_id"], accountant.id);
    let token = countersign_tests::answer::string(&answer["enrolment"]["token"]);
    app.try_to_enrol(&ada, &token, json!({})).await.expect(201);
    let session = Session::of(&answer);
    app.get(&ada.path(""), &session.token).await.expect(200);
}

async fn after_the_deadline_a_sign_in_leads_to_enrolment(app: TestApp) {
    let (accountant, _, ada) = an_accountant_and_a_client(&app).await;
    let deadline = app.now() + TimeDelta::days(7);
    app.enforce_by(&accountant, deadline).await;
    // A period is half open: at the deadline itself the time is over.
    app.clock.set(deadline);
    app.decides(&ada, "enrol").await;
    let answer = app.log_in(&ada).await.expect(202);
    assert_eq!(answer["status"], "enrolment_required");
    assert_eq!(answer["user_id"], ada.id);
    assert_eq!(answer.time("deadline"), deadline);
    assert_eq!(only(&answer["required_by"])["agreement_id"], accountant.id);
    assert!(answer.string("enrolment_token").starts_with("cse_"));
    assert!(answer["session"].is_null());
}

/// Somebody who must enrol now, and the token that lets them.
async fn somebody_who_must_enrol(app: &TestApp) -> (Person, String) {
    let (accountant, _, ada) = an_accountant_and_a_client(app).await;
    app.enforce(&accountant).await;
    let token = app.log_in(&ada).await.expect(202).string("enrolment_token");
    (ada, token)
}

async fn confirm_with(app: &TestApp, person: &Person, enrolment: &Enrolment, token: &str) -> Answer {
    let code = app.code(&enrolment.secret);
    app.try_to_confirm(person, enrolment, token, &code).await
}

async fn an_enrolment_token_leads_from_the_password_to_a_session(app: TestApp) {
    let (ada, token) = somebody_who_must_enrol(&app).await;
    let enrolment = enrolment(&app.try_to_enrol(&ada, &token, json!({})).await.expect(201));
    let confirmed = confirm_with(&app, &ada, &enrolment, &token).await.expect(200);
    assert_eq!(confirmed["two_factor"]["enabled"], true);
    assert!(!confirmed.string("recovery_code").is_empty());
    let session = Session::of(&confirmed);
    assert_eq!(time(&confirmed["session"]["second_factor_at"]), app.now());
    app.get(&ada.path(""), &session.token).await.expect(200);
    app.decides(&ada, "challenge").await;
}

async fn an_enrolment_token_does_nothing_but_enrol(app: TestApp) {
    let (ada, token) = somebody_who_must_enrol(&app).await;
    let eve = app.register("Eve").await;
    let own_routes = ["", "/sessions"];
    for below in own_routes {
        let refused = app.get(&ada.path(below), &token).await.problem();
        assert!([401, 403].contains(&refused.status), "{} {}", refused.asked, refused.text);
    }
    let of_somebody_else = app.try_to_enrol(&eve, &token, json!({})).await.problem();
    assert!([403, 404].contains(&of_somebody_else.status), "{}", of_somebody_else.text);
}

async fn an_enrolment_token_is_of_no_use_once_an_authenticator_is_confirmed(app: TestApp) {
    let (ada, token) = somebody_who_must_enrol(&app).await;
    let enrolment = enrolment(&app.try_to_enrol(&ada, &token, json!({})).await.expect(201));
    confirm_with(&app, &ada, &enrolment, &token).await.expect(200);
    app.try_to_enrol(&ada, &token, json!({})).await.expect(410).problem();
}

async fn an_enrolment_token_lasts_ten_minutes(app: TestApp) {
    let (ada, token) = somebody_who_must_enrol(&app).await;
    app.advance_s(10 * 60 - 1);
    app.try_to_enrol(&ada, &token, json!({})).await.expect(201);
    app.advance_s(1);
    // Not told apart from a token that never was (401), or known to have ended (410).
    let refused = app.try_to_enrol(&ada, &token, json!({})).await.problem();
    assert!([401, 410].contains(&refused.status), "{}", refused.text);
}

async fn members_without_two_factor_are_listed(app: TestApp) {
    let agreement = app.agreement("Havbris ApS").await;
    let ada = app.register("Ada").await;
    let (grace, _) = app.register_with_two_factor("Grace").await;
    app.link(&agreement, &ada).await;
    app.link_as(&agreement, &grace, "superuser").await;
    app.enforce(&agreement).await;
    let everybody = app.get(&agreement.path("/users"), &app.key).await.expect(200);
    assert_eq!(everybody.items().len(), 2, "{}", everybody.text);
    let path = agreement.path("/users?without_two_factor=true");
    let without = app.get(&path, &app.key).await.expect(200);
    let items = without.items();
    assert_eq!(items.len(), 1, "{}", without.text);
    assert_eq!(items[0]["user_id"], ada.id);
    assert_eq!(items[0]["email"], ada.email);
    assert_eq!(items[0]["role"], "user");
    assert_eq!(items[0]["two_factor_enabled"], false);
    assert_eq!(items[0]["overdue"], true);
    assert_eq!(time(&items[0]["required_since"]), app.now());
}
