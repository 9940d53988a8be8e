//! The ledger over HTTP: entries by position, proofs, growth, tiles, exports and the stream.

mod stream;

use countersign_projections::ledger::checkpoint::Verifier;
use countersign_projections::ledger::proof::{Receipt, verify_consistency};
use countersign_projections::ledger::tree::{Frontier, Hash, leaf_hash};
use countersign_tests::{NOBODY, TestApp, on_both_databases, trail::types};
use serde_json::{Value, json};

on_both_databases![
    an_entry_is_read_by_its_position,
    an_entry_that_is_not_there_is_not_found,
    a_proof_proves_the_leaf_that_the_entry_shows,
    a_proof_of_an_entry_that_is_not_there_is_not_found,
    a_person_proves_an_own_entry_and_nobody_elses,
    growth_between_two_checkpoints_is_proved,
    growth_that_cannot_be_is_refused,
    tiles_hold_the_tree_that_is_signed,
    a_tile_that_is_not_signed_is_not_found,
    s25_reading_the_trail_is_recorded_once_in_ten_minutes,
    s25_every_export_is_recorded,
    an_export_has_every_entry_once_and_in_order,
    an_export_of_a_period_has_what_was_recorded_in_it,
    an_export_that_cannot_be_is_refused,
    an_export_has_what_was_recorded_just_before,
    an_export_of_a_trail_that_stays_behind_is_refused,
    an_export_that_could_break_off_unseen_is_refused,
    s22_a_name_cannot_forge_a_line_in_any_export,
    a_persons_filter_by_type_counts,
    an_entry_whose_event_is_gone_is_told_and_not_left_out,
    every_event_commits_to_the_key_that_sealed_it,
];

async fn verifier(app: &TestApp) -> Verifier {
    app.get("/v1/audit/key", NOBODY).await.expect(200).text.trim_end().parse().expect("a key")
}

async fn checkpoint(app: &TestApp) -> (u64, Hash) {
    let note = app.get("/v1/audit/checkpoint", NOBODY).await.expect(200);
    let checkpoint = verifier(app).await.verify(note.text.as_bytes()).expect("signed");
    (checkpoint.size, checkpoint.root)
}

fn position(entry: &Value) -> i64 {
    entry["position"].as_i64().expect("a position")
}

async fn an_entry_is_read_by_its_position(app: TestApp) {
    app.register("Ada").await;
    let entries = app.entries("").await;
    assert!(!entries.is_empty());
    for listed in entries {
        let path = format!("/v1/audit/entries/{}", position(&listed));
        let mut alone = app.get(&path, &app.key).await.expect(200).body;
        let leaf = alone["leaf"].take();
        assert_eq!(
            leaf.as_str().map(|leaf| leaf.contains(listed["event_id"].as_str().unwrap_or("?"))),
            Some(true)
        );
        alone.as_object_mut().expect("an entry").remove("leaf");
        assert_eq!(alone, listed);
    }
}

async fn an_entry_that_is_not_there_is_not_found(app: TestApp) {
    app.register("Ada").await;
    for position in ["1000000", "-1", "one", "9223372036854775808", "99999999999999999999999"] {
        app.get(&format!("/v1/audit/entries/{position}"), &app.key).await.refused(404, "not-found");
        app.get(&format!("/v1/audit/entries/{position}/proof"), &app.key).await.refused(404, "not-found");
    }
}

async fn a_proof_proves_the_leaf_that_the_entry_shows(app: TestApp) {
    for name in ["Ada", "Grace", "Edith"] {
        app.register(name).await;
    }
    let verifier = verifier(&app).await;
    for entry in app.entries("").await {
        let path = format!("/v1/audit/entries/{}", position(&entry));
        let leaf = app.get(&path, &app.key).await.expect(200).string("leaf");
        let proof = app.get(&format!("{path}/proof"), &app.key).await.expect(200);
        assert!(proof.header("content-type").starts_with("text/plain"));
        let receipt: Receipt = proof.text.parse().expect("a receipt");
        assert_eq!(i64::try_from(receipt.index), Ok(position(&entry)));
        receipt.verify(&verifier, leaf.as_bytes()).expect("it proves");
        assert!(receipt.verify(&verifier, format!("{leaf} ").as_bytes()).is_err());
    }
}

