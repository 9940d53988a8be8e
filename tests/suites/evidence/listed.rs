//! Reports that list entries of the trail: by whom, why, and from which entry.

use countersign_tests::{TestApp, on_both_databases};
use serde_json::{Value, json};

use super::{at, disable, events, evidence, linked, row_of, rows};

on_both_databases![
    who_removed_a_second_factor_is_told_with_entry_person_and_actor,
    an_agreement_narrows_to_people_who_were_linked_then,
    changes_of_what_is_required_are_told_in_order,
    emergency_codes_are_told_from_issue_to_use,
    lockouts_are_told,
    what_those_who_administer_did_is_told,
    readings_and_exports_of_the_trail_are_told,
];

async fn who_removed_a_second_factor_is_told_with_entry_person_and_actor(app: TestApp) {
    let from = app.now();
    let ada = disable(&app, "Ada").await;
    app.advance_s(60);
    let middle = app.now();
    let (grace, two_factor) = app.register_with_two_factor("Grace").await;
    let another = app.enrol_another(&grace, &two_factor, json!({ "replace": true })).await;
    app.confirm(&grace, &another).await;
    app.advance_s(60);

    let report = evidence(&app, "disabled", "").await;
    let row = row_of(&app, &report, "TwoFactorDisabled").await;
    assert_eq!(row["person"], json!({ "id": ada.id, "name": "Ada" }));
    assert_eq!((&row["actor"]["kind"], &row["actor"]["name"]), (&json!("api_key"), &json!("suites")));
    assert_eq!(report["summary"], "2 people had a second factor removed or reset since the ledger began.");
    assert_eq!(report["holds"], Value::Null);
    let replaced = row_of(&app, &report, "AuthenticatorRemoved").await;
    assert_eq!(replaced["person"]["name"], "Grace");

    // A period is half open.
    let period = format!("from={}&to={}", at(from), at(middle));
    let report = evidence(&app, "disabled", &period).await;
    assert!(rows(&report).iter().all(|row| row["person"]["id"] == ada.id), "{report}");
    let report = evidence(&app, "disabled", &format!("from={}", at(middle))).await;
    assert!(rows(&report).iter().all(|row| row["person"]["id"] == grace.id), "{report}");
    let report = evidence(&app, "disabled", &format!("from={0}&to={0}", at(app.now()))).await;
    assert_eq!(rows(&report), Vec::<Value>::new());
    assert!(report["summary"].as_str().expect("a sentence").starts_with("Nobody had"), "{report}");
}

async fn an_agreement_narrows_to_people_who_were_linked_then(app: TestApp) {
    let shop = app.agreement("Havbris").await;
    disable(&app, "Nobody").await;
    let (ada, first) = app.register_with_two_factor("Ada").await;
    let turn_off = async |proof: Value| {
        app.post(&ada.path("/two-factor/disable"), &app.key, proof).await.expect(204);
    };
    turn_off(app.proof(&ada, &first)).await;
    app.link(&shop, &ada).await;
    let second = app.enrol_and_confirm(&ada).await;
    turn_off(app.proof(&ada, &second)).await;
    app.unlink(&shop, &ada).await;
    let third = app.enrol_and_confirm(&ada).await;
    turn_off(app.proof(&ada, &third)).await;

    let all = evidence(&app, "disabled", "").await;
    let narrowed = evidence(&app, "disabled", &format!("agreement={}", shop.id)).await;
    let positions = |report: &Value| -> Vec<u64> {
        let disabled = rows(report).into_iter().filter(|row| row["event"] == "TwoFactorDisabled");
        disabled.map(|row| row["position"].as_u64().expect("a position")).collect()
    };
    assert_eq!(positions(&all).len(), 4, "{all}");
    assert_eq!(positions(&narrowed), [positions(&all)[2]]);
}

