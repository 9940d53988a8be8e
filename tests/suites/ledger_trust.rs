//! What the program believes of a ledger, and what it refuses: keys, names, bundles for auditors, and what
//! `verify` and `doctor` say.

mod adopting;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign_tests::{Database, Place, TestApp, app::SCOPES, program::Ran, program_on_both_databases};
use serde_json::Value;

program_on_both_databases![
    the_ledger_key_is_for_its_owner_only,
    a_missing_ledger_key_is_not_replaced_by_a_new_one,
    a_ledger_key_of_another_database_is_refused,
    a_broken_ledger_key_is_refused,
    a_ledger_is_named_once_and_for_all,
    a_name_that_no_log_can_have_is_refused,
    the_head_is_kept_outside_the_database,
    s23_a_flipped_byte_is_named_by_verify,
    s23_a_removed_last_entry_is_found,
    s23_a_tree_signed_with_another_key_is_found,
    s23_a_time_that_sorts_elsewhere_is_found,
    s23_an_event_that_was_taken_from_its_person_is_found,
    verify_without_a_ledger_says_so,
    a_bundle_is_verified_without_the_database,
    a_bundle_of_what_came_since_is_verified_from_the_auditors_checkpoint,
    a_tampered_bundle_does_not_hold,
    a_bundle_that_cannot_be_is_refused,
    the_command_line_prints_the_trail_as_the_api_exports_it,
    the_command_line_prints_no_trail_that_stops_before_its_end,
    doctor_finds_nothing_on_a_sound_installation,
    doctor_says_what_is_wrong,
    doctor_says_that_nothing_refuses_changes,
];

/// Serves once, with some events.
async fn lived(place: &Arc<Place>, names: &[&str]) {
    let key = place.create_api_key("lived", &SCOPES);
    let serving = place.serve();
    let app = TestApp::of_program(place, &serving, &key);
    for name in names {
        app.register(name).await;
    }
    serving.stop().exits(0);
}

fn file(place: &Place, name: &str) -> PathBuf {
    place.data_dir().join(name)
}

/// Keeps the file and its mode.
fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("the file is there to be written");
}

async fn the_ledger_key_is_for_its_owner_only(place: Arc<Place>) {
    use std::os::unix::fs::PermissionsExt as _;

    place.serve().stop().exits(0);
    let mode = |path: &Path| std::fs::metadata(path).expect("a key").permissions().mode() & 0o777;
    assert_eq!(mode(&file(&place, "ledger.key")), 0o600);
    std::fs::set_permissions(file(&place, "ledger.key"), std::fs::Permissions::from_mode(0o644))
        .expect("ours");
    place.cannot_serve().refuses(&["ledger.key", "chmod 600"]);
}

async fn a_missing_ledger_key_is_not_replaced_by_a_new_one(place: Arc<Place>) {
    place.serve().stop().exits(0);
    std::fs::remove_file(file(&place, "ledger.key")).expect("the key was there");
    place.cannot_serve().refuses(&["ledger.key", "put it back"]);
    assert!(!file(&place, "ledger.key").exists(), "a new key would hide that the old one is gone");
}

async fn a_ledger_key_of_another_database_is_refused(place: Arc<Place>) {
    place.serve().stop().exits(0);
    let other = Place::fresh(Database::Sqlite).await;
    other.serve().stop().exits(0);
    overwrite(&file(&place, "ledger.key"), &std::fs::read(file(&other, "ledger.key")).expect("a key"));
    place.cannot_serve().refuses(&["signed with", "every node needs the same ledger.key"]);
}

async fn a_broken_ledger_key_is_refused(place: Arc<Place>) {
    place.serve().stop().exits(0);
    for broken in [b"".as_slice(), b"nonsense", &[0xff; 31]] {
        overwrite(&file(&place, "ledger.key"), broken);
        place.cannot_serve().refuses(&["ledger.key"]);
    }
}