async fn a_proof_of_an_entry_that_is_not_there_is_not_found(app: TestApp) {
    let (size, _) = checkpoint(&app).await;
    app.get(&format!("/v1/audit/entries/{}/proof", size + 1000), &app.key).await.refused(404, "not-found");
}

async fn a_person_proves_an_own_entry_and_nobody_elses(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let grace = app.register("Grace").await;
    let session = app.sign_in_with(&ada, &two_factor).await;
    let own = app.entries(&format!("user={}&type={}", ada.id, types::TWO_FACTOR_ENABLED)).await;
    let path = format!("/v1/audit/entries/{}", position(&own[0]));
    let leaf = app.get(&path, &session.token).await.expect(200).string("leaf");
    let receipt: Receipt =
        app.get(&format!("{path}/proof"), &session.token).await.expect(200).text.parse().expect("a receipt");
    receipt.verify(&verifier(&app).await, leaf.as_bytes()).expect("it proves");
    let other = app.entries(&format!("user={}", grace.id)).await;
    let path = format!("/v1/audit/entries/{}", position(&other[0]));
    app.get(&path, &session.token).await.refused(404, "not-found");
    app.get(&format!("{path}/proof"), &session.token).await.refused(404, "not-found");
}

async fn growth_between_two_checkpoints_is_proved(app: TestApp) {
    app.register("Ada").await;
    app.wait_for_the_trail().await;
    let earlier = checkpoint(&app).await;
    app.register_with_two_factor("Grace").await;
    app.wait_for_the_trail().await;
    let later = checkpoint(&app).await;
    assert!(earlier.0 > 0 && earlier.0 < later.0);
    let path = format!("/v1/audit/consistency?from={}&to={}", earlier.0, later.0);
    let proof = app.get(&path, NOBODY).await.expect(200);
    let hashes: Vec<Hash> = proof.text.lines().map(|line| line.parse().expect("a hash")).collect();
    verify_consistency(earlier, later, &hashes).expect("it has only grown");
    assert!(verify_consistency((earlier.0, later.1), later, &hashes).is_err());
    for nothing_to_prove in [format!("from=0&to={}", later.0), format!("from={0}&to={0}", later.0)] {
        let answer = app.get(&format!("/v1/audit/consistency?{nothing_to_prove}"), NOBODY).await.expect(200);
        assert_eq!(answer.text, "");
    }
}

async fn growth_that_cannot_be_is_refused(app: TestApp) {
    let (size, _) = checkpoint(&app).await;
    for (query, names) in [
        ("from=2&to=1".to_owned(), "from must not be larger"),
        (format!("from=0&to={}", size + 1000), "the size that is signed"),
        ("from=-1".to_owned(), "query"),
        ("to=1".to_owned(), "query"),
        ("from=18446744073709551616".to_owned(), "query"),
    ] {
        let refused = app.get(&format!("/v1/audit/consistency?{query}"), NOBODY).await;
        let refused = refused.refused(400, "malformed-request");
        assert!(refused.text.contains(names), "{query}: {}", refused.text);
    }
}

