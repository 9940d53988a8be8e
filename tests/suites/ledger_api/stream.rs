//! The trail as it comes, over HTTP: where a listener begins, goes on and is kept waiting.

use std::time::Duration;

use countersign_tests::{Person, TestApp, on_both_databases};
use serde_json::Value;

use super::{checkpoint, position};

on_both_databases![
    a_stream_goes_on_where_a_listener_left_off,
    a_stream_that_has_sent_nothing_yet_can_be_resumed,
    a_stream_that_begins_before_all_entries_can_be_resumed,
    a_stream_sends_what_comes,
    a_stream_beyond_the_end_of_the_ledger_is_refused,
    a_stream_sends_what_comes_before_an_entry_that_does_not_read,
    a_proxy_is_asked_not_to_keep_a_stream_back,
];

/// What is not sent is waited for so long: longer than the pause after an entry that does not read.
const SILENCE: Duration = Duration::from_secs(3);

/// Reads so many events of a stream.
async fn listen(
    app: &TestApp,
    query: &str,
    last_event_id: Option<i64>,
    count: usize,
) -> Vec<(i64, String, Value)> {
    let mut request = app.request(reqwest::Method::GET, &format!("/v1/audit/stream{query}")).token(&app.key);
    if let Some(last) = last_event_id {
        request = request.header("last-event-id", &last.to_string());
    }
    // One more comes first, which only says where the stream begins.
    let text = request.read_until(|text| text.matches("\n\n").count() > count).await;
    let event = |block: &str| {
        let field = |name: &str| {
            block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
        };
        let data: Value = serde_json::from_str(&field("data:")).expect("JSON");
        (field("id:").parse().expect("a position"), field("event:"), data)
    };
    text.split("\n\n").filter(|block| block.contains("data:")).take(count).map(event).collect()
}

/// The first event of a stream, without the blank line at its end.
async fn beginning(app: &TestApp, query: &str) -> String {
    let request = app.request(reqwest::Method::GET, &format!("/v1/audit/stream{query}")).token(&app.key);
    let text = request.read_until(|text| text.contains("\n\n")).await;
    text.split("\n\n").next().unwrap_or_default().to_owned()
}

async fn a_stream_goes_on_where_a_listener_left_off(app: TestApp) {
    app.register_with_two_factor("Ada").await;
    app.wait_for_the_trail().await;
    let first = listen(&app, "?from_position=0", None, 3).await;
    // Nobody listens while this comes.
    let grace = app.register("Grace").await;
    app.wait_for_the_trail().await;
    let size = i64::try_from(checkpoint(&app).await.0).expect("a size");
    let left = usize::try_from(size - 3).expect("a count");
    let next = listen(&app, "", Some(first[2].0), left).await;
    let positions: Vec<i64> = first.iter().chain(&next).map(|(position, ..)| *position).collect();
    assert_eq!(positions, (0..size).collect::<Vec<_>>());
    assert!(next.iter().any(|(.., data)| data.to_string().contains(&grace.id)), "{next:?}");
    for (position, event, data) in first.iter().chain(&next) {
        assert_eq!(
            (data["position"].as_i64(), data["type"].as_str()),
            (Some(*position), Some(event.as_str()))
        );
    }
    let refused =
        app.request(reqwest::Method::GET, "/v1/audit/stream").token(&app.key).header("last-event-id", "x");
    refused.send().await.refused(400, "malformed-request");
}

async fn a_stream_that_has_sent_nothing_yet_can_be_resumed(app: TestApp) {
    app.register("Ada").await;
    app.wait_for_the_trail().await;
    let size = i64::try_from(checkpoint(&app).await.0).expect("a size");
    // An id and nothing else: browsers keep it, and call nobody.
    let last = size - 1;
    assert_eq!(beginning(&app, "").await, format!("id: {last}"));
    assert_eq!(beginning(&app, "?from_position=1").await, "id: 0");
    // Nobody listens while this comes.
    let grace = app.register("Grace").await;
    app.wait_for_the_trail().await;
    let grown = i64::try_from(checkpoint(&app).await.0).expect("a size");
    let count = usize::try_from(grown - size).expect("a count");
    let next = listen(&app, "", Some(last), count).await;
    let positions: Vec<i64> = next.iter().map(|(position, ..)| *position).collect();
    assert_eq!(positions, (size..grown).collect::<Vec<_>>());
    assert!(next.iter().any(|(.., data)| data.to_string().contains(&grace.id)), "{next:?}");
}

