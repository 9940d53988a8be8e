//! Pages are for everybody: with the keyboard alone, and in any window.

use countersign_tests::{TestApp, in_a_browser};

use super::walk::{ENGLISH, scans, visiting};

in_a_browser![
    the_keyboard_alone_turns_two_factor_on_and_signs_in,
    the_keyboard_skips_to_the_content,
    the_documentation_is_for_everybody,
    a_page_that_is_none_is_for_everybody,
];

async fn the_keyboard_alone_turns_two_factor_on_and_signs_in(app: TestApp) {
    let kari = app.register("Kari Nordmann").await;
    let browser = visiting(&app).open().await;
    browser.goto("/login").await;
    browser.tab_to("E-mail address").await;
    browser.types(&kari.email).await;
    browser.tab_to("Password").await;
    browser.types(&kari.password).await;
    browser.enter().await;
    browser.tab_to("Enable two-factor authentication").await;
    browser.enter().await;
    browser.tab_to("Password").await;
    browser.types(&kari.password).await;
    browser.tab_to("Continue").await;
    browser.enter().await;
    let secret = scans(&browser, &ENGLISH).await;
    browser.tab_to("Six-digit code").await;
    browser.types(&app.code(&secret)).await;
    browser.enter().await;
    browser.heading("Store your emergency code").await;
    browser.tab_to("I have stored it").await;
    browser.space().await;
    browser.tab_to("Continue").await;
    browser.enter().await;
    browser.heading("Two-factor is on").await;
    browser.tab_to("Go to your account").await;
    browser.enter().await;
    browser.tab_to("Sign out").await;
    browser.enter().await;

    browser.tab_to("E-mail address").await;
    browser.types(&kari.email).await;
    browser.tab_to("Password").await;
    browser.types(&kari.password).await;
    browser.enter().await;
    // The field for the code has the focus already.
    browser.heading("Enter the code from your app").await;
    assert_eq!(browser.focused().await.1, "Six-digit code");
    browser.types_and_goes(&app.next_code(&secret)).await;
    browser.arrives_at("/account").await;
    browser.finish().await;
}

async fn the_keyboard_skips_to_the_content(app: TestApp) {
    let browser = visiting(&app).open().await;
    browser.goto("/login").await;
    browser.tab_to("Skip to the content").await;
    browser.enter_in_place().await;
    browser.tab_to("E-mail address").await;
    browser.finish().await;
}

async fn the_documentation_is_for_everybody(app: TestApp) {
    for opening in [visiting(&app), visiting(&app).dark().on_a_phone_of(320, 640)] {
        let browser = opening.open().await;
        browser.goto("/docs").await;
        browser.heading("The REST API").await;
        browser.does_not_scroll_sideways().await;
        browser.has_no_violations("docs").await;
        browser.screenshot("docs").await;
        browser.finish().await;
    }
}

async fn a_page_that_is_none_is_for_everybody(app: TestApp) {
    let browser = visiting(&app).open().await;
    browser.expects_status(404);
    browser.goto("/nowhere").await;
    browser.heading("There is no such page").await;
    browser.has_no_violations("nowhere").await;
    browser.finish().await;
}
