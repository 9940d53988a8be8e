//! Webhooks: entries of the trail at a receiver, in order, signed, each at least once.

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use countersign_tests::{
    Answer, NOBODY, Person, Receiver, TestApp,
    answer::{string, time},
    on_both_databases,
    receiver::{Received, Reply, eventually},
    trail::types,
};
use serde_json::{Value, json};
use tokio::time::Instant;

on_both_databases![
    entries_come_in_order_as_the_trail_shows_them_and_signed,
    only_the_types_that_were_asked_for_come,
    what_fails_is_repeated_with_the_same_id_and_nothing_overtakes_it,
    a_restart_loses_nothing_and_repeats_nothing_that_was_acknowledged,
    a_receiver_that_hangs_delays_no_other,
    who_is_erased_while_others_are_sent_comes_without_a_name,
    a_redirect_is_not_followed,
    a_receiver_that_is_gone_is_asked_once_an_hour,
    a_receiver_that_is_not_there_is_tried_again,
    a_name_that_stands_for_this_machine_is_refused_at_delivery,
    what_was_allowed_once_is_refused_at_delivery,
    a_deleted_webhook_gets_nothing_more,
    what_comes_before_an_entry_that_cannot_be_sent_is_sent,
    the_figures_tell_of_deliveries,
];

/// An app whose webhooks may come to this machine, with everything that was recorded so far in the trail.
pub(crate) async fn app_and_receiver(app: TestApp) -> (TestApp, Receiver) {
    let app = app.with_private_webhook_targets().await;
    app.wait_for_the_trail().await;
    (app, Receiver::start().await)
}

pub(crate) async fn register(app: &TestApp, url: &str, types: &[&str]) -> Answer {
    let body = json!({ "url": url, "types": types });
    app.post("/v1/webhooks", &app.key, body).await.expect(201)
}

pub(crate) async fn show(app: &TestApp, webhook: &Answer) -> Value {
    app.get(&path_of(webhook), &app.key).await.expect(200).body
}

pub(crate) fn path_of(webhook: &Answer) -> String {
    format!("/v1/webhooks/{}", webhook.string("id"))
}

/// How deliveries fare, once they fare so.
async fn delivery(app: &TestApp, webhook: &Answer, so: impl Fn(&Value) -> bool) -> Value {
    eventually("deliveries that fare so", async || {
        let delivery = show(app, webhook).await["delivery"].clone();
        so(&delivery).then_some(delivery)
    })
    .await
}

pub(crate) async fn failed(app: &TestApp, webhook: &Answer, times: i64) -> Value {
    delivery(app, webhook, |delivery| delivery["attempts"] == times).await
}

/// Everything in the ledger was sent, and the receiver has it.
pub(crate) async fn served(app: &TestApp, webhook: &Answer) -> Value {
    app.wait_for_the_trail().await;
    let newest = app.entries("").await[0]["position"].as_i64().expect("a position");
    delivery(app, webhook, |delivery| delivery["next_position"].as_i64() > Some(newest)).await
}

fn ids(received: &[Received]) -> Vec<String> {
    received.iter().map(Received::id).collect()
}

/// The entries from a webhook's registration on, the oldest first.
async fn entries_since(app: &TestApp, webhook: &Answer) -> Vec<Value> {
    let mut entries = app.entries("").await;
    entries.reverse();
    let mut ours = entries.iter().map(|entry| &entry["data"]["id"]);
    let first = ours.position(|id| *id == webhook["id"]).expect("the registration");
    entries.split_off(first)
}

fn event_ids(entries: &[Value]) -> Vec<String> {
    entries.iter().map(|entry| string(&entry["event_id"])).collect()
}

async fn entries_come_in_order_as_the_trail_shows_them_and_signed(app: TestApp) {
    let (app, receiver) = app_and_receiver(app).await;
    let webhook = register(&app, &receiver.url("/in"), &[]).await;
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    app.sign_in_with(&ada, &two_factor).await;
    // More than are read at once.
    for number in 0..70 {
        app.agreement(&format!("Havbris {number}")).await;
    }
    served(&app, &webhook).await;
    let entries = entries_since(&app, &webhook).await;
    let messages = receiver.received("/in");
    assert!(entries.len() > 74);
    assert_eq!(ids(&messages), event_ids(&entries));
    for (message, entry) in messages.iter().zip(&entries) {
        let expected = json!({ "type": entry["type"], "timestamp": entry["recorded_at"], "data": entry });
        assert_eq!(message.body, expected);
        message.assert_signed_with(&webhook.string("secret"));
        let sent: i64 = message.header("webhook-timestamp").parse().expect("seconds");
        assert!((time(&webhook["registered_at"]).timestamp()..=app.now().timestamp()).contains(&sent));
        assert_eq!(message.header("content-type"), "application/json");
        assert!(message.header("user-agent").starts_with("countersign/"));
    }
}