async fn tiles_hold_the_tree_that_is_signed(app: TestApp) {
    // Past one full tile.
    for number in 0..16 {
        let (person, two_factor) = app.register_with_two_factor(&format!("Ada {number}")).await;
        for _ in 0..3 {
            app.sign_in_with(&person, &two_factor).await;
        }
    }
    app.wait_for_the_trail().await;
    let (size, root) = checkpoint(&app).await;
    assert!(size > 256, "{size}");
    let mut frontier = Frontier::default();
    let (full, rest) = (size / 256, size % 256);
    for (index, width) in
        (0..full).map(|index| (index, 256)).chain([(full, rest)]).filter(|(_, width)| *width > 0)
    {
        let partial = if width < 256 { format!(".p/{width}") } else { String::new() };
        let hashes = app.bytes_of(&format!("/ledger/tile/0/{index:03}{partial}"), NOBODY).await;
        let mut entries =
            app.bytes_of(&format!("/ledger/tile/entries/{index:03}{partial}"), &app.key).await.into_iter();
        let (hashes, _) = hashes.as_chunks::<32>();
        assert_eq!(u64::try_from(hashes.len()), Ok(width));
        for hash in hashes {
            let length = usize::from(entries.next().expect("a length")) * 256
                + usize::from(entries.next().expect("a length"));
            let leaf: Vec<u8> = entries.by_ref().take(length).collect();
            assert_eq!(leaf_hash(&leaf).as_bytes(), hash);
            frontier.push(Hash::from_bytes(*hash)).expect("room");
        }
        assert_eq!(entries.next(), None);
    }
    assert_eq!(frontier.root(), root);
    let full = app.get("/ledger/checkpoint", NOBODY).await.expect(200);
    assert!(full.header("cache-control").contains("no-cache"));
}

async fn a_tile_that_is_not_signed_is_not_found(app: TestApp) {
    app.wait_for_the_trail().await;
    for path in [
        "0/000",
        "0/001.p/1",
        "1/000.p/1",
        "0/000.p/255",
        "0/000.p/0",
        "8/000",
        "0/0",
        "x/000",
        "0/x000/000",
        "entries/000",
    ] {
        app.get(&format!("/ledger/tile/{path}"), &app.key).await.refused(404, "not-found");
    }
}

async fn s25_reading_the_trail_is_recorded_once_in_ten_minutes(app: TestApp) {
    let ada = app.register("Ada").await;
    let reads = async || app.entries("type=AuditRead").await;
    // Listing the reads is a read as well, and its question is always the same.
    reads().await;
    let of_ada = format!("/v1/audit/entries?user={}", ada.id);
    for _ in 0..3 {
        app.get(&of_ada, &app.key).await.expect(200);
    }
    let about_ada =
        |reads: &[Value]| reads.iter().filter(|read| read["data"]["filter"]["user"] == ada.id).count();
    app.wait_for_the_trail().await;
    app.eventually("the read is in the trail", async || about_ada(&reads().await) == 1).await;
    let found = reads().await;
    let read = found.iter().find(|read| read["data"]["filter"]["user"] == ada.id).expect("a read");
    assert_eq!(
        (&read["actor"]["name"], &read["data"]["filter"]["route"]),
        (&json!("suites"), &json!("entries"))
    );
    app.advance_s(599);
    app.get(&of_ada, &app.key).await.expect(200);
    app.advance_s(1);
    app.get(&of_ada, &app.key).await.expect(200);
    app.eventually("the second is in the trail", async || about_ada(&reads().await) == 2).await;
}

async fn s25_every_export_is_recorded(app: TestApp) {
    for _ in 0..2 {
        app.get("/v1/audit/export?format=csv", &app.key).await.expect(200);
    }
    app.eventually("both are in the trail", async || app.entries("type=AuditExported").await.len() == 2)
        .await;
    let exported = app.entries("type=AuditExported").await;
    assert!(
        exported.iter().all(|entry| entry["data"]["format"] == "csv" && entry["actor"]["name"] == "suites")
    );
}

