//! Who sees which entries of the audit trail.

use countersign_tests::{
    Agreement, Person, Session, TestApp, TwoFactor, Visitor, on_both_databases, trail::types,
};
use serde_json::{Value, json};

on_both_databases![
    a_person_sees_their_own_entries,
    a_person_does_not_see_the_entries_of_others,
    a_plain_member_does_not_see_the_entries_of_other_members,
    an_entry_of_somebody_else_is_not_found,
    a_superuser_sees_the_factor_events_of_members,
    a_superuser_does_not_see_the_address_and_the_program_of_members,
    a_superuser_does_not_see_what_was_before_the_link,
    a_superuser_does_not_see_people_of_other_agreements,
    a_superuser_sees_the_agreements_own_entries,
    a_superuser_of_the_administrator_sees_members_of_administered_agreements,
    a_superuser_of_a_closed_agreement_sees_its_history_and_none_of_its_members,
    a_member_of_a_closed_agreement_is_seen_through_an_open_one,
    an_api_key_without_the_scope_sees_nothing,
];

async fn member(app: &TestApp, agreement: &Agreement, name: &str) -> (Person, TwoFactor, Session) {
    let (person, two_factor) = app.register_with_two_factor(name).await;
    app.link(agreement, &person).await;
    let session = app.sign_in_with(&person, &two_factor).await;
    (person, two_factor, session)
}

/// What somebody gets who asks for another person's entries: nothing, or no.
async fn sees_of(app: &TestApp, token: &str, person: &Person) -> Vec<Value> {
    app.wait_for_the_trail().await;
    let path = format!("/v1/audit/entries?limit=500&user={}", person.id);
    let answer = app.get(&path, token).await;
    if answer.status == 200 {
        return answer.items();
    }
    let refused = answer.problem();
    assert!([403, 404].contains(&refused.status), "{}", refused.text);
    Vec::new()
}

async fn a_person_sees_their_own_entries(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.register("Grace").await;
    let session = app.sign_in_with(&ada, &two_factor).await;
    let seen = app.entries_as(&session.token, "").await;
    let of_ada = |event_type: &str| seen.iter().any(|entry| entry["type"] == event_type);
    assert!(of_ada(types::TWO_FACTOR_ENABLED) && of_ada(types::SECOND_FACTOR_PASSED), "{seen:?}");
    assert!(seen.iter().all(|entry| entry["user_id"] == ada.id), "{seen:?}");
}

async fn a_person_does_not_see_the_entries_of_others(app: TestApp) {
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let eve = app.register("Eve").await;
    let session = app.sign_in(&eve).await;
    assert_eq!(sees_of(&app, &session.token, &ada).await, Vec::<Value>::new());
    let seen = app.entries_as(&session.token, &format!("actor={}", ada.id)).await;
    assert_eq!(seen, Vec::<Value>::new());
}

async fn a_plain_member_does_not_see_the_entries_of_other_members(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let (ada, ..) = member(&app, &agreement, "Ada").await;
    let (eve, _, session) = member(&app, &agreement, "Eve").await;
    assert_eq!(sees_of(&app, &session.token, &ada).await, Vec::<Value>::new());
    let path = format!("/v1/audit/entries?agreement={}", agreement.id);
    let answer = app.get(&path, &session.token).await;
    if answer.status == 200 {
        let items = answer.items();
        assert!(items.iter().all(|entry| entry["user_id"] == eve.id), "{items:?}");
    } else {
        assert!([403, 404].contains(&answer.problem().status));
    }
}

async fn an_entry_of_somebody_else_is_not_found(app: TestApp) {
    let ada = app.register("Ada").await;
    let eve = app.register("Eve").await;
    let session = app.sign_in(&eve).await;
    let entries = app.entries(&format!("user={}", ada.id)).await;
    let position = entries[0]["position"].to_string().replace('"', "");
    let path = format!("/v1/audit/entries/{position}");
    app.get(&path, &session.token).await.refused(404, "not-found");
}

async fn a_superuser_sees_the_factor_events_of_members(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let (_, _, superuser) = app.superuser(&agreement, "Grace").await;
    let (ada, two_factor, _) = member(&app, &agreement, "Ada").await;
    let proof = app.proof(&ada, &two_factor);
    app.post(&ada.path("/two-factor/disable"), &app.key, proof).await.expect(204);
    let seen = sees_of(&app, &superuser.token, &ada).await;
    assert!(seen.iter().any(|entry| entry["type"] == types::TWO_FACTOR_DISABLED), "{seen:?}");
}

async fn a_superuser_does_not_see_the_address_and_the_program_of_members(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let (_, _, superuser) = app.superuser(&agreement, "Grace").await;
    let (ada, ..) = member(&app, &agreement, "Ada").await;
    let seen = sees_of(&app, &superuser.token, &ada).await;
    assert!(!seen.is_empty());
    for entry in &seen {
        assert_eq!(entry["address"], Value::Null, "{entry}");
        assert_eq!(entry["user_agent"], Value::Null, "{entry}");
        assert!(!entry.to_string().contains("127.0.0.1"), "{entry}");
    }
}

async fn a_superuser_does_not_see_what_was_before_the_link(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let (_, _, superuser) = app.superuser(&agreement, "Grace").await;
    let (ada, _) = app.register_with_two_factor("Ada").await;
    app.advance_s(1);
    app.link(&agreement, &ada).await;
    let seen = sees_of(&app, &superuser.token, &ada).await;
    assert!(seen.iter().all(|entry| entry["type"] != types::TWO_FACTOR_ENABLED), "{seen:?}");
}