async fn a_ledger_is_named_once_and_for_all(place: Arc<Place>) {
    place.serve().stop().exits(0);
    // Nothing is in it yet, so it may have another name.
    place.serve_with(&[("COUNTERSIGN_LEDGER_ORIGIN", "audit.example.com/log1")]).stop().exits(0);
    lived(&place, &["Ada"]).await;
    let verified = place.run(&["verify"]).exits(0);
    assert!(verified.stdout.contains("audit.example.com/log1"), "{}", verified.stdout);
    let mut command =
        place.command(&["serve", "--listen", "127.0.0.1:0", "--ledger-origin", "other.example.com"]);
    command.stdin(std::process::Stdio::null());
    countersign_tests::program::run(command).refuses(&["audit.example.com/log1", "once and for all"]);
}

/// Tries to serve a ledger of this name.
fn named(place: &Place, name: &str) -> Ran {
    place.run(&["serve", "--listen", "127.0.0.1:0", "--ledger-origin", name])
}

async fn a_name_that_no_log_can_have_is_refused(place: Arc<Place>) {
    for name in ["", "two words", "a+b", "line\nfeed"] {
        named(&place, name).refuses(&["ledger_origin"]);
    }
}

async fn the_head_is_kept_outside_the_database(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    let head = std::fs::read_to_string(file(&place, "ledger.head")).expect("a head");
    let signed: Vec<String> = place.column("SELECT checkpoint FROM ledger_state").await;
    assert_eq!(signed, [head]);
}

fn findings(verified: &Ran) -> Vec<Value> {
    let report: Value = serde_json::from_str(&verified.stdout).expect("JSON");
    assert_eq!(report["holds"], false);
    report["findings"].as_array().expect("findings").clone()
}

async fn s23_a_flipped_byte_is_named_by_verify(place: Arc<Place>) {
    lived(&place, &["Ada", "Grace"]).await;
    place.run(&["verify"]).exits(0);
    let position =
        place.number("SELECT min(position) FROM ledger_entries WHERE aggregate_type = 'user'").await;
    place
        .tamper(&format!(
            "UPDATE events SET payload = CAST(replace(CAST(payload AS text), 'UserRegistered', 'UserRegisterec') AS json) \
             WHERE event_id = (SELECT e.event_id FROM events e JOIN ledger_entries l ON l.aggregate_type = e.aggregate_type \
             AND l.aggregate_id = e.aggregate_id AND l.sequence = e.sequence WHERE l.position = {position})"
        ))
        .await;
    let verified = place.run(&["verify", "--json"]).exits(1);
    let findings = findings(&verified);
    assert!(
        findings.iter().any(|finding| finding["position"] == position && finding["field"] == "payload"),
        "{findings:?}"
    );
    let verified = place.run(&["verify"]).exits(1);
    assert!(verified.stdout.contains(&format!("position {position}")), "{}", verified.stdout);
}

async fn s23_a_removed_last_entry_is_found(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    place
        .tamper(
            "DELETE FROM events WHERE EXISTS (SELECT 1 FROM ledger_entries l WHERE l.aggregate_type = events.aggregate_type \
             AND l.aggregate_id = events.aggregate_id AND l.sequence = events.sequence \
             AND l.position = (SELECT max(position) FROM ledger_entries)); \
             DELETE FROM ledger_entries WHERE position = (SELECT max(position) FROM ledger_entries)",
        )
        .await;
    let last = place.number("SELECT size - 1 FROM ledger_state").await;
    let found = findings(&place.run(&["verify", "--json"]).exits(1));
    assert!(found.iter().any(|finding| finding["position"] == last), "{found:?}");
}

async fn s23_a_tree_signed_with_another_key_is_found(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    let other = Place::fresh(Database::Sqlite).await;
    lived(&other, &["Ada"]).await;
    let foreign = other.column("SELECT checkpoint FROM ledger_state").await;
    place.tamper(&format!("UPDATE ledger_state SET checkpoint = '{}'", foreign[0])).await;
    let verified = place.run(&["verify"]).exits(1);
    assert!(verified.stdout.contains("checkpoint"), "{}", verified.stdout);
    let key = other.column("SELECT verifier_key FROM ledger_state").await;
    place.tamper(&format!("UPDATE ledger_state SET verifier_key = '{}'", key[0])).await;
    place.run(&["verify"]).refuses(&["signed with"]);
    place.cannot_serve().refuses(&["signed with", "ledger.key"]);
}

