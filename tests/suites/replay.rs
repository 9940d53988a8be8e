//! Folding everything anew gives every read model as it is, whatever happened; what is not so is named, and a
//! rebuild puts it right while the service goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use countersign_tests::{Database, Mixed, Place, TestApp, on_both_databases, program_on_both_databases};
use serde_json::{Value, json};

/// What is true of the database of every installation, whatever it is called.
const SEEDS: [u8; 3] = [1, 2, 3];
const ACTS: usize = 150;

mod in_process {
    use super::*;

    on_both_databases![
        after_any_mix_of_commands_every_read_model_equals_its_replay,
        what_a_rebuild_replaces_is_what_differed,
        rebuilding_while_eight_clients_write_loses_and_repeats_nothing,
    ];
}

mod program {
    use super::*;

    program_on_both_databases![every_difference_is_named_and_a_rebuild_puts_it_right, bad_calls_are_refused];
}

async fn after_any_mix_of_commands_every_read_model_equals_its_replay(app: TestApp) {
    for seed in SEEDS {
        let mut mixed = Mixed::default();
        app.mix(&mut mixed, seed, ACTS).await;
        app.wait_for_the_trail().await;
        let report = app.replay_report().await;
        assert!(report.holds(), "seed {seed}: {report}");
        assert!(report.size > 50 && report.events == report.size, "{report}");
        for model in &report.models {
            assert!(model.rows > 0, "seed {seed}: nothing to compare in {report}");
            assert_eq!(model.replayed, model.stored, "{report}");
        }
    }
}

/// Rows that are wrong in every way, and in every read model.
const TAMPERINGS: [(&str, &str, &str); 19] = [
    ("snapshots", "DELETE FROM snapshots WHERE aggregate_type = 'user'", "is missing"),
    (
        "snapshots",
        "UPDATE snapshots SET last_sequence = last_sequence - 1 WHERE aggregate_type = 'agreement'",
        "has another last_sequence",
    ),
    (
        "login_check",
        "UPDATE login_check_users SET two_factor_enabled = NOT two_factor_enabled",
        "has another two_factor_enabled",
    ),
    ("login_check", "DELETE FROM login_check_users", "is missing"),
    (
        "login_check",
        "UPDATE login_check_links SET role = 'superuser', linked_at = '2001-01-01T00:00:00.000000Z'",
        "has another role, linked_at",
    ),
    (
        "login_check",
        "INSERT INTO login_check_links SELECT 'zz', agreement_id, role, linked_at FROM login_check_links",
        "should not be there",
    ),
    ("login_check", "UPDATE login_check_agreements SET enforced = NOT enforced", "has another enforced"),
    ("api_keys", "UPDATE api_keys SET scopes = 'login', name = 'other'", "has another name, scopes"),
    ("webhooks", "DELETE FROM webhooks", "is missing"),
    (
        "audit_trail",
        "UPDATE audit_trail_v1 SET actor_id = 'nobody', event_type = 'Other' WHERE position = 1",
        "has another event_type, actor_id",
    ),
    (
        "coverage",
        "UPDATE coverage_v2 SET with_two_factor = with_two_factor + 1",
        "has another with_two_factor",
    ),
    ("coverage", "UPDATE coverage_v2 SET reached = reached + 1", "has another reached"),
    ("coverage", "DELETE FROM coverage_members_v2", "is missing"),
    (
        "audit_trail",
        "UPDATE projection_checkpoints SET position = position - 3 WHERE projection = 'audit_trail'",
        "has another position",
    ),
    (
        "audit_trail",
        "UPDATE projection_checkpoints SET position = position + 7 WHERE projection = 'audit_trail'",
        "has another position",
    ),
    (
        "coverage",
        "UPDATE projection_checkpoints SET position = position + 7 WHERE projection = 'coverage'",
        "has another position",
    ),
    (
        "audit_trail",
        "DELETE FROM projection_checkpoints WHERE projection = 'audit_trail'",
        "has another position",
    ),
    ("coverage", "DELETE FROM projection_checkpoints WHERE projection = 'coverage'", "has another position"),
    ("coverage", "INSERT INTO coverage_two_factor_v2 VALUES ('zz')", "should not be there"),
];