async fn a_stream_that_begins_before_all_entries_can_be_resumed(app: TestApp) {
    app.wait_for_the_trail().await;
    assert_eq!(beginning(&app, "?from_position=0").await, "id: -1");
    let first = listen(&app, "", Some(-1), 1).await;
    assert_eq!(first[0].0, 0);
    for id in ["-2", "--1", "-", "1.5", ""] {
        let asked = app.request(reqwest::Method::GET, "/v1/audit/stream").header("last-event-id", id);
        asked.token(&app.key).send().await.refused(400, "malformed-request");
    }
}

async fn a_stream_sends_what_comes(app: TestApp) {
    app.wait_for_the_trail().await;
    let (size, _) = checkpoint(&app).await;
    let request = app.request(reqwest::Method::GET, &format!("/v1/audit/stream?from_position={size}"));
    let is_there = |text: &str| text.contains("event: UserRegistered\n") && text.ends_with("\n\n");
    let (heard, ada) = tokio::join!(request.token(&app.key).read_until(is_there), app.register("Ada"));
    assert!(heard.contains(&ada.id), "{heard}");
}

async fn a_stream_beyond_the_end_of_the_ledger_is_refused(app: TestApp) {
    app.register("Ada").await;
    app.wait_for_the_trail().await;
    let (size, _) = checkpoint(&app).await;
    let asks = |query: String| app.request(reqwest::Method::GET, &format!("/v1/audit/stream{query}"));
    for asked in [
        asks(format!("?from_position={}", size + 1)),
        asks(String::new()).header("last-event-id", &size.to_string()),
        asks("?from_position=0".to_owned()).header("last-event-id", &u64::MAX.to_string()),
    ] {
        let refused = asked.token(&app.key).send().await.refused(400, "malformed-request");
        assert_eq!(refused["ledger_size"], size);
        let says = refused.string("detail");
        assert!(says.contains(&format!("has {size} entries")) && says.contains("from_position"), "{says}");
    }
    // Whoever has seen everything may wait for more.
    let next = listen(&app, "", i64::try_from(size).ok().map(|size| size - 1), 1).await;
    assert_eq!(next[0].0.unsigned_abs(), size);
}

async fn a_stream_sends_what_comes_before_an_entry_that_does_not_read(app: TestApp) {
    app.register("Ada").await;
    let (grace, edith) = (app.register("Grace").await, app.register("Edith").await);
    let first = async |person: &Person| {
        position(app.entries(&format!("user={}", person.id)).await.last().expect("an entry"))
    };
    let (unread, unopened) = (first(&grace).await, first(&edith).await);
    for (damage, position) in [
        (format!("UPDATE data_keys SET wrapped = 'altered' WHERE owner_id = '{}'", edith.id), unopened),
        (format!("UPDATE events SET event_version = 'none' WHERE aggregate_id = '{}'", grace.id), unread),
    ] {
        app.place.tamper(&damage).await;
        let count = usize::try_from(position).expect("a count");
        let sent = listen(&app, "?from_position=0", None, count).await;
        let sent: Vec<i64> = sent.into_iter().map(|(position, ..)| position).collect();
        assert_eq!(sent, (0..position).collect::<Vec<_>>(), "{damage}");
        // There is more behind it, which is not sent, and the stream stays open.
        let request = app.request(reqwest::Method::GET, "/v1/audit/stream?from_position=0").token(&app.key);
        let is_beyond = |line: &str| {
            let id = line.strip_prefix("id: ").and_then(|id| id.parse::<i64>().ok());
            id.is_some_and(|id| id >= position)
        };
        let beyond = request.read_until(|text| text.lines().any(is_beyond));
        let heard = tokio::time::timeout(SILENCE, beyond).await;
        assert!(heard.is_err(), "{damage}: {heard:?}");
    }
}

async fn a_proxy_is_asked_not_to_keep_a_stream_back(app: TestApp) {
    let asked = app.request(reqwest::Method::HEAD, "/v1/audit/stream").token(&app.key);
    let answer = asked.send().await.expect(200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(answer.header("x-accel-buffering"), "no");
}