/// The same moment in a time zone in which it is the next day.
const RESPELLED: &str =
    "strftime('%Y-%m-%dT%H:%M:', recorded_at, '+23 hours') || substr(recorded_at, 18, 9) || '+23:00'";

async fn s23_a_time_that_sorts_elsewhere_is_found(place: Arc<Place>) {
    // PostgreSQL has moments, and does not keep how they were spelled.
    if place.database != Database::Sqlite {
        return;
    }
    let key = place.create_api_key("lived", &SCOPES);
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, &key);
    app.register("Ada").await;
    app.wait_for_the_trail().await;
    serving.stop().exits(0);
    let last = place.number("SELECT size - 1 FROM ledger_state").await;
    place.run(&["replay", "--verify"]).exits(0);
    place
        .tamper(&format!("UPDATE audit_trail_v1 SET recorded_at = {RESPELLED} WHERE position = {last}"))
        .await;
    let compared = place.run(&["replay", "--verify"]).exits(1);
    let named = format!("audit_trail_v1 {last:019} has another recorded_at");
    assert!(compared.stdout.contains(&named), "{}", compared.stdout);
    place.run(&["replay", "audit_trail"]).exits(0);
    place.run(&["replay", "--verify"]).exits(0);
    place
        .tamper(&format!(
            "UPDATE events SET recorded_at = {RESPELLED} WHERE (aggregate_type, aggregate_id, sequence) = \
             (SELECT aggregate_type, aggregate_id, sequence FROM ledger_entries WHERE position = {last})"
        ))
        .await;
    let found = findings(&place.run(&["verify", "--json"]).exits(1));
    let named: Vec<_> = found.iter().map(|it| (it["position"].as_i64(), it["field"].as_str())).collect();
    assert_eq!(named, [(Some(last), Some("recorded_at"))]);
    let compared = place.run(&["replay", "--verify"]).exits(1);
    let named = format!("events {last:019} has another recorded_at");
    assert!(compared.stdout.contains(&named), "{}", compared.stdout);
}

async fn s23_an_event_that_was_taken_from_its_person_is_found(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    place.run(&["verify"]).exits(0);
    place.tamper("UPDATE events SET user_id = NULL WHERE aggregate_type = 'user'").await;
    let events = place.number("SELECT count(*) FROM events WHERE aggregate_type = 'user'").await;
    let found = findings(&place.run(&["verify", "--json"]).exits(1));
    assert_eq!(i64::try_from(found.len()).ok(), Some(events), "{found:?}");
    assert!(found.iter().all(|finding| finding["field"] == "user_id"), "{found:?}");
}

async fn verify_without_a_ledger_says_so(place: Arc<Place>) {
    if place.database == Database::Sqlite {
        // A mistyped directory does not become an installation.
        let adopt = ["ledger", "adopt", "--reason", "none"];
        for words in [&["verify"][..], &["export", "--out", "nowhere"], &adopt] {
            place.run(words).refuses(&["there is no database"]);
        }
        let examined = place.run(&["doctor"]).exits(1);
        assert!(examined.stdout.contains("there is no database at"), "{}", examined.stdout);
        assert_eq!(place.files(), Vec::<PathBuf>::new());
    }
    place.run(&["migrate"]).exits(0);
    place.run(&["verify"]).refuses(&["no ledger yet"]);
    place.run(&["verify", "--bundle", "somewhere"]).exits(2);
}

