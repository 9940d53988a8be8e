//! Databases that were rolled back, forked, or written by somebody else, and going on from them on the record.

use std::sync::Arc;

#[cfg(feature = "postgres")]
use countersign_tests::Database;
use countersign_tests::{Place, TestApp, app::SCOPES, program_on_both_databases};

use super::{file, lived, overwrite};

program_on_both_databases![
    a_database_that_was_rolled_back_is_refused_and_can_be_adopted,
    a_database_that_was_forked_is_refused,
    a_ledger_that_has_grown_needs_no_adopting,
    an_event_that_lost_its_place_in_the_queue_is_put_back_by_adopting,
    what_stands_for_nothing_is_taken_out_of_the_queue_by_adopting,
    a_spoiled_checkpoint_is_named_and_the_ledger_can_be_adopted,
];

async fn a_database_that_was_rolled_back_is_refused_and_can_be_adopted(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    let backup = place.back_up().await;
    lived(&place, &["Grace", "Edith"]).await;
    place.restore(backup).await;
    place.cannot_serve().refuses(&["rolled back", "ledger.head", "ledger adopt"]);
    let verified = place.run(&["verify"]).exits(1);
    assert!(verified.stdout.contains("rolled back"), "{}", verified.stdout);
    let kept = place.number("SELECT size FROM ledger_state").await;
    let adopted = place.run(&["ledger", "adopt", "--reason", "restored last night's copy"]).exits(0);
    assert!(adopted.stdout.contains("goes on in place of one of"), "{}", adopted.stdout);
    place.run(&["verify"]).exits(0);
    let key = place.create_api_key("after", &SCOPES);
    let serving = place.serve();
    let app = TestApp::of_program(&place, &serving, &key);
    // Another process wrote it, so there is no write to wait for.
    app.eventually("it is in the trail", async || app.entries("type=LedgerAdopted").await.len() == 1).await;
    let found = app.entries("type=LedgerAdopted").await;
    let data = &found[0]["data"];
    assert_eq!(data["kept"]["size"].as_i64(), Some(kept));
    assert!(data["lost"]["size"].as_i64() > Some(kept), "{data}");
    assert_eq!(data["reason"], "restored last night's copy");
    assert!(found[0]["summary"].as_str().is_some_and(|says| says.contains("restored last night's copy")));
}

async fn a_database_that_was_forked_is_refused(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    let backup = place.back_up().await;
    lived(&place, &["Grace"]).await;
    let head = std::fs::read(file(&place, "ledger.head")).expect("a head");
    place.restore(backup).await;
    // Somebody takes the head away, and lets another history grow past it.
    std::fs::remove_file(file(&place, "ledger.head")).expect("the head was there");
    lived(&place, &["Eve", "Mallory", "Trudy"]).await;
    overwrite(&file(&place, "ledger.head"), &head);
    place.cannot_serve().refuses(&["forked", "ledger.head"]);
    let verified = place.run(&["verify"]).exits(1);
    assert!(verified.stdout.contains("fork"), "{}", verified.stdout);
    // Whoever has looked into it and decides to go on does so on the record.
    let adopted = place.run(&["ledger", "adopt", "--reason", "the other node's disk was lost"]).exits(0);
    assert!(adopted.stdout.contains("goes on in place of one of"), "{}", adopted.stdout);
    place.run(&["verify"]).exits(0);
    lived(&place, &["Frances"]).await;
    place.run(&["verify"]).exits(0);
}

async fn a_ledger_that_has_grown_needs_no_adopting(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    let events = place.number("SELECT count(*) FROM events").await;
    let adopted = place.run(&["ledger", "adopt", "--reason", "none"]).exits(0);
    assert!(adopted.stdout.contains("nothing to adopt"), "{}", adopted.stdout);
    assert_eq!(place.number("SELECT count(*) FROM events").await, events);
    place.run(&["ledger", "adopt", "--reason", "two\nlines"]).refuses(&["--reason"]);
}

async fn an_event_that_lost_its_place_in_the_queue_is_put_back_by_adopting(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    // No server runs, so the event waits; somebody takes it out of the queue.
    place.create_api_key("unseen", &["login"]);
    place.tamper("DELETE FROM ledger_pending").await;
    let verified = place.run(&["verify"]).exits(1);
    assert!(verified.stdout.contains("instance/"), "{}", verified.stdout);
    let adopted = place.run(&["ledger", "adopt", "--reason", "the queue was emptied"]).exits(0);
    assert!(adopted.stdout.contains("1 events were put back"), "{}", adopted.stdout);
    place.run(&["verify"]).exits(0);
}