async fn changes_of_what_is_required_are_told_in_order(app: TestApp) {
    let office = app.administrator("Nordlys").await;
    let shop = app.administered("Havbris", &office).await;
    let body = json!({ "enforced": true, "deadline": "2099-01-01T00:00:00Z", "reason": "client data" });
    app.put(&shop.path("/enforcement"), &app.key, body).await.expect(200);
    app.stop_enforcing(&shop).await;
    app.administer(&shop, None).await;
    app.post(&shop.path("/close"), &app.key, json!({})).await.expect(204);

    let report = evidence(&app, "policy-history", &format!("agreement={}", shop.id)).await;
    assert_eq!(
        events(&report),
        [
            "AgreementOpened",
            "AdministrationChanged",
            "EnforcementToggled",
            "EnforcementToggled",
            "AdministrationChanged",
            "AgreementClosed"
        ]
    );
    let row = row_of(&app, &report, "EnforcementToggled").await;
    assert_eq!(row["agreement"], json!({ "id": shop.id, "name": "Havbris" }));
    assert_eq!((&row["reason"], &row["actor"]["name"]), (&json!("client data"), &json!("suites")));
    assert_eq!(row["deadline"], "2099-01-01T00:00:00Z");
    let row = row_of(&app, &report, "AdministrationChanged").await;
    assert_eq!(row["administered_by"], json!({ "id": office.id, "name": "Nordlys" }));
    assert_eq!(rows(&evidence(&app, "policy-history", "").await).len(), 7);
}

async fn emergency_codes_are_told_from_issue_to_use(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.post(&ada.path("/two-factor/recovery-code/saved"), &app.key, json!({})).await.expect(204);
    let challenge = app.challenge(&ada).await;
    app.verify_recovery_code(&challenge, &two_factor.recovery_code).await.expect(200);
    let report = evidence(&app, "recovery-codes", "").await;
    assert_eq!(
        events(&report),
        ["RecoveryCodeIssued", "RecoveryCodeSaved", "RecoveryCodeUsed", "RecoveryCodeIssued"]
    );
    let row = row_of(&app, &report, "RecoveryCodeUsed").await;
    assert_eq!(row["person"]["id"], ada.id);
}

async fn lockouts_are_told(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.lock_codes(&ada, &two_factor.secret).await;
    let report = evidence(&app, "lockouts", "").await;
    let row = row_of(&app, &report, "SecondFactorLocked").await;
    assert_eq!(row["person"], json!({ "id": ada.id, "name": "Ada" }));
    assert_eq!(report["summary"], "1 person was locked out of a second factor since the ledger began.");
}

async fn what_those_who_administer_did_is_told(app: TestApp) {
    let office = app.administrator("Nordlys").await;
    let (_, _, grace) = app.superuser(&office, "Grace").await;
    app.put(&office.path("/enforcement"), &grace.token, json!({ "enforced": true, "reason": "client data" }))
        .await
        .expect(200);
    let ada = linked(&app, &office, "Ada").await;
    app.put(&office.link_path(&ada), &app.key, json!({ "role": "superuser" })).await.expect(204);
    app.post("/v1/webhooks", &app.key, json!({ "url": "https://siem.example/in" })).await.expect(201);

    let report = evidence(&app, "admin-actions", "").await;
    let row = row_of(&app, &report, "EnforcementToggled").await;
    assert_eq!((&row["actor"]["kind"], &row["actor"]["name"]), (&json!("user"), &json!("Grace")));
    let row = row_of(&app, &report, "UserRoleChanged").await;
    assert_eq!((&row["person"]["id"], &row["agreement"]["id"]), (&json!(ada.id), &json!(office.id)));
    let row = row_of(&app, &report, "ApiKeyIssued").await;
    assert_eq!(row["actor"], json!({ "kind": "operator" }));
    let row = row_of(&app, &report, "WebhookRegistered").await;
    assert!(row["summary"].as_str().expect("a sentence").contains("https://siem.example/in"), "{row}");
    let of_agreement = evidence(&app, "admin-actions", &format!("agreement={}", office.id)).await;
    assert!(!events(&of_agreement).contains(&"ApiKeyIssued".to_owned()));
    assert!(events(&of_agreement).contains(&"UserRoleChanged".to_owned()));
}

async fn readings_and_exports_of_the_trail_are_told(app: TestApp) {
    let ada = app.register("Ada").await;
    app.entries(&format!("user={}", ada.id)).await;
    app.get("/v1/audit/export?format=csv", &app.key).await.expect(200);
    let report = evidence(&app, "audit-reads", "").await;
    let exported = row_of(&app, &report, "AuditExported").await;
    assert_eq!((&exported["asked"]["format"], &exported["actor"]["name"]), (&json!("csv"), &json!("suites")));
    let asked = rows(&report).into_iter().map(|row| row["asked"]["filter"].clone());
    let asked: Vec<Value> = asked.collect();
    assert!(asked.contains(&json!({ "route": "entries", "user": ada.id })), "{asked:?}");
    // The question itself came before it was answered.
    assert_eq!(asked.last().expect("a row"), &json!({ "route": "evidence", "types": ["audit-reads"] }));
}
