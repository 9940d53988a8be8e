//! The guide's journey: two-factor is turned on, then asked for.

use countersign_tests::{TestApp, browser::opening::Opening, in_a_browser};

use super::walk::{DANISH, ENGLISH, Words, signs_in, turns_on_two_factor, visiting};

in_a_browser![
    the_guide_is_followed_to_the_next_sign_in,
    the_guide_is_followed_in_danish,
    the_guide_is_followed_on_a_phone,
    the_guide_is_followed_on_the_narrowest_phone,
    the_guide_is_followed_at_double_size,
    the_guide_is_followed_in_the_dark,
    the_guide_is_followed_without_scripts,
    the_emergency_code_is_copied_and_saved_as_a_file,
    a_browser_does_not_go_on_before_the_code_is_stored,
];

async fn the_guide_is_followed_to_the_next_sign_in(app: TestApp) {
    let kari = app.register("Kari Nordmann").await;
    let browser = visiting(&app).open().await;
    browser.goto("/login").await;
    browser.heading("Sign in to Countersign").await;
    browser.has_no_violations("sign-in").await;
    browser.screenshot("sign-in").await;
    signs_in(&browser, &kari, &ENGLISH).await;
    let look = async |page: &str| {
        browser.has_no_violations(page).await;
        browser.screenshot(page).await;
    };
    let (secret, _) = turns_on_two_factor((&app, &browser), &kari, &ENGLISH, look).await;

    browser.follow("Go to your account").await;
    browser.sees("On since 15 January 2027").await;
    browser.sees("You have one, and you told us that you stored it.").await;
    look("account").await;
    browser.press("Sign out").await;
    browser.arrives_at("/login").await;

    browser.fill("E-mail address", &kari.email).await;
    browser.fill("Password", &kari.password).await;
    browser.press("Sign in").await;
    browser.heading("Enter the code from your app").await;
    look("sign-in-code").await;
    browser.fill_and_go("Six-digit code", &app.next_code(&secret)).await;
    browser.arrives_at("/account").await;
    browser.finish().await;
}

/// Follows the guide in a browser like this, and sees that every page fits its window.
async fn fits(app: &TestApp, opening: Opening, words: &Words) {
    let kari = app.register("Kari Nordmann").await;
    let browser = opening.open().await;
    signs_in(&browser, &kari, words).await;
    let look = async |page: &str| {
        browser.does_not_scroll_sideways().await;
        browser.has_no_violations(page).await;
    };
    turns_on_two_factor((app, &browser), &kari, words, look).await;
    browser.goto("/account").await;
    look("the account").await;
    browser.finish().await;
}

async fn the_guide_is_followed_in_danish(app: TestApp) {
    fits(&app, visiting(&app).in_danish(), &DANISH).await;
}

async fn the_guide_is_followed_on_a_phone(app: TestApp) {
    fits(&app, visiting(&app).on_a_phone(), &ENGLISH).await;
}

async fn the_guide_is_followed_on_the_narrowest_phone(app: TestApp) {
    fits(&app, visiting(&app).on_a_phone_of(320, 640).in_danish(), &DANISH).await;
}

async fn the_guide_is_followed_at_double_size(app: TestApp) {
    fits(&app, visiting(&app).zoomed(), &ENGLISH).await;
}

async fn the_guide_is_followed_in_the_dark(app: TestApp) {
    fits(&app, visiting(&app).dark(), &ENGLISH).await;
}

async fn the_guide_is_followed_without_scripts(app: TestApp) {
    let kari = app.register("Kari Nordmann").await;
    let browser = visiting(&app).without_scripts().open().await;
    signs_in(&browser, &kari, &ENGLISH).await;
    let (secret, _) = turns_on_two_factor((&app, &browser), &kari, &ENGLISH, async |_| {}).await;
    browser.follow("Go to your account").await;
    browser.press("Sign out").await;
    browser.fill("E-mail address", &kari.email).await;
    browser.fill("Password", &kari.password).await;
    browser.press("Sign in").await;
    browser.fill("Six-digit code", &app.next_code(&secret)).await;
    browser.press("Sign in").await;
    browser.arrives_at("/account").await;
    browser.finish().await;
}

async fn the_emergency_code_is_copied_and_saved_as_a_file(app: TestApp) {
    let kari = app.register("Kari Nordmann").await;
    let browser = visiting(&app).open().await;
    signs_in(&browser, &kari, &ENGLISH).await;
    let look = async |page: &str| {
        if page == "emergency-code" {
            browser.press_in_place("Copy code").await;
            assert_eq!(browser.status().await, "Copied");
            browser.follow_in_place("Save as a file").await;
        }
    };
    let (_, code) = turns_on_two_factor((&app, &browser), &kari, &ENGLISH, look).await;
    let file = browser.downloaded("emergency-code.txt").await;
    assert_eq!(file, format!("Emergency code for Countersign: {code}. It works once."));
    browser.finish().await;
}

async fn a_browser_does_not_go_on_before_the_code_is_stored(app: TestApp) {
    let kari = app.register("Kari Nordmann").await;
    let browser = visiting(&app).open().await;
    signs_in(&browser, &kari, &ENGLISH).await;
    let look = async |page: &str| {
        if page == "emergency-code" {
            browser.press_in_place("Continue").await;
            assert_eq!(browser.focused().await.1, "I have stored it");
        }
    };
    turns_on_two_factor((&app, &browser), &kari, &ENGLISH, look).await;
    browser.finish().await;
}
