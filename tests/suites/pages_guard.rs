//! What keeps pages from being turned against the people who use them.

use countersign::pages::{PageAccess, routes};
use countersign_tests::{TestApp, Visitor, on_both_databases};

use crate::pages_account::{signed_in, signed_in_with};

on_both_databases![
    s18_every_page_says_what_a_browser_may_do_with_it,
    s18_a_form_without_its_token_changes_nothing,
    s18_a_form_of_another_browser_or_session_changes_nothing,
    s18_a_form_that_another_site_sends_changes_nothing,
    s19_whoever_is_not_signed_in_sees_no_page_of_the_signed_in,
    s08_a_challenge_is_of_the_browser_that_it_was_opened_in,
    s08_the_token_of_a_step_opens_no_page,
    s11_a_session_ends_when_a_requirement_is_due,
    s17_a_session_that_ended_shows_nothing,
    s17_signing_in_again_is_another_session,
    what_people_write_is_text,
    an_address_where_nothing_is_has_a_page_for_people_and_a_problem_for_programs,
    a_body_that_is_too_large_is_refused,
];

/// A path with something in place of its parameters.
fn some(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{code}" => "da",
        part if part.starts_with('{') => "01890a5d-ac96-7b7c-8f8f-5c1c6f4f0001",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

async fn s18_every_page_says_what_a_browser_may_do_with_it(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    let pages = routes();
    assert!(pages.len() > 15);
    for (path, _) in &pages {
        visitor.open(&some(path)).await;
        for field in [
            "content-security-policy: default-src 'none';",
            "strict-transport-security: max-age=",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "x-frame-options: DENY",
        ] {
            assert!(visitor.page.headers.contains(field), "{path} lacks {field}: {}", visitor.page.headers);
        }
        assert!(visitor.page.headers.contains("frame-ancestors 'none'"), "{path}");
        assert!(!visitor.page.headers.contains("unsafe"), "{path}");
        for inline in ["<style", " style=", " onclick=", "<script>", "javascript:"] {
            assert!(!visitor.page.html.contains(inline), "{path} has {inline}");
        }
        let forms = visitor.page.html.matches("method=\"post\"").count();
        assert_eq!(visitor.page.html.matches("name=\"form_token\"").count(), forms, "{path}");
    }
}

async fn s18_a_form_without_its_token_changes_nothing(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    for (path, _) in routes() {
        for fields in [&[][..], &[("form_token", "")], &[("form_token", "0000")]] {
            visitor.send(&some(path), fields).await;
            // Where a page takes no form there is nothing to send to.
            if visitor.page.status != 405 {
                assert_eq!(visitor.page.status, 403, "{path}");
                assert_eq!(visitor.page.one("h1"), "That page is out of date", "{path}");
            }
        }
    }
    visitor.open("/account").await;
    assert_eq!(visitor.page.address, "/account", "still signed in");
}

async fn s18_a_form_of_another_browser_or_session_changes_nothing(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    let other = signed_in(&app, &kari).await;
    let token = other.page.form_token();
    visitor.send("/account/sessions/end", &[("form_token", &token)]).await;
    assert_eq!(visitor.page.status, 403);
    // The same browser in another session is not the same either.
    let before = visitor.open("/account").await.clone();
    visitor.cookies.remove("__Host-session");
    visitor.page = before;
    visitor.press("Sign out everywhere", &[]).await;
    assert_eq!(visitor.page.status, 403);
}

async fn s18_a_form_that_another_site_sends_changes_nothing(app: TestApp) {
    let kari = app.register("Kari").await;
    let visitor = signed_in(&app, &kari).await;
    let token = visitor.page.form_token();
    let cookies: Vec<String> =
        visitor.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 303)] {
        let answer = app
            .request("POST".parse().expect("a method"), "/account/sessions/end")
            .header("cookie", &cookies.join("; "))
            .header("sec-fetch-site", site)
            .bytes("application/x-www-form-urlencoded", format!("form_token={token}"))
            .send()
            .await;
        assert_eq!(answer.status, status, "{site}");
    }
}

async fn s19_whoever_is_not_signed_in_sees_no_page_of_the_signed_in(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut walked = 0;
    for (path, access) in routes() {
        if matches!(access, PageAccess::Anybody) {
            continue;
        }
        walked += 1;
        for stolen in ["", "css_nonsense", app.key.as_str()] {
            let mut visitor = Visitor::of(&app);
            visitor.cookies.insert("__Host-session".to_owned(), stolen.to_owned());
            visitor.cookies.insert("__Host-step".to_owned(), stolen.to_owned());
            visitor.open(&some(path)).await;
            assert_eq!(visitor.page.address, "/login", "{path}");
        }
    }
    assert!(walked > 8);
    let mut visitor = Visitor::of(&app);
    visitor.open("/account/two-factor/disable").await;
    visitor.press("Sign in", &[("email", &kari.email), ("password", &kari.password)]).await;
    assert_eq!(visitor.page.address, "/account", "where the page leads that was asked for");
}

