//! What auditors have in a browser beside the trail.

use countersign_tests::{Person, TestApp, Visitor, on_both_databases};
use reqwest::Method;

use crate::pages_account::{signed_in, signed_in_with};

on_both_databases![
    only_auditors_have_the_pages_of_auditors,
    s25_an_auditor_takes_the_trail_away_and_that_is_recorded,
    an_auditor_reads_a_report_that_prints,
    an_auditor_sees_how_somebody_stood_on_a_day,
    an_auditor_sees_how_an_agreement_stood_on_a_day,
    an_auditor_looks_back_by_address_and_by_number,
    an_auditor_narrows_a_report_before_it_is_made,
    an_export_has_the_period_that_is_shown,
    nobody_is_shown_the_way_to_what_they_may_not_see,
    what_one_reads_oneself_is_nothing_newer,
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

async fn an_auditor_looks_back_by_address_and_by_number(app: TestApp) {
    let bakery = app.agreement("Bageren").await;
    let (kari, _, _) = app.superuser(&bakery, "Kari").await;
    app.wait_for_the_trail().await;
    let (_, mut visitor) = auditor(&app).await;
    visitor.open(&format!("/audit/look-back?user={}", kari.email)).await;
    assert_eq!(visitor.page.one("#was"), "Kari");
    assert!(visitor.page.text().contains("Bageren (superuser)"), "{}", visitor.page.text());
    visitor.open(&format!("/audit/look-back?agreement={}", bakery.number)).await;
    assert_eq!(visitor.page.one("#was"), "Bageren");
    assert!(
        visitor.page.text().contains("Worked out from what had been recorded"),
        "{}",
        visitor.page.text()
    );
    for (asked, field) in
        [("user=abc", "user"), ("user=nobody@example.com", "user"), ("agreement=abc", "agreement")]
    {
        visitor.open(&format!("/audit/look-back?{asked}")).await;
        assert_eq!(visitor.page.status, 422, "{asked}");
        assert!(visitor.page.fault(field).contains("Type "), "what is accepted: {}", visitor.page.text());
    }
    visitor.open(&format!("/audit/look-back?user={}&agreement={}", kari.email, bakery.number)).await;
    assert_eq!(visitor.page.status, 422);
    assert!(visitor.page.fault("agreement").contains("not both"));
    "da".clone_into(&mut visitor.languages);
    visitor.open(&format!("/audit/look-back?user={}", kari.email)).await;
    assert!(visitor.page.text().contains("Bageren (superbruger)"), "{}", visitor.page.text());
}

async fn an_auditor_narrows_a_report_before_it_is_made(app: TestApp) {
    let bakery = app.agreement("Bageren").await;
    app.enforce(&bakery).await;
    let today = app.now().date_naive();
    app.wait_for_the_trail().await;
    let (_, mut visitor) = auditor(&app).await;
    visitor.open("/audit/evidence").await;
    visitor.follow("Who had to have two-factor, and who had it").await;
    assert!(visitor.page.has("#on[type=date]") && visitor.page.has("#agreement"), "{}", visitor.page.html);
    assert!(!visitor.page.has("#from"), "it is about a day");
    let report = "/audit/evidence/enforcement-on-date";
    for narrowed in [format!("?on={today}&agreement={}", bakery.number), "?on=&agreement=".to_owned()] {
        visitor.open(&format!("{report}{narrowed}")).await;
        assert_eq!(visitor.page.status, 200, "{narrowed}: {}", visitor.page.text());
        assert!(visitor.page.html.contains("Evidence report"), "{narrowed}");
    }
    visitor.open(&format!("/audit/evidence/disabled?from={today}&to={today}")).await;
    assert_eq!(visitor.page.status, 200, "{}", visitor.page.text());
    for (asked, field) in [
        ("enforcement-on-date?on=2999-01-01", "on"),
        ("enforcement-on-date?agreement=no-such-number", "agreement"),
        ("disabled?from=2027-03-02&to=2027-03-01", "to"),
    ] {
        visitor.open(&format!("/audit/evidence/{asked}")).await;
        assert_eq!(visitor.page.status, 422, "{asked}");
        assert!(!visitor.page.fault(field).is_empty(), "{asked}");
        assert!(visitor.page.has("form[method=get] button"), "to be asked again: {asked}");
    }
    visitor.open("/audit/evidence?report=nonsense").await;
    assert_eq!(visitor.page.status, 404);
}

async fn an_export_has_the_period_that_is_shown(app: TestApp) {
    let (_, mut visitor) = auditor(&app).await;
    app.wait_for_the_trail().await;
    let today = app.now().date_naive();
    let tomorrow = today.succ_opt().expect("a day after");
    visitor.open(&format!("/audit?from={today}&to={today}&type=TwoFactorEnabled")).await;
    assert!(
        visitor.page.text().contains("A file holds every entry of the period"),
        "{}",
        visitor.page.text()
    );
    visitor.follow("Save as CSV").await;
    let address = format!("/audit/export?format=csv&from={today}T00%3A00%3A00Z&to={tomorrow}T00%3A00%3A00Z");
    assert_eq!((visitor.page.status, visitor.page.address.as_str()), (200, address.as_str()));
    visitor.open(&format!("/audit?to={}", today.pred_opt().expect("a day before"))).await;
    assert!(!visitor.page.text().contains("A file holds"), "it has all that is shown");
    visitor.follow("Save as CSV").await;
    assert!(!visitor.page.html.contains("TwoFactorEnabled"), "from before: {}", visitor.page.html);
}

async fn nobody_is_shown_the_way_to_what_they_may_not_see(app: TestApp) {
    let bakery = app.agreement("Bageren").await;
    let (ada, two_factor, _) = app.superuser(&bakery, "Ada").await;
    let mut superuser = signed_in_with(&app, &ada, &two_factor).await;
    let (oscar, two_factor) = app.register_with_two_factor("Oscar").await;
    app.grant(&oscar, "operator").await;
    let mut operator = signed_in_with(&app, &oscar, &two_factor).await;
    let (_, mut auditor) = auditor(&app).await;
    let page = format!("/agreements/{}", bakery.id);
    let trail = format!("{page}/audit");
    let (to_trail, to_agreement) = ("Audit trail of this agreement", "Back to the agreement");
    assert!(superuser.open(&page).await.text().contains(to_trail));
    assert!(superuser.open(&trail).await.text().contains(to_agreement));
    operator.open(&page).await;
    assert_eq!(operator.page.status, 200);
    assert!(!operator.page.text().contains(to_trail), "{}", operator.page.text());
    auditor.open(&trail).await;
    assert_eq!(auditor.page.status, 200);
    assert!(!auditor.page.text().contains(to_agreement), "{}", auditor.page.text());
}

async fn what_one_reads_oneself_is_nothing_newer(app: TestApp) {
    let (_, mut visitor) = auditor(&app).await;
    app.wait_for_the_trail().await;
    visitor.open("/audit").await;
    assert!(visitor.page.has("[data-stopped-looking][hidden]"), "said once nothing is looked for any more");
    let (_, newest) = visitor.page.html.split_once("data-newer-than=\"").expect("the newest position");
    let newest = newest.split('"').next().expect("a position").to_owned();
    visitor.open("/audit?type=UserLinked").await;
    app.wait_for_the_trail().await;
    visitor.open("/audit").await;
    assert!(visitor.page.text().contains("Audit trail read by Audrey"), "{}", visitor.page.text());
    let cookie = format!("__Host-session={}", visitor.cookies["__Host-session"]);
    let newer = || {
        let request = app.request(Method::GET, "/audit").header("cookie", &cookie);
        request.header("countersign-newer-than", &newest).send()
    };
    newer().await.expect(204);
    app.register("Kari").await;
    app.wait_for_the_trail().await;
    newer().await.expect(200);
}