async fn a_superuser_does_not_see_people_of_other_agreements(app: TestApp) {
    let (own, other) = (app.agreement("Own").await, app.agreement("Other").await);
    let (_, _, superuser) = app.superuser(&own, "Grace").await;
    let (ada, ..) = member(&app, &other, "Ada").await;
    assert_eq!(sees_of(&app, &superuser.token, &ada).await, Vec::<Value>::new());
}

async fn a_superuser_sees_the_agreements_own_entries(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let (_, _, superuser) = app.superuser(&agreement, "Grace").await;
    app.enforce(&agreement).await;
    let seen = app.entries_as(&superuser.token, &format!("agreement={}", agreement.id)).await;
    assert!(seen.iter().any(|entry| entry["type"] == types::ENFORCEMENT_CHANGED), "{seen:?}");
}

async fn a_superuser_of_the_administrator_sees_members_of_administered_agreements(app: TestApp) {
    let accountant = app.administrator("Nordlys").await;
    let client = app.administered("Havbris", &accountant).await;
    let (_, _, superuser) = app.superuser(&accountant, "Grace").await;
    let (ada, two_factor, _) = member(&app, &client, "Ada").await;
    let proof = app.proof(&ada, &two_factor);
    app.post(&ada.path("/two-factor/disable"), &app.key, proof).await.expect(204);
    let seen = sees_of(&app, &superuser.token, &ada).await;
    assert!(seen.iter().any(|entry| entry["type"] == types::TWO_FACTOR_DISABLED), "{seen:?}");
}

struct ClosedAgreement {
    agreement: Agreement,
    edith: Person,
    /// Edith's session as its superuser, and one of a superuser of its administrator.
    superusers: [Session; 2],
    /// A member who turned two-factor off after it was closed.
    ada: Person,
}

async fn a_closed_agreement(app: &TestApp) -> ClosedAgreement {
    let accountant = app.administrator("Nordlys").await;
    let client = app.administered("Havbris", &accountant).await;
    let (_, _, above) = app.superuser(&accountant, "Grace").await;
    let (edith, _, own) = app.superuser(&client, "Edith").await;
    let (ada, two_factor, _) = member(app, &client, "Ada").await;
    for session in [&own, &above] {
        let seen = sees_of(app, &session.token, &ada).await;
        assert!(seen.iter().any(|entry| entry["type"] == types::SECOND_FACTOR_PASSED), "{seen:?}");
    }
    app.post(&client.path("/close"), &app.key, json!({})).await.expect(204);
    let proof = app.proof(&ada, &two_factor);
    app.post(&ada.path("/two-factor/disable"), &app.key, proof).await.expect(204);
    ClosedAgreement { agreement: client, edith, superusers: [own, above], ada }
}

async fn a_superuser_of_a_closed_agreement_sees_its_history_and_none_of_its_members(app: TestApp) {
    let ClosedAgreement { agreement, superusers, ada, .. } = a_closed_agreement(&app).await;
    for session in superusers {
        let seen = sees_of(&app, &session.token, &ada).await;
        assert!(seen.iter().all(|entry| entry["type"] == "UserLinked"), "{seen:?}");
        let listed = app.get(&agreement.path("/users"), &session.token).await.expect(200);
        assert_eq!(listed.items(), Vec::<Value>::new());
        let history = app.entries_as(&session.token, &format!("agreement={}", agreement.id)).await;
        assert!(history.iter().any(|entry| entry["type"] == "AgreementClosed"), "{history:?}");
        // Nor is it told who has this address.
        let mut visitor = Visitor::of(&app);
        visitor.cookies.insert("__Host-session".to_owned(), session.token);
        assert_eq!(visitor.open(&format!("/audit?user={}", ada.email)).await.status, 422);
        assert_eq!(visitor.open(&format!("/agreements/{}", agreement.id)).await.status, 200);
    }
    assert_eq!(app.get(&agreement.path("/users"), &app.key).await.expect(200).items().len(), 2);
}

async fn a_member_of_a_closed_agreement_is_seen_through_an_open_one(app: TestApp) {
    let ClosedAgreement { edith, superusers: [own, _], ada, .. } = a_closed_agreement(&app).await;
    let open = app.agreement("Fjeld").await;
    app.link_as(&open, &edith, "superuser").await;
    app.advance_s(1);
    app.link(&open, &ada).await;
    app.enrol_and_confirm(&ada).await;
    let found = sees_of(&app, &own.token, &ada).await;
    let sees = |event_type: &str| found.iter().any(|entry| entry["type"] == event_type);
    assert!(sees(types::TWO_FACTOR_ENABLED), "since it is open: {found:?}");
    assert!(!sees(types::TWO_FACTOR_DISABLED), "while it was closed: {found:?}");
}

async fn an_api_key_without_the_scope_sees_nothing(app: TestApp) {
    let ada = app.register("Ada").await;
    let key = app.key_with(&["users:read", "users:write", "agreements:read", "login"]).await;
    let path = format!("/v1/audit/entries?user={}", ada.id);
    app.get(&path, &key).await.refused(403, "forbidden");
    app.post("/v1/login-checks", &key, json!({ "user_id": ada.id })).await.expect(200);
}
