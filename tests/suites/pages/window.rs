//! The browser of these tests is as a test wants it, and finds what a person finds.

use super::{notices::run, served::Served};

const FORM: &str = "<h1>Sign in</h1><p id=said></p>\
    <form action=/next><label for=email>E-mail</label><input id=email name=email value=old>\
    <label><input type=checkbox name=stored> I have stored it</label>\
    <label for=kind>Kind</label><select id=kind name=kind><option>One<option>Two</select>\
    <label for=day>Day</label><input id=day name=day type=date>\
    <button>Continue</button></form>\
    <button hidden>Unseen</button><button type=button id=copy>Copy code</button>\
    <p role=status id=status></p><a href=/next>Help</a> <a href=/file>Download</a>\
    <script>copy.onclick = () => { status_ = document.getElementById('status'); \
    status_.textContent = 'Copied' }</script>";

#[test]
fn forms_are_filled_in_by_what_they_say() {
    run(async {
        let page = Served::body(FORM).await;
        let browser = page.visited().await;
        browser.heading("Sign in").await;
        assert_eq!(browser.value_of("E-mail").await, "old");
        browser.fill("E-mail", "ada@example.com").await;
        browser.tick("I have stored it").await;
        assert!(browser.is_ticked("I have stored it").await);
        browser.choose("Kind", "Two").await;
        browser.fill_date("Day", "2027-03-01").await;
        browser.sees_no_button("Unseen").await;
        browser.press_in_place("Copy code").await;
        assert_eq!(browser.status().await, "Copied");
        browser.press("Continue").await;
        browser.arrives_at("/next").await;
        browser.sees("Next").await;
        let path = browser.path().await;
        assert_eq!(path, "/next?email=ada%40example.com&stored=on&kind=Two&day=2027-03-01");
        browser.back().await;
        browser.follow("Help").await;
        browser.arrives_at("/next").await;
        browser.sees_nothing_of("Sign in").await;
        browser.finish().await;
    });
}

#[test]
fn the_keyboard_alone_is_enough() {
    run(async {
        let page = Served::body(FORM).await;
        let browser = page.visited().await;
        browser.tab_to("I have stored it").await;
        browser.space().await;
        assert!(browser.is_ticked("I have stored it").await);
        browser.tab_to("Continue").await;
        assert_eq!(browser.focused().await, ("button".to_owned(), "Continue".to_owned()));
        browser.enter().await;
        browser.arrives_at("/next").await;
        browser.finish().await;
    });
}

#[test]
fn files_are_downloaded() {
    run(async {
        let page = Served::body(FORM).await;
        let browser = page.visited().await;
        browser.follow_in_place("Download").await;
        assert_eq!(browser.downloaded("kept.txt").await, "to be kept");
        browser.finish().await;
    });
}

const LOOKS: &str = "<p id=width></p><noscript>Without scripts</noscript>\
    <style>#dark { display: none } @media (prefers-color-scheme: dark) { #dark { display: block } }</style>\
    <p id=dark>In the dark</p><script>width.textContent = innerWidth + ' wide'</script>";

#[test]
fn the_window_is_wide_and_light_unless_it_is_said() {
    run(async {
        let page = Served::body(LOOKS).await;
        let browser = page.visited().await;
        browser.sees("1280 wide").await;
        browser.sees_nothing_of("In the dark").await;
        browser.sees_nothing_of("Without scripts").await;
        browser.finish().await;
    });
}

#[test]
fn a_phone_is_narrow_and_can_be_dark() {
    run(async {
        let page = Served::body(LOOKS).await;
        let browser = page.visitor().on_a_phone_of(320, 640).dark().open().await;
        browser.goto("/").await;
        browser.sees("320 wide").await;
        browser.sees("In the dark").await;
        browser.finish().await;
    });
}

#[test]
fn scripts_can_be_off() {
    run(async {
        let page = Served::body(LOOKS).await;
        let browser = page.visitor().without_scripts().open().await;
        browser.goto("/").await;
        browser.sees("Without scripts").await;
        browser.sees_nothing_of("wide").await;
        browser.finish().await;
    });
}

#[test]
fn the_language_is_said() {
    run(async {
        let page = Served::body("").await;
        for (visitor, starts) in [(page.visitor(), "en-GB,en;"), (page.visitor().in_danish(), "da-DK,da;")] {
            let browser = visitor.open().await;
            browser.goto("/language").await;
            let text = browser.text().await;
            assert!(text.starts_with(starts), "{text}");
            browser.close().await;
        }
    });
}

#[test]
fn what_is_wider_than_the_window_is_noticed() {
    run(async {
        let page = Served::body("<p style='width: 400px'>wide</p>").await;
        let browser = page.visitor().on_a_phone().open().await;
        browser.goto("/").await;
        let wider = browser.wider_than_the_window().await.join(" ");
        assert!(wider.contains("width: 400px"), "{wider}");
        browser.finish().await;
        let browser = page.visited().await;
        browser.does_not_scroll_sideways().await;
        browser.finish().await;
    });
}

#[test]
fn pictures_are_written_where_they_are_wanted() {
    run(async {
        let page = Served::body(FORM).await;
        let browser = page.visited().await;
        let directory = tempfile::tempdir().unwrap();
        browser.screenshot_into(directory.path(), "form").await;
        let png = std::fs::read(directory.path().join("form.png")).unwrap();
        // A PNG says its width and height behind the first 16 bytes.
        assert_eq!(png[16..24], [0, 0, 5, 0, 0, 0, 3, 132], "1280 by 900");
        browser.finish().await;
    });
}