async fn every_difference_is_named_and_a_rebuild_puts_it_right(place: Arc<Place>) {
    let serving = place.serve();
    let key = place.create_api_key("suites", &countersign_tests::app::SCOPES);
    let app = TestApp::of_program(&place, &serving, &key);
    let office = app.administrator("Nordlys").await;
    let (ada, _) = app.register_with_two_factor("Ada").await;
    app.link(&office, &ada).await;
    app.enforce(&office).await;
    app.post("/v1/webhooks", &app.key, json!({ "url": "https://siem.example/in" })).await.expect(201);
    app.wait_for_the_trail().await;
    serving.stop().exits(0);

    let verify = || place.run(&["replay", "--verify"]);
    verify().exits(0);
    for (model, sql, named) in TAMPERINGS {
        place.tamper(sql).await;
        let found = verify().exits(1);
        assert!(
            found.stdout.contains(&format!("{model}: ")) && found.stdout.contains(named),
            "{sql}: {}",
            found.stdout
        );
        let rebuilt = place.run(&["replay", model]).exits(0);
        assert!(rebuilt.stdout.contains("rows replaced"), "{}", rebuilt.stdout);
        let after = verify().exits(0);
        assert!(after.stdout.starts_with("equal"), "{sql}: {}", after.stdout);
    }
    let leftovers = "SELECT count(*) AS one FROM replay_runs WHERE shape <> ''";
    assert_eq!(place.number(leftovers).await, 0);

    // An event that is gone leaves nothing to rebuild from, and nothing is touched.
    place.tamper("DELETE FROM events WHERE aggregate_type = 'user' AND sequence = 2").await;
    let found = verify().exits(1);
    assert!(found.stdout.contains("is gone") && found.stdout.contains("cannot be taken"), "{}", found.stdout);
    for model in ["snapshots", "login_check", "api_keys", "webhooks"] {
        let refused = place.run(&["replay", model]).exits(1);
        assert!(
            refused.stderr.contains("is gone") && refused.stderr.contains("nothing was changed"),
            "{}",
            refused.stderr
        );
    }
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, &key);
    app.decides(&ada, "challenge").await;
}

async fn bad_calls_are_refused(place: Arc<Place>) {
    place.run(&["replay", "--verify"]).refuses(&[match place.database {
        Database::Sqlite => "there is no database",
        #[cfg(feature = "postgres")]
        Database::Postgres => "this database has no ledger yet",
    }]);
    place.serve().stop().exits(0);
    let unknown = place.run(&["replay", "trail"]).exits(2);
    assert!(
        unknown.stderr.contains("there is no read model trail") && unknown.stderr.contains("audit_trail")
    );
    let report: Value =
        serde_json::from_str(&place.run(&["replay", "--verify", "--json"]).exits(0).stdout).expect("a value");
    assert_eq!(report["size"], report["events"]);
    assert_eq!(report["models"].as_array().expect("a value").len(), 6);
}

async fn what_a_rebuild_replaces_is_what_differed(app: TestApp) {
    let mut mixed = Mixed::default();
    app.mix(&mut mixed, 4, ACTS).await;
    app.wait_for_the_trail().await;
    let rebuilt = app.rebuild_all().await;
    assert!(rebuilt.replaced.iter().all(|(_, rows)| *rows == 0), "{rebuilt:?}");
    let people = app.place.number("SELECT count(*) FROM login_check_users").await;
    let people = u64::try_from(people).expect("a value");
    app.place.tamper("DELETE FROM login_check_users").await;
    let rebuilt = app.rebuild_all().await;
    let replaced: Vec<u64> = rebuilt.replaced.iter().map(|(_, rows)| *rows).collect();
    assert_eq!(replaced, [0, people, 0, 0, 0, 0], "{rebuilt:?}");
    let report = app.replay_report().await;
    assert!(report.holds(), "{report}");
}

async fn rebuilding_while_eight_clients_write_loses_and_repeats_nothing(app: TestApp) {
    let over = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU32::new(0));
    let office = app.administrator("Nordlys").await;
    let (ada, _) = app.register_with_two_factor("Ada").await;
    let mut clients = Vec::new();
    for number in 0..8 {
        let (app, over, written) = (app.clone(), Arc::clone(&over), Arc::clone(&written));
        let own = app.administered(&format!("Shop {number}"), &office).await;
        let ada = ada.clone();
        clients.push(tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                app.link(&own, &ada).await;
                app.enforce(&own).await;
                // What was answered is what the very next question finds, also while rows are replaced.
                let check = app.login_check(&ada).await.expect(200);
                let required = check.body["required_by"].as_array().expect("a value").clone();
                assert!(required.iter().any(|by| by["agreement_id"] == own.id.as_str()), "{required:?}");
                app.stop_enforcing(&own).await;
                let check = app.login_check(&ada).await.expect(200);
                let required = check.body["required_by"].as_array().expect("a value").clone();
                assert!(required.iter().all(|by| by["agreement_id"] != own.id.as_str()), "{required:?}");
                app.unlink(&own, &ada).await;
                written.fetch_add(4, Ordering::Relaxed);
            }
        }));
    }
    app.eventually("the clients write", async || written.load(Ordering::Relaxed) > 40).await;
    for _ in 0..3 {
        let before = written.load(Ordering::Relaxed);
        app.rebuild_all().await;
        app.eventually("they go on", async || written.load(Ordering::Relaxed) > before).await;
    }
    // Nothing is wrong while they write either.
    let report = app.replay_report().await;
    assert!(report.holds(), "{report}");
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("a value");
    }
    app.wait_for_the_trail().await;
    let report = app.replay_report().await;
    assert!(report.holds(), "{report}");
}
