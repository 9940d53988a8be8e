//! The guide's second half: a superuser requires two-factor of everybody, and looks at what happened.

use countersign_tests::{Agreement, Browser, Person, TestApp, browser::opening::Opening, in_a_browser};

use super::walk::{ENGLISH, gives_password, visiting};

in_a_browser![
    two_factor_is_enforced_and_unticked,
    a_day_that_has_passed_is_told_beside_the_field,
    the_pages_of_a_superuser_fit_a_phone,
    the_pages_of_a_superuser_are_for_everybody_in_the_dark,
    the_pages_of_an_auditor_are_for_everybody_and_fit_a_phone,
    two_factor_is_turned_off,
];

/// An administrator agreement with its superuser, who is signed in and on the page of it.
async fn administers(app: &TestApp, opening: Opening) -> (Browser, Agreement, Person) {
    let office = app.administrator("Nordlys Regnskab").await;
    let customer = app.administered("Bageren ApS", &office).await;
    let (kari, two_factor) = app.register_with_two_factor("Kari Nordmann").await;
    app.link_as(&office, &kari, "superuser").await;
    for name in ["Ola Hansen", "Mette Holm"] {
        app.link(&customer, &app.register(name).await).await;
    }
    let browser = opening.open().await;
    gives_password(&browser, &kari, &ENGLISH).await;
    browser.fill_and_go("Six-digit code", &app.next_code(&two_factor.secret)).await;
    browser.arrives_at("/account").await;
    browser.goto(&format!("/agreements/{}", office.id)).await;
    browser.heading("Nordlys Regnskab").await;
    (browser, office, kari)
}

async fn two_factor_is_enforced_and_unticked(app: TestApp) {
    let (browser, office, _) = administers(&app, visiting(&app)).await;
    let look = async |page: &str| {
        browser.has_no_violations(page).await;
        browser.screenshot(page).await;
    };
    browser.sees("Not enforced by this agreement").await;
    // As the guide says: "Basic information" under "Administrator", then "Edit" under "Company", and the tick.
    browser.sees("Administrator").await;
    browser.follow("Basic information").await;
    browser.heading("Company").await;
    browser.press_in_place("Edit").await;
    browser.tick("Enforce two-factor authentication").await;
    browser.press("Continue").await;
    browser.heading("Enforce two-factor for Nordlys Regnskab").await;
    browser.sees("3 people in 2 agreements; 2 of them have no two-factor yet.").await;
    browser.sees("Mette Holm").await;
    look("enforcement").await;
    browser.fill_date("Last day to set it up", "2027-03-01").await;
    browser.press("Enforce two-factor").await;
    browser.arrives_at(&format!("/agreements/{}", office.id)).await;
    browser.sees("Enforced for all users linked to this agreement").await;
    browser.press_in_place("Edit").await;
    assert!(browser.is_ticked("Enforce two-factor authentication").await);
    look("agreement").await;

    browser.tick("Enforce two-factor authentication").await;
    browser.press("Continue").await;
    browser.sees("This only permits people to turn two-factor off. It turns off nothing.").await;
    look("enforcement-stop").await;
    browser.press("Stop enforcing").await;
    browser.sees("Not enforced by this agreement").await;

    browser.follow("Audit trail of this agreement").await;
    browser.heading("Audit trail of Nordlys Regnskab").await;
    look("audit").await;
    browser.finish().await;
}

async fn a_day_that_has_passed_is_told_beside_the_field(app: TestApp) {
    let (browser, _, _) = administers(&app, visiting(&app)).await;
    browser.press_in_place("Edit").await;
    browser.tick("Enforce two-factor authentication").await;
    browser.press("Continue").await;
    browser.fill_date("Last day to set it up", "2027-01-01").await;
    browser.expects_status(422);
    browser.press("Enforce two-factor").await;
    assert!(browser.alert().await.contains("Choose a day after today."));
    assert_eq!(browser.value_of("Last day to set it up").await, "2027-01-01");
    browser.has_no_violations("a day that has passed").await;
    browser.finish().await;
}

/// Walks every page that a superuser has.
async fn walks(app: &TestApp, opening: Opening) {
    let (browser, office, _) = administers(app, opening).await;
    let page = format!("/agreements/{}", office.id);
    let paths = [page.clone(), format!("{page}/enforcement?enforced=yes"), format!("{page}/audit")];
    for path in paths.into_iter().chain(["/audit".to_owned()]) {
        browser.goto(&path).await;
        browser.does_not_scroll_sideways().await;
        browser.has_no_violations(&path).await;
    }
    browser.finish().await;
}

async fn the_pages_of_a_superuser_fit_a_phone(app: TestApp) {
    walks(&app, visiting(&app).on_a_phone_of(320, 640)).await;
}

async fn the_pages_of_a_superuser_are_for_everybody_in_the_dark(app: TestApp) {
    walks(&app, visiting(&app).dark().on_a_phone()).await;
}

async fn the_pages_of_an_auditor_are_for_everybody_and_fit_a_phone(app: TestApp) {
    let (browser, office, kari) = administers(&app, visiting(&app).on_a_phone_of(320, 640)).await;
    app.grant(&kari, "auditor").await;
    app.wait_for_the_trail().await;
    let entry = app.entries("type=AgreementOpened").await[0]["position"].clone();
    let pages = [
        "/audit".to_owned(),
        "/audit/evidence".to_owned(),
        "/audit/evidence?report=enforcement-on-date".to_owned(),
        "/audit/look-back".to_owned(),
        format!("/audit/look-back?user={}", kari.id),
        format!("/audit/look-back?agreement={}", office.id),
        format!("/audit/entries/{entry}"),
        "/audit/evidence/integrity".to_owned(),
    ];
    for page in pages {
        browser.goto(&page).await;
        browser.does_not_scroll_sideways().await;
        browser.has_no_violations(&page).await;
    }
    browser.finish().await;
}

async fn two_factor_is_turned_off(app: TestApp) {
    let (browser, _, _) = administers(&app, visiting(&app)).await;
    browser.goto("/account").await;
    browser.follow("Turn off two-factor").await;
    browser.heading("Turn off two-factor?").await;
    browser.has_no_violations("turning two-factor off").await;
    browser.press("Turn off two-factor").await;
    browser.arrives_at("/account").await;
    browser.sees("Off").await;
    browser.finish().await;
}
