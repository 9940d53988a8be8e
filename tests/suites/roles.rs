//! Auditors and operators: what a person with a role does in a session of their own.

use countersign_tests::{
    Person, Session, TestApp, TwoFactor, on_both_databases, people::merge, trail::types,
};
use serde_json::{Value, json};

on_both_databases![
    s26_only_the_command_line_grants_a_role,
    s26_an_operator_does_not_become_superuser_by_their_own_doing,
    s25_an_auditor_reads_the_whole_trail_and_that_is_recorded,
    s25_what_an_auditor_takes_away_is_recorded,
    s09_an_operator_registers_and_links_with_a_fresh_second_factor,
    s09_the_proof_of_an_operator_is_their_own,
    s09_a_superuser_who_is_an_operator_acts_as_operator,
    s09_ones_own_account_is_changed_as_everybody_changes_theirs,
    s14_where_an_operator_acted_from_is_in_no_others_stream,
    a_role_is_in_the_view_of_a_person_and_in_the_trail,
    whoever_has_both_roles_may_what_either_stands_for,
    an_erased_person_has_no_role,
];

/// Somebody with a role, signed in with a second factor a moment ago.
async fn with_role(app: &TestApp, name: &str, role: &str) -> (Person, TwoFactor, Session) {
    let (person, two_factor) = app.register_with_two_factor(name).await;
    app.grant(&person, role).await;
    let session = app.sign_in_with(&person, &two_factor).await;
    (person, two_factor, session)
}

fn new_user(name: &str) -> Value {
    json!({ "email": format!("{name}@example.com"), "display_name": name })
}

async fn roles_of(app: &TestApp, person: &Person) -> Value {
    app.user(person).await["roles"].clone()
}

async fn s26_only_the_command_line_grants_a_role(app: TestApp) {
    let (oscar, _, session) = with_role(&app, "Oscar", "operator").await;
    let agreement = app.agreement("Havbris").await;
    for token in [&session.token, &app.key] {
        for (role, path) in [("auditor", oscar.path("/roles")), ("auditor", oscar.path("/roles/auditor"))] {
            for answer in [
                app.put(&path, token, json!({ "role": role })).await,
                app.post(&path, token, json!({ "role": role })).await,
            ] {
                assert!([404, 405].contains(&answer.status), "{path}: {}", answer.text);
            }
        }
        let mut body = new_user("Eve");
        merge(&mut body, json!({ "roles": ["auditor"] }));
        assert_eq!(app.post("/v1/users", token, body).await.problem().status / 100, 4);
        for role in ["auditor", "operator"] {
            let linked = app.put(&agreement.link_path(&oscar), token, json!({ "role": role })).await;
            assert_eq!(linked.problem().status / 100, 4);
        }
    }
    assert_eq!(roles_of(&app, &oscar).await, json!(["operator"]));
}

async fn s26_an_operator_does_not_become_superuser_by_their_own_doing(app: TestApp) {
    let (oscar, _, session) = with_role(&app, "Oscar", "operator").await;
    let agreement = app.agreement("Havbris").await;
    let link = agreement.link_path(&oscar);
    app.put(&link, &session.token, json!({ "role": "superuser" })).await.refused(403, "forbidden");
    app.put(&link, &session.token, json!({ "role": "user" })).await.expect(204);
    app.put(&link, &session.token, json!({ "role": "superuser" })).await.refused(403, "forbidden");
}

async fn s25_an_auditor_reads_the_whole_trail_and_that_is_recorded(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let (ada, two_factor, _) = app.superuser(&agreement, "Ada").await;
    app.sign_in_with(&ada, &two_factor).await;
    let (audrey, _, session) = with_role(&app, "Audrey", "auditor").await;

    let asked = format!("user={}", ada.id);
    let (as_auditor, as_key) = (app.entries_as(&session.token, &asked).await, app.entries(&asked).await);
    assert_eq!(as_auditor, as_key, "everything that an application sees, addresses too");
    assert!(as_auditor.iter().any(|entry| entry["address"].is_string()), "{as_auditor:?}");

    let reads = app.entries(&format!("type={}&actor={}", types::AUDIT_READ, audrey.id)).await;
    let of_ada = reads.iter().filter(|read| read["data"]["filter"]["user"] == ada.id);
    assert_eq!(of_ada.count(), 1, "{reads:?}");
    // As of a moment, and what was required of whom, are questions like any other.
    app.get(&format!("/v1/compliance/users/{}", ada.id), &session.token).await.expect(200);
    let coverage = format!("/v1/compliance/agreements/{}/coverage", agreement.id);
    app.get(&coverage, &session.token).await.expect(200);
    let reads = app.entries(&format!("type={}&actor={}", types::AUDIT_READ, audrey.id)).await;
    let ways: Vec<&str> = reads.iter().filter_map(|read| read["data"]["filter"]["route"].as_str()).collect();
    assert!(ways.contains(&"as_of") && ways.contains(&"coverage"), "{ways:?}");
}