async fn s08_a_challenge_is_of_the_browser_that_it_was_opened_in(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let opened = signed_in(&app, &kari).await;
    assert_eq!(opened.page.address, "/login/code");
    let mut other = Visitor::of(&app);
    other.open("/login/code").await;
    assert_eq!(other.page.address, "/login");
    let token = other.page.form_token();
    let code = app.next_code(&two_factor.secret);
    other.send("/login/code", &[("form_token", &token), ("code", &code)]).await;
    assert_eq!(other.page.status, 410);
    assert!(!other.cookies.contains_key("__Host-session"));
}

async fn s08_the_token_of_a_step_opens_no_page(app: TestApp) {
    let (kari, _) = app.register_with_two_factor("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    let challenge = visitor.cookies["__Host-step"].clone();
    visitor.cookies.insert("__Host-session".to_owned(), challenge);
    for (path, access) in routes() {
        if !matches!(access, PageAccess::Anybody) {
            visitor.open(&some(path)).await;
            assert_eq!(visitor.page.address, "/login", "{path}");
        }
    }
}

async fn s11_a_session_ends_when_a_requirement_is_due(app: TestApp) {
    let kari = app.register("Kari").await;
    let bakery = app.agreement("Bageren").await;
    app.link(&bakery, &kari).await;
    let mut visitor = signed_in(&app, &kari).await;
    app.enforce(&bakery).await;
    visitor.open("/account").await;
    assert_eq!(visitor.page.address, "/login");
}

async fn s17_a_session_that_ended_shows_nothing(app: TestApp) {
    let kari = app.register("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    let kept = visitor.cookies.clone();
    visitor.press("Sign out", &[]).await;
    assert!(!visitor.cookies.contains_key("__Host-session"));
    visitor.cookies = kept;
    visitor.open("/account").await;
    assert_eq!(visitor.page.address, "/login", "the token is void, not only forgotten");
    let mut idle = signed_in(&app, &kari).await;
    app.advance_min(61);
    idle.open("/account").await;
    assert_eq!(idle.page.address, "/login");
}

async fn s17_signing_in_again_is_another_session(app: TestApp) {
    let (kari, two_factor) = app.register_with_two_factor("Kari").await;
    let mut visitor = Visitor::of(&app);
    // Whatever somebody else put into the browser before is not what the person is signed in with.
    visitor.cookies.insert("__Host-session".to_owned(), "css_planted".to_owned());
    visitor.open("/login").await;
    visitor.press("Sign in", &[("email", &kari.email), ("password", &kari.password)]).await;
    visitor.press("Sign in", &[("code", &app.next_code(&two_factor.secret))]).await;
    let first = visitor.cookies["__Host-session"].clone();
    assert!(first.starts_with("css_") && first != "css_planted");
    let again = signed_in_with(&app, &kari, &two_factor).await;
    assert_ne!(again.cookies["__Host-session"], first);
}

async fn what_people_write_is_text(app: TestApp) {
    let markup = "<script>alert(1)</script>\"'&";
    let person = app.register("Kari").await;
    let agreement = app.agreement(markup).await;
    app.link(&agreement, &person).await;
    app.enforce(&agreement).await;
    let visitor = signed_in(&app, &person).await;
    assert!(visitor.page.text().contains(markup), "{}", visitor.page.text());
    assert!(!visitor.page.html.contains("<script>"));
    let mut visitor = Visitor::of(&app);
    visitor.open("/login").await;
    visitor
        .press("Sign in", &[("email", "\"><script>@example.com"), ("password", "whatever it may be")])
        .await;
    assert!(!visitor.page.html.contains("<script>"), "{}", visitor.page.html);
}

async fn an_address_where_nothing_is_has_a_page_for_people_and_a_problem_for_programs(app: TestApp) {
    let mut visitor = Visitor::of(&app);
    visitor.open("/nowhere").await;
    assert_eq!((visitor.page.status, visitor.page.one("h1").as_str()), (404, "There is no such page"));
    assert_eq!(app.get("/nowhere", "").await.expect(404)["code"], "not-found");
    let kari = app.register("Kari").await;
    let mut visitor = signed_in(&app, &kari).await;
    visitor.open("/account/two-factor/authenticators/01890a5d-ac96-7b7c-8f8f-5c1c6f4f0001/remove").await;
    assert_eq!((visitor.page.status, visitor.page.one("h1").as_str()), (404, "There is no such page"));
}

async fn a_body_that_is_too_large_is_refused(app: TestApp) {
    let mut visitor = Visitor::of(&app);
    visitor.open("/login").await;
    visitor.press("Sign in", &[("email", &"x".repeat(70_000)), ("password", "whatever")]).await;
    assert_eq!(visitor.page.status, 413);
    visitor.open("/login").await;
    visitor.press("Sign in", &[("email", "a\0b@example.com"), ("password", "whatever it may be")]).await;
    assert!(visitor.page.status == 400, "{}", visitor.page.status);
}