async fn the_command_line_prints_the_trail_as_the_api_exports_it(place: Arc<Place>) {
    let key = place.create_api_key("exporting", &SCOPES);
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, &key);
    for name in ["Ada", "Grace"] {
        app.register(name).await;
    }
    for format in ["ndjson", "csv", "ocsf", "cef"] {
        app.wait_for_the_trail().await;
        let exported = app.get(&format!("/v1/audit/export?format={format}"), &key).await.expect(200);
        let printed = place.run(&["trail", "--format", format]).exits(0);
        // More by what was recorded meanwhile, at least that the API exported it.
        let more = printed.stdout.strip_prefix(&exported.text);
        assert!(more.is_some_and(|more| more.lines().count() > 0), "{format}: {}", printed.stdout);
        assert!(printed.stderr.contains(" of the ledger's "), "{}", printed.stderr);
    }
    serving.stop().exits(0);
    let printed = place.run(&["trail"]).exits(0);
    let last: Value = serde_json::from_str(printed.stdout.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["type"], &last["actor"]["kind"]), (&"AuditExported".into(), &"operator".into()));
    assert_eq!(place.run(&["trail", "--to", "2000-01-01T00:00:00Z"]).exits(0).stdout, "");
    let period = ["trail", "--from", "2027-03-02T00:00:00Z", "--to", "2027-03-01T00:00:00Z"];
    place.run(&period).refuses(&["from must not be after to"]);
    place.run(&["trail", "--format", "xml"]).exits(2);
}

async fn the_command_line_prints_no_trail_that_stops_before_its_end(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    place.run(&["trail"]).exits(0);
    let registered = "SELECT l.position FROM ledger_entries l JOIN events e ON e.aggregate_id = l.aggregate_id \
                      AND e.sequence = l.sequence WHERE e.event_type = 'UserRegistered'";
    let position = place.number(registered).await;
    // The trail is to begin anew, and finds an event that is gone.
    place
        .tamper(
            "DELETE FROM events WHERE event_type = 'UserRegistered'; DELETE FROM audit_trail_v1; \
             UPDATE projection_checkpoints SET position = 0 WHERE projection = 'audit_trail'",
        )
        .await;
    let stops = format!("stops before entry {position}");
    for period in [&["trail"][..], &["trail", "--to", "2000-01-01T00:00:00Z"]] {
        place.run(period).refuses(&["the audit trail", &stops, "countersign verify"]);
    }
}

/// Exports a bundle, and the policy that an auditor keeps by another way.
fn export(place: &Place, name: &str, more: &[&str]) -> (String, String) {
    let bundle = file(place, name).display().to_string();
    let exported = place.run(&[&["export", "--out", &bundle], more].concat()).exits(0);
    let key = exported.stderr.lines().last().expect("the key").to_owned();
    let policy = file(place, "auditor.policy");
    std::fs::write(&policy, format!("log {key}\nquorum none\n")).expect("a policy");
    (bundle, policy.display().to_string())
}

/// The program alone: no database, no settings.
fn verify_offline(words: &[&str]) -> Ran {
    let mut command = countersign_tests::program::bare_command();
    command.arg("verify").args(words).current_dir("/");
    countersign_tests::program::run(command)
}

async fn a_bundle_is_verified_without_the_database(place: Arc<Place>) {
    lived(&place, &["Ada", "Grace"]).await;
    let (bundle, policy) = export(&place, "bundle", &[]);
    let verified = verify_offline(&["--bundle", &bundle, "--policy", &policy]).exits(0);
    assert!(verified.stdout.contains("The bundle holds"), "{}", verified.stdout);
    assert!(verified.stdout.contains("Not proved"), "{}", verified.stdout);
    let report = verify_offline(&["--bundle", &bundle, "--policy", &policy, "--json"]).exits(0);
    let report: Value = serde_json::from_str(&report.stdout).expect("JSON");
    assert_eq!(report["holds"], true);
    // Handing it out is on record, after what was handed out.
    let recorded = "SELECT count(*) FROM events WHERE event_type = 'AuditExported'";
    assert_eq!(place.number(recorded).await, 1);
}

async fn a_bundle_of_what_came_since_is_verified_from_the_auditors_checkpoint(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    let (first, policy) = export(&place, "first", &[]);
    let held = format!("{first}/checkpoint");
    let size =
        std::fs::read_to_string(&held).expect("a checkpoint").lines().nth(1).expect("a size").to_owned();
    lived(&place, &["Grace"]).await;
    let (second, _) = export(&place, "second", &["--from", &size]);
    let words = ["--bundle", &second, "--policy", &policy, "--checkpoint", &held];
    let verified = verify_offline(&words).exits(0);
    assert!(verified.stdout.contains("only grown"), "{}", verified.stdout);
    verify_offline(&words[..4]).refuses(&["checkpoint"]);
}