async fn s25_what_an_auditor_takes_away_is_recorded(app: TestApp) {
    let ada = app.register("Ada").await;
    let (audrey, _, session) = with_role(&app, "Audrey", "auditor").await;
    app.wait_for_the_trail().await;
    let export = app.get("/v1/audit/export?format=ndjson", &session.token).await.expect(200);
    assert!(export.text.contains(&ada.id), "{}", export.text);
    let exports = app.entries(&format!("type=AuditExported&actor={}", audrey.id)).await;
    assert_eq!(exports.len(), 1);
    assert_eq!(exports[0]["actor"]["name"], "Audrey");
}

async fn s09_an_operator_registers_and_links_with_a_fresh_second_factor(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let (oscar, two_factor, session) = with_role(&app, "Oscar", "operator").await;
    app.advance_s(9 * 60);
    let id = app.post("/v1/users", &session.token, new_user("New")).await.expect(201).string("id");
    let link = agreement.path(&format!("/users/{id}"));
    app.put(&link, &session.token, json!({ "role": "superuser" })).await.expect(204);
    let members = app.get(&agreement.path("/users"), &session.token).await.expect(200).items();
    assert_eq!((members.len(), &members[0]["user_id"]), (1, &json!(id)));

    app.advance_min(2);
    for answer in [
        app.post("/v1/users", &session.token, new_user("Newer")).await,
        app.put(&link, &session.token, json!({ "role": "user" })).await,
        app.delete(&link, &session.token).await,
    ] {
        answer.refused(403, "step-up-required");
    }
    app.get(&agreement.path("/users"), &session.token).await.expect(200);
    let anew = app.sign_in_with(&oscar, &two_factor).await;
    app.post("/v1/users", &anew.token, new_user("Newer")).await.expect(201);
    let registered = app.entries(&format!("type={}&actor={}", types::USER_REGISTERED, oscar.id)).await;
    assert_eq!(registered.len(), 2, "{registered:?}");
}

/// Whatever an operator knows of somebody, it opens nothing that is for that person to prove.
async fn s09_the_proof_of_an_operator_is_their_own(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let (ada, of_ada, _) = app.superuser(&agreement, "Ada").await;
    let (oscar, of_oscar, session) = with_role(&app, "Oscar", "operator").await;
    for (person, two_factor) in [(&oscar, &of_oscar), (&ada, &of_ada)] {
        let proof = app.proof(person, two_factor);
        app.post(&ada.path("/two-factor/disable"), &session.token, proof).await.refused(404, "not-found");
    }
    app.try_to_enrol(&ada, &session.token, app.proof(&ada, &of_ada)).await.refused(404, "not-found");

    app.advance_min(10);
    let enforcement = agreement.path("/enforcement");
    let ticked = |proof| {
        let mut body = json!({ "enforced": true });
        merge(&mut body, proof);
        body
    };
    app.put(&enforcement, &session.token, ticked(json!({}))).await.refused(403, "step-up-required");
    let of_another = ticked(app.proof(&ada, &of_ada));
    app.put(&enforcement, &session.token, of_another).await.refused(401, "wrong-credentials");
    let own = ticked(app.proof(&oscar, &of_oscar));
    app.put(&enforcement, &session.token, own).await.expect(200);
    // It was judged, and spent, in the operator's own stream.
    let passed = app.entries(&format!("type={}&actor={}", types::SECOND_FACTOR_PASSED, oscar.id)).await;
    assert!(!passed.is_empty() && passed.iter().all(|entry| entry["user_id"] == oscar.id), "{passed:?}");
}

async fn s09_a_superuser_who_is_an_operator_acts_as_operator(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let (oscar, _, session) = app.superuser(&agreement, "Oscar").await;
    let grace = app.register("Grace").await;
    let link = agreement.link_path(&grace);
    let as_user = || json!({ "role": "user" });
    app.put(&link, &session.token, as_user()).await.refused(404, "not-found");
    app.grant(&oscar, "operator").await;
    app.put(&link, &session.token, as_user()).await.expect(204);
    app.advance_min(10);
    app.delete(&link, &session.token).await.refused(403, "step-up-required");
    app.revoke(&oscar, "operator").await;
    app.delete(&link, &session.token).await.expect(204);
}