async fn an_export_has_every_entry_once_and_in_order(app: TestApp) {
    // More than a page.
    for number in 0..20 {
        let (person, two_factor) = app.register_with_two_factor(&format!("Ada {number}")).await;
        for _ in 0..5 {
            app.sign_in_with(&person, &two_factor).await;
        }
    }
    app.wait_for_the_trail().await;
    let exported = app.get("/v1/audit/export?format=ndjson", &app.key).await.expect(200);
    let size: i64 = exported.header("countersign-ledger-size").parse().expect("a size");
    assert!(size > 500, "{size}");
    let lines: Vec<Value> =
        exported.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let mut positions: Vec<i64> = lines.iter().map(position).collect();
    let times: Vec<&str> = lines.iter().map(|line| line["recorded_at"].as_str().expect("a time")).collect();
    assert!(times.is_sorted(), "not in the order of time");
    positions.sort_unstable();
    assert_eq!(positions, (0..size).collect::<Vec<_>>());
    for (format, lines_of_head) in [("csv", 1), ("ocsf", 0), ("cef", 0)] {
        let exported = app.get(&format!("/v1/audit/export?format={format}"), &app.key).await.expect(200);
        let size: usize = exported.header("countersign-ledger-size").parse().expect("a size");
        assert_eq!(exported.text.lines().count(), size + lines_of_head, "{format}");
        assert!(exported.header("content-disposition").contains("audit-trail."));
    }
}

async fn an_export_of_a_period_has_what_was_recorded_in_it(app: TestApp) {
    app.register("Ada").await;
    app.advance_s(60);
    let from = app.now();
    let grace = app.register("Grace").await;
    app.advance_s(60);
    let to = app.now();
    app.register("Edith").await;
    app.wait_for_the_trail().await;
    let time = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let path = format!("/v1/audit/export?format=ndjson&from={}&to={}", time(from), time(to));
    let exported = app.get(&path, &app.key).await.expect(200);
    let lines: Vec<Value> =
        exported.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(!lines.is_empty());
    assert!(lines.iter().all(|line| line["user_id"] == grace.id), "{}", exported.text);
}

async fn an_export_that_cannot_be_is_refused(app: TestApp) {
    for query in [
        "",
        "format=xml",
        "format=csv&from=2030-01-02T00:00:00Z&to=2030-01-01T00:00:00Z",
        "format=csv&from=now",
    ] {
        app.get(&format!("/v1/audit/export?{query}"), &app.key).await.refused(400, "malformed-request");
    }
}

async fn an_export_has_what_was_recorded_just_before(app: TestApp) {
    for name in ["Ada", "Grace", "Edith"] {
        let person = app.register(name).await;
        let exported = app.get("/v1/audit/export?format=ndjson", &app.key).await.expect(200);
        assert!(exported.text.contains(&person.id), "{name}: {}", exported.text);
    }
}

async fn an_export_of_a_trail_that_stays_behind_is_refused(app: TestApp) {
    let ada = app.register("Ada").await;
    app.wait_for_the_trail().await;
    // The trail is to begin anew, and finds an event that is gone.
    let gone = format!(
        "DELETE FROM events WHERE aggregate_id = '{}'; DELETE FROM audit_trail_v1; \
         UPDATE projection_checkpoints SET position = 0 WHERE projection = 'audit_trail'",
        ada.id
    );
    app.place.tamper(&gone).await;
    for period in ["", "&to=2020-01-01T00:00:00Z"] {
        let path = format!("/v1/audit/export?format=ndjson{period}");
        let refused = app.get(&path, &app.key).await.refused(503, "busy");
        assert!(refused.string("detail").contains("not taken in every entry"), "{}", refused.text);
    }
    let recorded = "SELECT count(*) FROM events WHERE event_type = 'AuditExported'";
    assert_eq!(app.place.number(recorded).await, 0);
}

async fn an_export_that_could_break_off_unseen_is_refused(app: TestApp) {
    use std::io::{Read as _, Write as _};

    let address = app.base().trim_start_matches("http://");
    let head = format!("Host: {address}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n", app.key);
    for (version, status) in [("1.0", "400"), ("1.1", "200")] {
        let mut connection = std::net::TcpStream::connect(address).expect("a connection");
        let asked = format!("GET /v1/audit/export?format=csv HTTP/{version}\r\n{head}");
        connection.write_all(asked.as_bytes()).expect("a request");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
        let is_refused = answer.contains("malformed-request") && answer.contains("proxy_http_version 1.1");
        assert_eq!(is_refused, version == "1.0", "{answer}");
    }
}