async fn only_the_types_that_were_asked_for_come(app: TestApp) {
    let (app, receiver) = app_and_receiver(app).await;
    let wanted = [types::USER_REGISTERED, types::SESSION_ENDED];
    let webhook = register(&app, &receiver.url("/in"), &wanted).await;
    let ada = app.register("Ada").await;
    app.agreement("Havbris").await;
    app.register("Grace").await;
    let session = app.sign_in(&ada).await;
    app.delete(&ada.path("/sessions"), &session.token).await.expect(204);
    app.agreement("Nordlys").await;
    let fares = served(&app, &webhook).await;
    assert_eq!(time(&fares["delivered_at"]), app.now());
    let told: Vec<String> =
        receiver.received("/in").iter().map(|received| string(&received.body["type"])).collect();
    assert_eq!(told, [types::USER_REGISTERED, types::USER_REGISTERED, types::SESSION_ENDED]);
}

async fn what_fails_is_repeated_with_the_same_id_and_nothing_overtakes_it(app: TestApp) {
    let (app, receiver) = app_and_receiver(app).await;
    let webhook = register(&app, &receiver.url("/in"), &["AgreementOpened"]).await;
    receiver.reply("/in", Reply::Status(500));
    app.agreement("Havbris").await;
    let fares = failed(&app, &webhook, 1).await;
    assert_eq!(fares["last_error"], "the receiver answered 500");
    assert_eq!(fares["delivered_at"], Value::Null);
    let wait = time(&fares["next_attempt_at"]) - app.now();
    assert!((TimeDelta::seconds(5)..=TimeDelta::seconds(10)).contains(&wait), "{wait}");
    app.agreement("Nordlys").await;
    app.wait_for_the_trail().await;

    app.advance_s(10);
    let fares = failed(&app, &webhook, 2).await;
    let wait = time(&fares["next_attempt_at"]) - app.now();
    assert!((TimeDelta::seconds(10)..=TimeDelta::seconds(20)).contains(&wait), "{wait}");

    receiver.reply("/in", Reply::Status(200));
    app.advance_s(20);
    let fares = served(&app, &webhook).await;
    assert_eq!((&fares["attempts"], &fares["last_error"]), (&json!(0), &Value::Null));
    assert_eq!(fares["next_attempt_at"], Value::Null);
    let messages = receiver.received("/in");
    let ids = ids(&messages);
    assert_eq!(ids.len(), 4);
    assert_eq!((&ids[0], &ids[1]), (&ids[1], &ids[2]));
    assert_ne!(ids[2], ids[3]);
    assert_eq!(messages[3].body["data"]["data"]["name"], "Nordlys");
    let sent: Vec<i64> = messages
        .iter()
        .map(|message| message.header("webhook-timestamp").parse().expect("seconds"))
        .collect();
    let last = app.now().timestamp();
    assert_eq!(sent, [last - 30, last - 20, last, last]);
    for message in messages {
        message.assert_signed_with(&webhook.string("secret"));
    }
}

async fn a_restart_loses_nothing_and_repeats_nothing_that_was_acknowledged(app: TestApp) {
    let (app, receiver) = app_and_receiver(app).await;
    let webhook = register(&app, &receiver.url("/in"), &["AgreementOpened"]).await;
    for number in 0..3 {
        app.agreement(&format!("Havbris {number}")).await;
    }
    served(&app, &webhook).await;
    let app = app.restarted().await;
    app.agreement("Nordlys").await;
    served(&app, &webhook).await;

    // Stopped right after the answers, whatever was under way, and while an entry fails.
    for number in 0..5 {
        app.agreement(&format!("Fjordcafé {number}")).await;
    }
    receiver.wait_for("/in", 5).await;
    let app = app.restarted().await;
    served(&app, &webhook).await;
    receiver.reply("/in", Reply::Status(503));
    app.agreement("Last").await;
    let before = failed(&app, &webhook, 1).await;
    let app = app.restarted().await;
    receiver.reply("/in", Reply::Status(204));
    assert_eq!(show(&app, &webhook).await["delivery"], before);
    app.advance_s(10);
    served(&app, &webhook).await;

    let messages = receiver.received("/in");
    let mut ids = ids(&messages);
    assert_eq!(ids.pop(), ids.last().cloned(), "the one that failed is repeated");
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "no other is");
    let mut opened = app.entries("type=AgreementOpened").await;
    opened.reverse();
    assert_eq!(ids, event_ids(&opened));
}