async fn what_stands_for_nothing_is_taken_out_of_the_queue_by_adopting(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    place
        .tamper(
            "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
             VALUES ('none', 'user', 'nobody', 1)",
        )
        .await;
    place.run(&["verify"]).exits(1);
    let adopted = place.run(&["ledger", "adopt", "--reason", "somebody wrote into the queue"]).exits(0);
    assert!(adopted.stderr.contains("stands for nothing: user/nobody/1"), "{}", adopted.stderr);
    place.run(&["verify"]).exits(0);
    let again = place.run(&["ledger", "adopt", "--reason", "none"]).exits(0);
    assert!(again.stdout.contains("nothing to adopt"), "{}", again.stdout);
}

async fn a_spoiled_checkpoint_is_named_and_the_ledger_can_be_adopted(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    let head = std::fs::read(file(&place, "ledger.head")).expect("a head");
    place.tamper("UPDATE ledger_state SET checkpoint = 'spoiled'").await;
    let examined = place.run(&["doctor"]).exits(1);
    assert!(examined.stdout.contains("the checkpoint in the database"), "{}", examined.stdout);
    assert!(place.run(&["verify"]).exits(1).stdout.contains("the stored checkpoint"));
    place.run(&["export", "--out", "unwritten"]).refuses(&["the checkpoint in the database", "ledger adopt"]);
    assert_eq!(std::fs::read(file(&place, "ledger.head")).expect("a head"), head);
    let adopted = place.run(&["ledger", "adopt", "--reason", "somebody changed the checkpoint"]).exits(0);
    assert!(adopted.stdout.contains("goes on"), "{}", adopted.stdout);
    place.run(&["verify"]).exits(0);
}

/// PostgreSQL alone has roles.
#[cfg(feature = "postgres")]
#[test]
fn the_role_that_the_documents_give_the_program_serves_and_adopts() {
    countersign_tests::run_in_place(Database::Postgres, the_documented_role_serves_and_adopts);
}

#[cfg(feature = "postgres")]
async fn the_documented_role_serves_and_adopts(place: Arc<Place>) {
    lived(&place, &["Ada"]).await;
    let operations = include_str!("../../../docs/operations.md");
    let (_, grants) = operations.split_once("```sql\nCREATE ROLE countersign_app").expect("the grants");
    let (grants, _) = grants.split_once("```").expect("their end");
    let name = countersign_tests::postgres::name_of(place.url());
    let role = format!("app_of_{name}");
    place.tamper(&format!("CREATE ROLE countersign_app{grants}").replace("countersign_app", &role)).await;
    place.create_api_key("unseen", &["login"]);
    place.tamper("DELETE FROM ledger_pending").await;
    // Every connection to this database is that role's from here on.
    place.tamper(&format!("ALTER DATABASE \"{name}\" SET role = '{role}'")).await;

    let adopted = place.run(&["ledger", "adopt", "--reason", "the queue was emptied"]).exits(0);
    assert!(adopted.stdout.contains("1 events were put back"), "{}", adopted.stdout);
    lived(&place, &["Grace"]).await;
    place.run(&["verify"]).exits(0);
    let events = "SELECT count(*) FROM events";
    let (recorded, people) =
        (place.number(events).await, place.column("SELECT user_id FROM login_check_users").await);
    place
        .run(&["user", "erase", &people[0]])
        .refuses(&["nothing was changed", "may not delete from email_claims"]);
    assert_eq!(place.number(events).await, recorded);
    let doctor = place.run(&["doctor"]).exits(0);
    assert!(doctor.stdout.contains("role may only add to the history"), "{}", doctor.stdout);
    assert!(doctor.stdout.contains("role may not vacuum it"), "{}", doctor.stdout);

    let (_, handed_over) =
        operations.split_once("ALTER TABLE ledger_pending OWNER TO").expect("what an owner may");
    let (handed_over, _) = handed_over.split_once("GRANT").expect("its end");
    let handed_over = format!("SET ROLE NONE; ALTER TABLE ledger_pending OWNER TO{handed_over}");
    let mut owner = countersign_tests::postgres::connect(place.url()).await;
    countersign_tests::postgres::run(&mut owner, &handed_over.replace("countersign_app", &role)).await;
    let doctor = place.run(&["doctor"]).exits(0);
    assert!(doctor.stdout.contains("role may vacuum it"), "{}", doctor.stdout);
    lived(&place, &["Linus"]).await;
}
