//! The ledger as a stranger checks it, with a program that others wrote the decisive parts of.

pub(crate) mod second_program;

use countersign_projections::ledger::checkpoint::Signer;
use countersign_projections::ledger::tree::{Hash, leaf_hash, node_hash};
use countersign_tests::{NOBODY, TestApp, answer::string, on_both_databases};
use second_program::{Outsider, with_another_signature};
use serde_json::json;
use zeroize::Zeroizing;

on_both_databases![
    another_program_finds_the_ledger_in_order,
    another_program_finds_what_was_changed,
    entries_are_not_for_shared_caches,
];

/// The published example: its key, its checkpoint, and the proof of entry 4.
const VKEY: &str = "audit.example.com/log1+cf18fe2a+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
const ROOT_OF_4: &str = "nsix2myXQ8EemPmm0Nx8XCNDIjiZVx54RyQ43LmsQdM=";
const NOTE: &str = "audit.example.com/log1\n7\nMS3Jx+ldkyhrHmBwxQnYxnZCPTHChPuL4vtoz0SaInE=\n\n\
    — audit.example.com/log1 zxj+Kh9h7bVzrqezjg4i4hYgPbUKFQwR6SubHiacS7KiKL0z6PIjn3QhEOyoMexDCRrf1KyJEwLj8KBTqDxmFQAp6wQ=\n";
const PROOF_OF_4: &str = "c2sp.org/tlog-proof@v1\nindex 4\n\
    0e/yExo3mdPt+nPQpmAV7suZM4c539f/vHsL9HHH620=\n\
    +hpvJxFpmjUIA/5hkZtBHSvJgKS0EuD4tHtEBBz2Y8c=\n\
    nsix2myXQ8EemPmm0Nx8XCNDIjiZVx54RyQ43LmsQdM=\n\n";

/// What nothing proves.
const NOT_PROVED: &str = "invalid transparency proof";