async fn a_receiver_that_hangs_delays_no_other(app: TestApp) {
    let (app, receiver) = app_and_receiver(app).await;
    receiver.reply("/slow", Reply::Hang);
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(register(&app, &receiver.url("/slow"), &["AgreementOpened"]).await);
    }
    let fast = register(&app, &receiver.url("/fast"), &["AgreementOpened"]).await;
    app.agreement("Havbris").await;
    receiver.wait_for("/slow", 4).await;
    app.agreement("Nordlys").await;
    served(&app, &fast).await;
    assert_eq!(receiver.received("/fast").len(), 2);
    // None of them has two deliveries at once.
    assert_eq!(receiver.received("/slow").len(), 4);
    receiver.let_go();
    // On a machine that is slow itself they may have been given up by now.
    app.advance_min(60);
    for webhook in &slow {
        served(&app, webhook).await;
    }
    let told: BTreeSet<String> = ids(&receiver.received("/slow")).into_iter().collect();
    assert_eq!(told, ids(&receiver.received("/fast")).into_iter().collect());
}

async fn who_is_erased_while_others_are_sent_comes_without_a_name(app: TestApp) {
    let (app, receiver) = app_and_receiver(app).await;
    let webhook = register(&app, &receiver.url("/in"), &[types::USER_REGISTERED]).await;
    // The first one fails, so that the second is read together with it.
    receiver.reply("/in", Reply::Status(500));
    app.register("Ada").await;
    failed(&app, &webhook, 1).await;
    let grace = app.register("Grace").await;
    app.wait_for_the_trail().await;
    receiver.reply("/in", Reply::Hang);
    app.advance_s(10);
    receiver.wait_for("/in", 2).await;
    let read_before = Instant::now();
    assert!(app.try_to_erase(&grace).await);
    // What was read is sent for a second.
    tokio::time::sleep_until(read_before + Duration::from_secs(1)).await;
    receiver.let_go();
    // On a machine that is slow itself the first may have been given up by now.
    app.advance_min(60);
    served(&app, &webhook).await;
    let messages = receiver.received("/in");
    let last = messages.last().expect("messages");
    assert_eq!(last.body["data"]["user_id"], grace.id);
    assert_eq!(last.body["data"]["data"]["email"], "[erased]");
    let told = last.body.to_string();
    assert!(!told.contains(&grace.email) && !told.contains(&grace.display_name), "{told}");
}

async fn a_redirect_is_not_followed(app: TestApp) {
    let (app, receiver) = app_and_receiver(app).await;
    let webhook = register(&app, &receiver.url("/in"), &["AgreementOpened"]).await;
    receiver.reply("/in", Reply::Redirect(receiver.url("/elsewhere")));
    app.agreement("Havbris").await;
    let fares = failed(&app, &webhook, 1).await;
    assert_eq!(fares["last_error"], "the receiver answered 302");
    assert!(receiver.received("/elsewhere").is_empty());
}

async fn a_receiver_that_is_gone_is_asked_once_an_hour(app: TestApp) {
    let (app, receiver) = app_and_receiver(app).await;
    let webhook = register(&app, &receiver.url("/in"), &["AgreementOpened"]).await;
    receiver.reply("/in", Reply::Status(410));
    app.agreement("Havbris").await;
    let fares = failed(&app, &webhook, 1).await;
    assert!(string(&fares["last_error"]).contains("410 Gone"), "{fares}");
    assert_eq!(time(&fares["next_attempt_at"]), app.now() + TimeDelta::hours(1));
    receiver.reply("/in", Reply::Status(204));
    app.advance_min(60);
    served(&app, &webhook).await;
}

