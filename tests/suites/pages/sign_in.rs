//! Signing in with a second factor, and being asked for one.

use chrono::TimeDelta;
use countersign_tests::{Browser, TestApp, in_a_browser};

use super::walk::{ENGLISH, emergency_code, gives_password, scans, visiting};

in_a_browser![
    a_wrong_password_is_told_at_the_top_and_beside_the_field,
    a_wrong_code_is_told_and_the_next_one_signs_in,
    the_emergency_code_signs_in_and_is_replaced,
    what_is_required_is_set_up_at_sign_in,
    what_is_not_due_can_wait,
    somebody_chooses_their_language,
];

async fn looks_at(browser: &Browser, page: &str) {
    browser.has_no_violations(page).await;
    browser.screenshot(page).await;
}

async fn a_wrong_password_is_told_at_the_top_and_beside_the_field(app: TestApp) {
    let kari = app.register("Kari Nordmann").await;
    let browser = visiting(&app).open().await;
    browser.goto("/login").await;
    browser.fill("E-mail address", &kari.email).await;
    browser.fill("Password", "not the one that it is").await;
    browser.expects_status(401);
    browser.press("Sign in").await;
    let told = "The e-mail address or the password is not right. Check both and try again.";
    let alert = browser.alert().await;
    assert!(alert.contains(told), "{alert}");
    assert_eq!(browser.value_of("E-mail address").await, kari.email);
    assert_eq!(browser.value_of("Password").await, "");
    looks_at(&browser, "sign-in-wrong-password").await;
    browser.follow_in_place(told).await;
    assert_eq!(browser.focused().await.1, "Password");
    browser.finish().await;
}

async fn a_wrong_code_is_told_and_the_next_one_signs_in(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari Nordmann").await;
    let browser = visiting(&app).open().await;
    gives_password(&browser, &kari, &ENGLISH).await;
    browser.expects_status(401);
    browser.fill_and_go("Six-digit code", &app.wrong_code(&two_factor.secret)).await;
    let alert = browser.alert().await;
    assert!(alert.contains("That code is not right."), "{alert}");
    looks_at(&browser, "sign-in-wrong-code").await;
    browser.fill_and_go("Six-digit code", &app.next_code(&two_factor.secret)).await;
    browser.arrives_at("/account").await;
    browser.finish().await;
}

async fn the_emergency_code_signs_in_and_is_replaced(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari Nordmann").await;
    let browser = visiting(&app).open().await;
    gives_password(&browser, &kari, &ENGLISH).await;
    browser.sees_no_link("Use your emergency code").await;
    browser.press_in_place("Try another way").await;
    browser.follow("Use your emergency code").await;
    looks_at(&browser, "sign-in-emergency-code").await;
    browser.fill("Emergency code", &two_factor.recovery_code).await;
    browser.press("Sign in").await;
    browser.heading("Store your new emergency code").await;
    assert_ne!(emergency_code(&browser).await, two_factor.recovery_code);
    looks_at(&browser, "emergency-code-replaced").await;
    browser.tick("I have stored it").await;
    browser.press("No, I still have it").await;
    browser.arrives_at("/account").await;
    browser.finish().await;
}

async fn what_is_required_is_set_up_at_sign_in(app: TestApp) {
    let kari = app.register("Kari Nordmann").await;
    let office = app.administrator("Nordlys Regnskab").await;
    let customer = app.administered("Bageren ApS", &office).await;
    app.link(&customer, &kari).await;
    app.enforce(&office).await;
    let browser = visiting(&app).open().await;
    gives_password(&browser, &kari, &ENGLISH).await;
    browser.heading("Set up two-factor to go on").await;
    browser.sees("Nordlys Regnskab requires two-factor for every agreement that it administers.").await;
    browser.sees_no_button("Remind me later").await;
    looks_at(&browser, "two-factor-required").await;
    browser.press("Set up two-factor").await;
    let secret = scans(&browser, &ENGLISH).await;
    browser.fill("Six-digit code", &app.code(&secret)).await;
    browser.press("Continue").await;
    browser.heading("Store your emergency code").await;
    browser.tick("I have stored it").await;
    browser.press("Continue").await;
    browser.heading("Two-factor is on").await;
    browser.follow("Go to your account").await;
    browser.sees("You cannot turn it off while it is required of you.").await;
    browser.sees_no_link("Turn off two-factor").await;
    looks_at(&browser, "account-required").await;
    browser.finish().await;
}

async fn what_is_not_due_can_wait(app: TestApp) {
    let kari = app.register("Kari Nordmann").await;
    let bakery = app.agreement("Bageren ApS").await;
    app.link(&bakery, &kari).await;
    app.enforce_by(&bakery, app.now() + TimeDelta::days(14)).await;
    let browser = visiting(&app).open().await;
    gives_password(&browser, &kari, &ENGLISH).await;
    browser.sees("You can leave it until 29 January 2027.").await;
    looks_at(&browser, "two-factor-required-later").await;
    browser.press("Remind me later").await;
    browser.arrives_at("/account").await;
    browser.finish().await;
}

async fn somebody_chooses_their_language(app: TestApp) {
    let kari = app.register("Kari Nordmann").await;
    let browser = visiting(&app).open().await;
    browser.goto("/login").await;
    browser.follow("Dansk").await;
    browser.heading("Log ind på Countersign").await;
    looks_at(&browser, "sign-in-danish").await;
    browser.fill("E-mailadresse", &kari.email).await;
    browser.fill("Adgangskode", &kari.password).await;
    browser.press("Log ind").await;
    browser.heading("Din konto").await;
    browser.follow("English").await;
    browser.heading("Your account").await;
    browser.finish().await;
}