fn example_leaf(index: u64) -> String {
    format!(r#"{{"pos":{index},"type":"test.event"}}"#)
}

/// The example's key where the first byte of the seed is 0, and another key of the same log elsewhere.
fn example_signer(first: u8) -> Signer {
    let seed = std::array::from_fn(|place| first + u8::try_from(place).expect("a small number"));
    Signer::from_seed("audit.example.com/log1".parse().expect("a name"), &Zeroizing::new(seed))
}

async fn register_people(app: &TestApp, people: std::ops::Range<u32>) {
    for number in people {
        let person = json!({ "email": format!("{number}@example.com"), "display_name": "Ada" });
        app.post("/v1/users", &app.key, person).await.expect(201);
    }
}

async fn text(app: &TestApp, path: &str) -> String {
    app.get(path, &app.key).await.expect(200).text
}

async fn leaf(app: &TestApp, position: u64) -> String {
    let path = format!("/v1/audit/entries/{position}");
    string(&app.get(&path, &app.key).await.expect(200)["leaf"])
}

async fn proof(app: &TestApp, position: u64) -> String {
    text(app, &format!("/v1/audit/entries/{position}/proof")).await
}

/// A checkpoint that covers everything written so far, and its size.
async fn checkpoint(app: &TestApp) -> (String, u64) {
    let last = app.entries("").await.first().and_then(|entry| entry["position"].as_u64());
    proof(app, last.expect("an entry")).await;
    let note = text(app, "/v1/audit/checkpoint").await;
    let size = note.lines().nth(1).and_then(|line| line.parse().ok());
    (note, size.expect("a size"))
}

async fn outsider(app: &TestApp) -> Outsider {
    Outsider::who_trusts(&app.get("/v1/audit/key", NOBODY).await.expect(200).text)
}

async fn another_program_finds_the_ledger_in_order(app: TestApp) {
    let outsider = outsider(&app).await;
    register_people(&app, 0..20).await;
    let (older, from) = checkpoint(&app).await;
    register_people(&app, 20..300).await;
    let (newer, to) = checkpoint(&app).await;
    assert!(from >= 20 && to >= 300, "there are a full tile and one that is not");

    let said = outsider.checkpoint(&newer).exits(0).stdout;
    assert!(said.contains(&format!("checkpoint of {to} entries")), "{said}");
    for position in [0, to / 2, to - 1] {
        let said = outsider.inclusion(&proof(&app, position).await, &leaf(&app, position).await).exits(0);
        assert!(said.stdout.contains(&format!("entry {position} of ")), "{}", said.stdout);
    }
    let grown = text(&app, &format!("/v1/audit/consistency?from={from}&to={to}")).await;
    let said = outsider.consistency(&older, &newer, &grown).exits(0).stdout;
    assert!(said.contains(&format!("from {from} to {to}")), "{said}");
    let said = outsider.tiles(app.base()).exits(0).stdout;
    // Two of leaves, and the one above them.
    assert!(said.starts_with("3 tiles"), "{said}");
    outsider.bundles(app.base(), &app.key).exits(0);
    outsider.bundles(app.base(), NOBODY).refuses(&["401"]);
}

async fn another_program_finds_what_was_changed(app: TestApp) {
    let outsider = outsider(&app).await;
    register_people(&app, 0..5).await;
    let (older, from) = checkpoint(&app).await;
    register_people(&app, 5..20).await;
    let (newer, to) = checkpoint(&app).await;

    let (true_proof, true_leaf) = (proof(&app, 8).await, leaf(&app, 8).await);
    outsider.inclusion(&true_proof, &true_leaf).exits(0);
    let mut flipped = true_leaf.clone().into_bytes();
    flipped[20] ^= 1;
    let flipped = String::from_utf8(flipped).expect("still text");
    outsider.inclusion(&true_proof, &flipped).refuses(&[NOT_PROVED]);
    outsider.inclusion(&true_proof, &leaf(&app, 9).await).refuses(&[NOT_PROVED]);
    let moved = true_proof.replacen("index 8\n", "index 9\n", 1);
    outsider.inclusion(&moved, &true_leaf).refuses(&[NOT_PROVED]);
    outsider.inclusion(&with_another_signature(&true_proof), &true_leaf).refuses(&["invalid signature"]);

    outsider.checkpoint(&with_another_signature(&newer)).refuses(&["invalid signature"]);
    let larger = newer.replacen(&format!("\n{to}\n"), &format!("\n{}\n", to + 1), 1);
    outsider.checkpoint(&larger).refuses(&["invalid signature"]);
    Outsider::who_trusts(VKEY).checkpoint(&newer).refuses(&["no verifiable signatures"]);
    Outsider::who_trusts(VKEY).tiles(app.base()).refuses(&["no verifiable signatures"]);

    let grown = text(&app, &format!("/v1/audit/consistency?from={from}&to={to}")).await;
    outsider.consistency(&older, &newer, &grown).exits(0);
    let from_elsewhere = text(&app, &format!("/v1/audit/consistency?from={}&to={to}", from - 1)).await;
    outsider.consistency(&older, &newer, &from_elsewhere).refuses(&[NOT_PROVED]);
    outsider.consistency(&newer, &older, &grown).refuses(&["invalid inputs"]);
    outsider.consistency(&with_another_signature(&older), &newer, &grown).refuses(&["older checkpoint"]);
}

async fn entries_are_not_for_shared_caches(app: TestApp) {
    register_people(&app, 0..1).await;
    let (_, size) = checkpoint(&app).await;
    let caching = async |path: &str, token: &str| {
        let answer = app.get(&format!("{path}/000.p/{size}"), token).await.expect(200);
        answer.header("cache-control").to_owned()
    };
    assert_eq!(caching("/ledger/tile/0", NOBODY).await, "public, max-age=31536000, immutable");
    // It needs a token, and a shared cache would hand it to whoever has none.
    assert_eq!(caching("/ledger/tile/entries", &app.key).await, "private, max-age=31536000, immutable");
}

#[test]
fn another_program_agrees_with_the_published_example() {
    let outsider = Outsider::who_trusts(VKEY);
    let said = outsider.checkpoint(NOTE).exits(0).stdout;
    assert_eq!(said, "checkpoint of 7 entries, root MS3Jx+ldkyhrHmBwxQnYxnZCPTHChPuL4vtoz0SaInE=\n");
    let proof = format!("{PROOF_OF_4}{NOTE}");
    outsider.inclusion(&proof, &example_leaf(4)).exits(0);
    let extra = proof.replacen("index 4", "extra AAEC\nindex 4", 1);
    outsider.inclusion(&extra, &example_leaf(4)).exits(0);
    outsider.inclusion(&proof, &example_leaf(5)).refuses(&[NOT_PROVED]);
    outsider.inclusion(&proof.replacen("index 4", "index 5", 1), &example_leaf(4)).refuses(&[NOT_PROVED]);
}

#[test]
fn another_program_finds_a_log_that_was_written_anew() {
    let (outsider, signer) = (Outsider::who_trusts(VKEY), example_signer(0));
    let [four, five, six] = [4, 5, 6].map(|index| leaf_hash(example_leaf(index).as_bytes()));
    let grown = format!("{}\n", node_hash(node_hash(four, five), six));
    let older = signer.sign(4, Hash::from_base64(ROOT_OF_4).expect("a root"));
    outsider.consistency(&older, NOTE, &grown).exits(0);
    // Signed with the right key, and yet of another history.
    outsider.consistency(&signer.sign(4, four), NOTE, &grown).refuses(&[NOT_PROVED]);
    let other_key = example_signer(1).sign(4, Hash::from_base64(ROOT_OF_4).expect("a root"));
    outsider.consistency(&other_key, NOTE, &grown).refuses(&["no verifiable signatures"]);
}