async fn a_receiver_that_is_not_there_is_tried_again(app: TestApp) {
    let (app, _) = app_and_receiver(app).await;
    // Bound, so that nobody else takes the port, and not listening.
    let closed = tokio::net::TcpSocket::new_v4().expect("a socket");
    closed.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let url = format!("http://{}/secret-path", closed.local_addr().expect("an address"));
    let webhook = register(&app, &url, &["AgreementOpened"]).await;
    app.agreement("Havbris").await;
    let fares = failed(&app, &webhook, 1).await;
    let error = string(&fares["last_error"]);
    assert!(error.starts_with("the receiver was not reached: "), "{error}");
    assert!(!error.contains("secret-path"), "{error}");
    app.advance_s(10);
    failed(&app, &webhook, 2).await;
}

async fn a_name_that_stands_for_this_machine_is_refused_at_delivery(app: TestApp) {
    let receiver = Receiver::start().await;
    let url = format!("https://localhost:{}/in", receiver.port());
    let webhook = register(&app, &url, &["AgreementOpened"]).await;
    app.agreement("Havbris").await;
    let fares = failed(&app, &webhook, 1).await;
    let expected = "nothing is sent: url must not lead to this machine or into a private network";
    assert_eq!(fares["last_error"], expected);

    // The same name is connected to where it is allowed, though there is no TLS at that port.
    let app = app.with_private_webhook_targets().await;
    app.advance_s(10);
    let fares = failed(&app, &webhook, 2).await;
    assert!(string(&fares["last_error"]).starts_with("the receiver was not reached: "), "{fares}");
}

async fn what_was_allowed_once_is_refused_at_delivery(app: TestApp) {
    let (app, receiver) = app_and_receiver(app).await;
    let webhook = register(&app, &receiver.url("/in"), &["AgreementOpened"]).await;
    let app = app.with_public_webhook_targets().await;
    app.agreement("Havbris").await;
    failed(&app, &webhook, 1).await;
    assert!(receiver.received("/in").is_empty());
    let app = app.with_private_webhook_targets().await;
    app.advance_s(10);
    served(&app, &webhook).await;
    assert_eq!(receiver.received("/in").len(), 1);
}

async fn a_deleted_webhook_gets_nothing_more(app: TestApp) {
    let (app, receiver) = app_and_receiver(app).await;
    let deleted = register(&app, &receiver.url("/deleted"), &["AgreementOpened"]).await;
    let failing = register(&app, &receiver.url("/failing"), &["AgreementOpened"]).await;
    let kept = register(&app, &receiver.url("/kept"), &["AgreementOpened"]).await;
    receiver.reply("/failing", Reply::Status(500));
    app.agreement("Havbris").await;
    served(&app, &deleted).await;
    failed(&app, &failing, 1).await;
    for webhook in [&deleted, &failing] {
        app.delete(&path_of(webhook), &app.key).await.expect(204);
        app.get(&path_of(webhook), &app.key).await.refused(404, "not-found");
        app.delete(&path_of(webhook), &app.key).await.refused(404, "not-found");
    }
    app.agreement("Nordlys").await;
    app.advance_min(60);
    app.agreement("Fjordcafé").await;
    served(&app, &kept).await;
    assert_eq!(receiver.received("/kept").len(), 3);
    assert_eq!((receiver.received("/deleted").len(), receiver.received("/failing").len()), (1, 1));
    let listed = app.get("/v1/webhooks", &app.key).await.expect(200).items();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], kept["id"]);
}

