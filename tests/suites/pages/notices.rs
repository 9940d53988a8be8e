//! The browser of these tests notices what must not go unnoticed.

use countersign_tests::{Receiver, browser::watch::Complaint};

use super::served::Served;

const STRICT: &str = "default-src 'none'; img-src data:";

/// Runs a test that needs nothing but a browser.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

async fn complaints_about(page: &Served) -> Vec<Complaint> {
    page.visited().await.close().await
}

#[test]
fn nothing_is_said_about_a_page_as_it_should_be() {
    run(async {
        let page = Served::with_policy("<h1>Fine</h1>", STRICT).await;
        let browser = page.visited().await;
        browser.heading("Fine").await;
        browser.finish().await;
    });
}

#[test]
fn an_error_in_the_console_is_noticed() {
    run(async {
        let page = Served::body("<script>console.error('it broke')</script>").await;
        let complaints = complaints_about(&page).await;
        assert!(
            matches!(complaints.as_slice(), [Complaint::Console(text)] if text.contains("it broke")),
            "{complaints:?}"
        );
    });
}

#[test]
fn a_warning_in_the_console_is_noticed() {
    run(async {
        let page = Served::body("<script>console.warn('it may break')</script>").await;
        let complaints = complaints_about(&page).await;
        assert!(
            matches!(complaints.as_slice(), [Complaint::Console(text)] if text.contains("it may break")),
            "{complaints:?}"
        );
    });
}

#[test]
fn what_a_script_throws_is_noticed() {
    run(async {
        let page = Served::body("<script>throw new Error('thrown')</script>").await;
        let complaints = complaints_about(&page).await;
        assert!(
            matches!(complaints.as_slice(), [Complaint::Console(text)] if text.contains("thrown")),
            "{complaints:?}"
        );
    });
}

#[test]
fn what_the_policy_forbids_is_noticed() {
    run(async {
        for forbidden in ["<script>document.title = 'run'</script>", "<p style='color: red'>red</p>"] {
            let page = Served::with_policy(forbidden, STRICT).await;
            let complaints = complaints_about(&page).await;
            assert!(matches!(complaints.as_slice(), [Complaint::Policy(_)]), "{forbidden}: {complaints:?}");
        }
    });
}

#[test]
fn a_request_to_another_server_is_noticed() {
    run(async {
        let elsewhere = Receiver::start().await;
        let url = elsewhere.url("/pixel");
        let page = Served::body(&format!("<p>Seen</p><script>new Image().src = '{url}'</script>")).await;
        let complaints = complaints_about(&page).await;
        assert_eq!(complaints, [Complaint::Elsewhere(url)]);
        elsewhere.wait_for("/pixel", 1).await;
    });
}

#[test]
fn another_name_of_the_same_machine_is_another_server() {
    run(async {
        let script = "new Image().src = location.origin.replace('127.0.0.1', 'localhost') + '/pixel'";
        let page = Served::body(&format!("<p>Seen</p><script>{script}</script>")).await;
        let complaints = complaints_about(&page).await;
        assert!(complaints.iter().any(|one| matches!(one, Complaint::Elsewhere(_))), "{complaints:?}");
    });
}

#[test]
fn a_status_is_an_error_unless_it_is_expected() {
    run(async {
        let page = Served::with_status(422, "<h1>There is a problem</h1>").await;
        let complaints = complaints_about(&page).await;
        assert!(matches!(complaints.as_slice(), [Complaint::Console(_)]), "{complaints:?}");

        let browser = page.visitor().open().await;
        browser.expects_status(422);
        browser.goto("/").await;
        browser.finish().await;
    });
}

#[test]
fn one_expected_status_forgives_one_page() {
    run(async {
        let page = Served::with_status(422, "<h1>There is a problem</h1>").await;
        let browser = page.visitor().open().await;
        browser.expects_status(422);
        browser.goto("/").await;
        browser.goto("/").await;
        let complaints = browser.close().await;
        assert!(matches!(complaints.as_slice(), [Complaint::Console(_)]), "{complaints:?}");
    });
}

#[test]
fn an_expected_status_forgives_no_file_of_the_page() {
    run(async {
        let page = Served::body("<img src=/missing.png alt=''>").await;
        let browser = page.visitor().open().await;
        browser.expects_status(404);
        browser.goto("/").await;
        let complaints = browser.close().await;
        assert!(
            matches!(complaints.as_slice(), [Complaint::NeverAnswered(404), Complaint::Console(_)]),
            "{complaints:?}"
        );
    });
}

#[test]
fn a_test_that_forgets_to_finish_fails() {
    run(async {
        let page = Served::body("<p>Seen</p>").await;
        let browser = page.visited().await;
        let forgotten = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(browser)));
        let said = forgotten.unwrap_err();
        assert!(said.downcast_ref::<&str>().is_some_and(|said| said.contains("ends with `finish`")));
    });
}

#[test]
#[should_panic(expected = "it broke")]
fn to_finish_is_to_fail_of_what_was_noticed() {
    run(async {
        let page = Served::body("<script>console.error('it broke')</script>").await;
        page.visited().await.finish().await;
    });
}

#[test]
fn what_keeps_people_out_is_noticed() {
    run(async {
        let page = Served::body(
            "<h1>Sign in</h1><form><input type=text></form>\
             <p style='color: #999; background: #fff'>hard to read</p>",
        )
        .await;
        let browser = page.visited().await;
        let violations = browser.violations().await.join("\n");
        assert!(violations.contains("label: ") && violations.contains("color-contrast: "), "{violations}");
        browser.finish().await;
    });
}

#[test]
fn a_page_for_everybody_has_no_violations_under_a_strict_policy_either() {
    run(async {
        let page = Served::with_policy("<h1>Sign in</h1><p>Fine.</p>", STRICT).await;
        let browser = page.visited().await;
        browser.has_no_violations("a page of the test").await;
        browser.finish().await;
    });
}