async fn s22_a_name_cannot_forge_a_line_in_any_export(app: TestApp) {
    let body = json!({ "email": "eve@example.com", "display_name": "=cmd|' /C calc'!A0" });
    let asked = app.request(reqwest::Method::POST, "/v1/users").token(&app.key).json(&body);
    let forging = "curl\u{85}CEF:0|x|y|1|z|forged|9|";
    asked.header("countersign-client-user-agent", forging).from_address("192.0.2.7").send().await.expect(201);
    app.wait_for_the_trail().await;
    for format in ["ndjson", "csv", "ocsf", "cef"] {
        let exported = app.get(&format!("/v1/audit/export?format={format}"), &app.key).await.expect(200);
        let size: usize = exported.header("countersign-ledger-size").parse().expect("a size");
        let ends = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
        let lines = exported.text.split(ends).filter(|line| !line.is_empty());
        assert_eq!(lines.count(), size + usize::from(format == "csv"), "{format}: {}", exported.text);
        assert!(exported.text.contains("forged"), "{format}: what should forge is not there");
        if format == "csv" {
            let named = "\"\"display_name\"\":\"\"=cmd";
            assert!(exported.text.contains(named) && !exported.text.contains(",\"=cmd"), "{}", exported.text);
        }
    }
}

async fn a_persons_filter_by_type_counts(app: TestApp) {
    let (ada, two_factor) = app.register_with_two_factor("Ada").await;
    let session = app.sign_in_with(&ada, &two_factor).await;
    let found = app.entries_as(&session.token, "type=TwoFactorEnabled").await;
    assert_eq!(
        found.iter().map(|entry| entry["type"].clone()).collect::<Vec<_>>(),
        [json!("TwoFactorEnabled")]
    );
    let found = app.entries_as(&session.token, "type=TwoFactorEnabled&type=AuthenticatorAdded").await;
    assert_eq!(found.len(), 2);
}

async fn an_entry_whose_event_is_gone_is_told_and_not_left_out(app: TestApp) {
    let ada = app.register("Ada").await;
    let before = app.entries(&format!("user={}", ada.id)).await;
    app.place.tamper(&format!("DELETE FROM events WHERE aggregate_id = '{}'", ada.id)).await;
    let after = app.entries(&format!("user={}", ada.id)).await;
    assert_eq!(after.len(), before.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&after["position"], &after["type"]), (&before["position"], &before["type"]));
        assert!(after["summary"].as_str().is_some_and(|says| says.contains("was removed")), "{after}");
        assert_eq!(after["data"], Value::Null);
    }
    let exported = app.get("/v1/audit/export?format=ndjson", &app.key).await.expect(200);
    let size: usize = exported.header("countersign-ledger-size").parse().expect("a size");
    assert_eq!(exported.text.lines().count(), size);
}

async fn every_event_commits_to_the_key_that_sealed_it(app: TestApp) {
    let ada = app.register("Ada").await;
    let grace = app.register("Grace").await;
    let mut commitments = Vec::new();
    for person in [&ada, &grace] {
        let entries = app.entries(&format!("user={}", person.id)).await;
        let mut of_person = Vec::new();
        for entry in entries {
            let path = format!("/v1/audit/entries/{}", position(&entry));
            let leaf = app.get(&path, &app.key).await.expect(200).string("leaf");
            let leaf: Value = serde_json::from_str(&leaf).expect("JSON");
            of_person.push(leaf["data_key"].as_str().expect("a commitment").to_owned());
        }
        of_person.dedup();
        assert_eq!(of_person.len(), 1, "one person, one key");
        commitments.extend(of_person);
    }
    assert_ne!(commitments[0], commitments[1]);
}