async fn what_comes_before_an_entry_that_cannot_be_sent_is_sent(app: TestApp) {
    let (app, receiver) = app_and_receiver(app).await;
    let webhook = register(&app, &receiver.url("/in"), &[types::USER_REGISTERED]).await;
    receiver.reply("/in", Reply::Status(500));
    app.register("Ada").await;
    failed(&app, &webhook, 1).await;
    // One batch, in which entries that are not wanted stand between.
    let mut people = Vec::new();
    for name in ["Grace", "Edith", "Mary", "Joan"] {
        app.agreement(&format!("Agreement of {name}")).await;
        people.push(app.register(name).await);
    }
    let entries = app.entries("type=UserRegistered").await;
    let position = |person: &Person| {
        let entry = entries.iter().find(|entry| entry["user_id"] == person.id).expect("a registration");
        entry["position"].as_i64().expect("a position")
    };
    let (edith, mary) = (&people[1], &people[2]);
    app.place.tamper(&format!("DELETE FROM events WHERE aggregate_id = '{}'", mary.id)).await;
    let of_edith = format!("WHERE owner_id = '{}'", edith.id);
    let wrapped = app.place.column(&format!("SELECT wrapped FROM data_keys {of_edith}")).await;
    app.place.tamper(&format!("UPDATE data_keys SET wrapped = 'altered' {of_edith}")).await;

    receiver.reply("/in", Reply::Status(204));
    app.advance_s(10);
    stopped_before(&app, &webhook, position(edith), 1).await;
    assert_eq!(receiver.received("/in").len(), 3, "Ada twice, and Grace");
    app.advance_s(10);
    stopped_before(&app, &webhook, position(edith), 2).await;
    assert_eq!(receiver.received("/in").len(), 3);

    app.place.tamper(&format!("UPDATE data_keys SET wrapped = '{}' {of_edith}", wrapped[0])).await;
    app.advance_min(60);
    stopped_before(&app, &webhook, position(mary), 1).await;
    let messages = receiver.received("/in");
    assert_eq!(messages.len(), 4, "and Edith, but not Joan");
    assert_eq!(messages[3].body["data"]["user_id"], edith.id);
}

/// A webhook waits before an entry that the program cannot send, after so many attempts.
async fn stopped_before(app: &TestApp, webhook: &Answer, position: i64, attempts: i64) {
    let fares = delivery(app, webhook, |delivery| {
        delivery["next_position"] == position && delivery["attempts"] == attempts
    })
    .await;
    let expected = "the entry could not be prepared; the program's log says why";
    assert_eq!(fares["last_error"], expected);
}

async fn the_figures_tell_of_deliveries(app: TestApp) {
    let (app, receiver) = app_and_receiver(app).await;
    let good = register(&app, &receiver.url("/good"), &["AgreementOpened"]).await;
    let bad = register(&app, &receiver.url("/bad"), &["AgreementOpened"]).await;
    receiver.reply("/bad", Reply::Status(500));
    app.agreement("Havbris").await;
    served(&app, &good).await;
    failed(&app, &bad, 1).await;
    let metrics = app.get("/metrics", NOBODY).await.expect(200).text;
    for line in [
        "countersign_webhook_deliveries_total{outcome=\"delivered\"} 1",
        "countersign_webhook_deliveries_total{outcome=\"refused\"} 1",
        "countersign_webhook_deliveries_total{outcome=\"timed_out\"} 0",
        "countersign_webhooks_failing 1",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line} is missing in {metrics}");
    }
    let position = show(&app, &bad).await["delivery"]["next_position"].as_i64().expect("a position");
    eventually("how far the one that fails is behind", async || {
        let lag = figure(&app, "countersign_webhook_lag_entries_max").await;
        let signed = figure(&app, "countersign_ledger_signed_entries").await;
        (lag > 0 && position + lag == signed).then_some(())
    })
    .await;
    app.delete(&path_of(&bad), &app.key).await.expect(204);
    served(&app, &good).await;
    eventually("that nobody is behind", async || {
        (figure(&app, "countersign_webhook_lag_entries_max").await == 0).then_some(())
    })
    .await;
}

async fn figure(app: &TestApp, name: &str) -> i64 {
    let metrics = app.get("/metrics", NOBODY).await.expect(200).text;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("{name} is missing in {metrics}"))
}

#[cfg(feature = "postgres")]
mod nodes {
    use countersign_tests::{Receiver, TestApp, on_postgresql};

    use super::{app_and_receiver, ids, register, served};

    on_postgresql![two_nodes_deliver_once_and_one_goes_on_without_the_other];

    async fn two_nodes_deliver_once_and_one_goes_on_without_the_other(app: TestApp) {
        let (app, receiver): (TestApp, Receiver) = app_and_receiver(app).await;
        let other = app.another_node().await;
        let webhook = register(&other, &receiver.url("/in"), &["AgreementOpened"]).await;
        for number in 0..20 {
            app.agreement(&format!("Havbris {number}")).await;
            other.agreement(&format!("Nordlys {number}")).await;
        }
        app.wait_for_the_trail().await;
        served(&other, &webhook).await;
        app.stop().await;
        other.agreement("Fjordcafé").await;
        served(&other, &webhook).await;
        let mut opened = other.entries("type=AgreementOpened").await;
        opened.reverse();
        assert_eq!(ids(&receiver.received("/in")), super::event_ids(&opened));
        assert_eq!(opened.len(), 41);
    }
}