async fn a_tampered_bundle_does_not_hold(place: Arc<Place>) {
    lived(&place, &["Ada", "Grace"]).await;
    let (bundle, policy) = export(&place, "bundle", &[]);
    let words = ["--bundle", &bundle, "--policy", &policy];
    for (name, said) in [("events.jsonl", "position"), ("checkpoint", "checkpoint")] {
        let path = Path::new(&bundle).join(name);
        let sound = std::fs::read(&path).expect("a file");
        let mut flipped = sound.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        overwrite(&path, &flipped);
        let verified = verify_offline(&words).exits(1);
        assert!(!verified.stdout.contains("holds."), "{}", verified.stdout);
        assert!(format!("{}{}", verified.stdout, verified.stderr).contains(said), "{name}: {verified:?}");
        overwrite(&path, &sound[..sound.len() / 2]);
        verify_offline(&words).exits(1);
        overwrite(&path, &sound);
    }
    verify_offline(&words).exits(0);
    std::fs::remove_file(Path::new(&bundle).join("checkpoint")).expect("it was there");
    verify_offline(&words).refuses(&["checkpoint"]);
}

async fn a_bundle_that_cannot_be_is_refused(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    let out = file(&place, "bundle").display().to_string();
    for extent in [&["--from", "3", "--to", "2"][..], &["--to", "100000"], &["--from", "100000"]] {
        place.run(&[&["export", "--out", &out], extent].concat()).refuses(&["the ledger has"]);
    }
    place.run(&["export", "--out", &out, "--from", "one"]).exits(2);
    let full = place.data_dir().display().to_string();
    place.run(&["export", "--out", &full]).refuses(&["not empty"]);
    // What was not handed out is not recorded as handed out.
    assert_eq!(place.number("SELECT count(*) FROM events WHERE event_type = 'AuditExported'").await, 0);
    let (bundle, _) = export(&place, "earlier", &["--to", "1"]);
    assert_eq!(std::fs::read_to_string(format!("{bundle}/events.jsonl")).expect("leaves").lines().count(), 1);
}

async fn doctor_finds_nothing_on_a_sound_installation(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    let serving = place.serve();
    let examined = place.run(&["doctor"]).exits(0);
    for name in [
        "database",
        "migrations",
        "clock",
        "master key",
        "ledger key",
        "ledger head",
        "audit trail",
        "coverage",
        "triggers",
    ] {
        assert!(examined.stdout.contains(name), "{name}: {}", examined.stdout);
    }
    // A file has no collation.
    assert_eq!(examined.stdout.contains("ok     collation"), place.database != Database::Sqlite);
    assert!(!examined.stdout.contains("WRONG"), "{}", examined.stdout);
    let checks: Value =
        serde_json::from_str(&place.run(&["doctor", "--json"]).exits(0).stdout).expect("JSON");
    assert!(checks.as_array().is_some_and(|checks| checks.len() > 6));
    drop(serving);
}

async fn doctor_says_what_is_wrong(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    std::fs::rename(file(&place, "ledger.key"), file(&place, "elsewhere")).expect("the key was there");
    let examined = place.run(&["doctor"]).exits(1);
    let wrong: Vec<&str> = examined.stdout.lines().filter(|line| line.starts_with("WRONG")).collect();
    assert!(matches!(wrong.as_slice(), [line] if line.contains("ledger.key")), "{}", examined.stdout);
    std::fs::rename(file(&place, "elsewhere"), file(&place, "ledger.key")).expect("it is put back");
    overwrite(&file(&place, "master.key"), b"nonsense");
    let examined = place.run(&["doctor"]).exits(1);
    assert!(examined.stdout.contains("WRONG  master key"), "{}", examined.stdout);
}

async fn doctor_says_that_nothing_refuses_changes(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    place
        .tamper(match place.database {
            // Tampering takes the triggers away by itself.
            Database::Sqlite => "",
            #[cfg(feature = "postgres")]
            Database::Postgres => "ALTER TABLE ledger_entries DISABLE TRIGGER ALL",
        })
        .await;
    let examined = place.run(&["doctor"]).exits(1);
    assert!(examined.stdout.contains("WRONG  triggers"), "{}", examined.stdout);
}