async fn s09_ones_own_account_is_changed_as_everybody_changes_theirs(app: TestApp) {
    let (oscar, two_factor, session) = with_role(&app, "Oscar", "operator").await;
    app.advance_min(10);
    let other = app.sign_in_with(&oscar, &two_factor).await;
    app.advance_min(10);
    let path = oscar.path(&format!("/sessions/{}", other.id));
    app.delete(&path, &session.token).await.expect(204);
    let proof = app.proof(&oscar, &two_factor);
    app.post(&oscar.path("/two-factor/disable"), &session.token, proof).await.expect(204);
}

/// The new person's entries are theirs to read, and outlive whoever is erased beside them.
async fn s14_where_an_operator_acted_from_is_in_no_others_stream(app: TestApp) {
    let (oscar, _, session) = with_role(&app, "Oscar", "operator").await;
    let id = app.post("/v1/users", &session.token, new_user("New")).await.expect(201).string("id");
    let agreement = app.agreement("Havbris").await;
    let link = agreement.path(&format!("/users/{id}"));
    app.put(&link, &session.token, json!({ "role": "user" })).await.expect(204);
    let by_oscar = app.entries(&format!("user={id}&actor={}", oscar.id)).await;
    let said: Vec<(&str, bool)> = by_oscar
        .iter()
        .map(|entry| (entry["type"].as_str().unwrap_or_default(), entry["address"].is_string()))
        .collect();
    assert_eq!(said, [("UserLinked", true), ("UserRegistered", false)]);
    assert!(by_oscar.iter().all(|entry| entry["actor"]["name"] == "Oscar"), "{by_oscar:?}");
}

async fn a_role_is_in_the_view_of_a_person_and_in_the_trail(app: TestApp) {
    let (oscar, _, session) = with_role(&app, "Oscar", "operator").await;
    app.grant(&oscar, "operator").await;
    assert_eq!(app.get(&oscar.path(""), &session.token).await.expect(200)["roles"], json!(["operator"]));
    app.grant(&oscar, "auditor").await;
    assert_eq!(roles_of(&app, &oscar).await, json!(["auditor", "operator"]));
    app.revoke(&oscar, "operator").await;
    app.revoke(&oscar, "operator").await;
    assert_eq!(roles_of(&app, &oscar).await, json!(["auditor"]));

    let query = format!("user={}&type={}&type={}", oscar.id, types::ROLE_GRANTED, types::ROLE_REVOKED);
    let entries = app.entries(&query).await;
    let told: Vec<&str> = entries.iter().filter_map(|entry| entry["summary"].as_str()).collect();
    assert_eq!(
        told,
        [
            "Role operator of Oscar revoked by an operator",
            "Role auditor granted to Oscar by an operator",
            "Role operator granted to Oscar by an operator",
        ]
    );
    let report = app.get("/v1/compliance/evidence/admin-actions?format=json", &app.key).await.expect(200);
    for summary in told {
        assert!(report.text.contains(summary), "{}", report.text);
    }
}

async fn whoever_has_both_roles_may_what_either_stands_for(app: TestApp) {
    let (oscar, _, session) = with_role(&app, "Oscar", "operator").await;
    app.get("/v1/audit/export?format=csv", &session.token).await.refused(403, "forbidden");
    let seen = app.entries_as(&session.token, "").await;
    assert!(seen.iter().all(|entry| entry["user_id"] == oscar.id || entry["actor"]["id"] == oscar.id));
    app.grant(&oscar, "auditor").await;
    app.get("/v1/audit/export?format=csv", &session.token).await.expect(200);
    app.post("/v1/users", &session.token, new_user("New")).await.expect(201);
    // No role stands for webhooks.
    app.get("/v1/webhooks", &session.token).await.refused(403, "forbidden");
}

async fn an_erased_person_has_no_role(app: TestApp) {
    let (audrey, _, session) = with_role(&app, "Audrey", "auditor").await;
    app.get("/v1/audit/export?format=csv", &session.token).await.expect(200);
    assert!(app.try_to_erase(&audrey).await);
    app.get("/v1/audit/export?format=csv", &session.token).await.refused(401, "unauthenticated");
}
