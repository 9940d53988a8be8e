//! What auditors have in a browser beside the trail.

use countersign_tests::{Person, TestApp, Visitor, on_both_databases};

use crate::pages_account::{signed_in, signed_in_with};

on_both_databases![
    only_auditors_have_the_pages_of_auditors,
    s25_an_auditor_takes_the_trail_away_and_that_is_recorded,
    an_auditor_reads_a_report_that_prints,
    an_auditor_sees_how_somebody_stood_on_a_day,
    an_auditor_sees_how_an_agreement_stood_on_a_day,
];

const PAGES: [&str; 4] =
    ["/audit/export?format=csv", "/audit/evidence", "/audit/evidence/integrity", "/audit/look-back"];

/// Somebody who may read everything, signed in with a second factor.
async fn auditor(app: &TestApp) -> (Person, Visitor) {
    let (audrey, two_factor) = app.register_with_two_factor("Audrey").await;
    app.grant(&audrey, "auditor").await;
    let visitor = signed_in_with(app, &audrey, &two_factor).await;
    (audrey, visitor)
}

async fn only_auditors_have_the_pages_of_auditors(app: TestApp) {
    let agreement = app.agreement("Havbris").await;
    let (ada, two_factor, _) = app.superuser(&agreement, "Ada").await;
    let oscar = app.register("Oscar").await;
    app.grant(&oscar, "auditor").await;
    // A role counts only with a second factor.
    let without = signed_in(&app, &oscar).await;
    let superuser = signed_in_with(&app, &ada, &two_factor).await;
    for mut visitor in [without, superuser] {
        for page in PAGES {
            visitor.open(page).await;
            assert_eq!(
                (visitor.page.status, visitor.page.one("h1").as_str()),
                (403, "This is not yours to do")
            );
        }
        visitor.open("/audit").await;
        assert_eq!(visitor.page.status, 200);
        assert!(!visitor.page.text().contains("Evidence reports"), "no way leads there either");
    }
    let (_, mut visitor) = auditor(&app).await;
    for page in PAGES {
        assert_eq!(visitor.open(page).await.status, 200, "{page}");
    }
}

async fn s25_an_auditor_takes_the_trail_away_and_that_is_recorded(app: TestApp) {
    let (audrey, mut visitor) = auditor(&app).await;
    app.wait_for_the_trail().await;
    visitor.open("/audit").await;
    visitor.follow("Save as CSV").await;
    assert!(visitor.page.headers.contains("attachment; filename=\"audit-trail.csv\""));
    assert!(visitor.page.html.contains("TwoFactorEnabled"), "{}", visitor.page.html);
    app.wait_for_the_trail().await;
    let recorded = app.entries(&format!("type=AuditExported&actor={}", audrey.id)).await;
    assert_eq!(recorded.len(), 1);
}

async fn an_auditor_reads_a_report_that_prints(app: TestApp) {
    let (_, mut visitor) = auditor(&app).await;
    app.wait_for_the_trail().await;
    visitor.open("/audit").await;
    visitor.follow("Evidence reports").await;
    visitor.open("/audit/evidence/integrity").await;
    assert!(visitor.page.html.contains("Evidence report"), "{}", visitor.page.html);
    assert!(visitor.page.headers.contains("style-src 'sha256-"), "{}", visitor.page.headers);
    visitor.open("/audit/evidence/nonsense").await;
    assert_eq!((visitor.page.status, visitor.page.one("h1").as_str()), (404, "There is no such page"));
}

async fn an_auditor_sees_how_somebody_stood_on_a_day(app: TestApp) {
    let kari = app.register("Kari").await;
    let registered_on = app.now().date_naive();
    app.advance_min(48 * 60);
    app.enrol_and_confirm(&kari).await;
    app.wait_for_the_trail().await;
    let (_, mut visitor) = auditor(&app).await;
    visitor.open(&format!("/audit/look-back?user={}&on={registered_on}", kari.id)).await;
    assert_eq!(visitor.page.one("#was"), "Kari");
    assert!(visitor.page.text().contains("Two-factor authentication Off"), "{}", visitor.page.text());
    visitor.open(&format!("/audit/look-back?user={}", kari.id)).await;
    assert!(visitor.page.text().contains("Two-factor authentication On since"), "{}", visitor.page.text());
    let before = registered_on.pred_opt().expect("a day before");
    visitor.open(&format!("/audit/look-back?user={}&on={before}", kari.id)).await;
    assert_eq!(visitor.page.status, 404);
    assert!(visitor.page.fault("user").contains("nobody and nothing"));
    for day in ["2999-01-01", "yesterday"] {
        visitor.open(&format!("/audit/look-back?user={}&on={day}", kari.id)).await;
        assert_eq!(visitor.page.status, 422, "{day}");
        assert!(visitor.page.fault("on").contains("a day that has come"), "{day}");
    }
}

async fn an_auditor_sees_how_an_agreement_stood_on_a_day(app: TestApp) {
    let office = app.administrator("Nordlys Regnskab").await;
    let bakery = app.administered("Bageren", &office).await;
    let opened_on = app.now().date_naive();
    app.advance_min(48 * 60);
    app.enforce(&office).await;
    app.wait_for_the_trail().await;
    let (_, mut visitor) = auditor(&app).await;
    let id = bakery.path("").rsplit('/').next().unwrap_or_default().to_owned();
    visitor.open(&format!("/audit/look-back?agreement={id}&on={opened_on}")).await;
    assert!(
        visitor.page.text().contains("Two-factor required by Nordlys Regnskab Off"),
        "{}",
        visitor.page.text()
    );
    visitor.open(&format!("/audit/look-back?agreement={id}")).await;
    assert!(visitor.page.text().contains("Two-factor required by Nordlys Regnskab On since"));
}
