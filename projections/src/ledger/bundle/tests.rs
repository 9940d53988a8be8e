mod packs;

use std::fs;
use std::path::PathBuf;

use sha2::Digest;
use tempfile::TempDir;

use super::*;
use crate::ledger::proof::{self, Receipt};
use crate::ledger::testing::history::{Entry, history};
use crate::ledger::testing::{Stored, VKEY, signer};
use crate::ledger::tree::{Frontier, Hash};
use crate::ledger::verify::{Finding, Problem};

/// A bundle of a small ledger, to be tampered with.
struct Made {
    directory: TempDir,
    stored: Stored,
}

fn policy() -> Policy {
    Policy::of(VKEY.parse().unwrap())
}

/// The checkpoint of the first `size` entries.
fn note(stored: &Stored, size: u64) -> String {
    signer(0).sign(size, stored.root(size))
}

fn frontier(entries: &[Entry]) -> Frontier {
    let mut frontier = Frontier::default();
    for entry in entries {
        frontier.push(entry.hash()).unwrap();
    }
    frontier
}

fn receipt(stored: &Stored, index: u64, size: u64) -> Receipt {
    let hashes = stored.hashes(&proof::inclusion(index, size).unwrap());
    Receipt { extra: None, index, hashes, checkpoint: note(stored, size) }
}

fn write(entries: &[Entry], from: u64) -> Made {
    let (directory, size) = (tempfile::tempdir().unwrap(), entries.len() as u64);
    let (before, after) = entries.split_at(usize::try_from(from).unwrap());
    let stored = Stored::of_leaves(entries.iter().map(Entry::hash).collect());
    let mut writer = BundleWriter::create(directory.path(), from, size).unwrap();
    for entry in after {
        let event = entry.event.as_ref().unwrap();
        writer.push(entry.position, &entry.leaf, &event.payload, &event.metadata).unwrap();
    }
    let consistency = stored.hashes(&proof::consistency(from, size).unwrap());
    let frontier = frontier(before);
    let proofs: Vec<Receipt> =
        proof_positions(from, size).map(|index| receipt(&stored, index, size)).collect();
    let manifest = Manifest {
        origin: "audit.example.com/log1".to_owned(),
        from,
        size,
        made_at: "2030-03-17T17:46:40Z".parse().unwrap(),
        made_by: "countersign 0".to_owned(),
    };
    let growth = Growth { consistency: &consistency, frontier: &frontier };
    let closing = Closing {
        checkpoint: &note(&stored, size),
        growth: (from > 0).then_some(growth),
        proofs: &proofs,
        policy: &policy(),
        manifest: &manifest,
    };
    writer.finish(&closing).unwrap();
    Made { directory, stored }
}

impl Made {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Changes the text of a file; it must change.
    fn change(&self, name: &str, change: impl FnOnce(&str) -> String) {
        let text = self.read(name);
        let changed = change(&text);
        assert_ne!(text, changed);
        fs::write(self.path(name), changed).unwrap();
    }

    /// The only pack.
    fn pack(&self) -> String {
        let names: Vec<_> =
            fs::read_dir(self.path(PAYLOADS)).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names.len(), 1);
        format!("{PAYLOADS}/{}", names[0].to_str().unwrap())
    }

    fn verify(&self, previous: Option<u64>) -> Result<BundleReport, BundleError> {
        let previous = previous.map(|size| note(&self.stored, size));
        verify_bundle(self.directory.path(), &policy(), previous.as_deref(), |_, _| {})
    }

    fn refusal(&self, previous: Option<u64>) -> String {
        self.verify(previous).unwrap_err().to_string()
    }

    fn findings(&self, previous: Option<u64>) -> Vec<(Option<u64>, String)> {
        let report = self.verify(previous).unwrap();
        assert!(!report.holds() && report.proved().is_empty());
        assert!(report.to_string().starts_with("The bundle does NOT hold"));
        report.findings.iter().map(|it: &Finding| (it.position(), it.field().to_owned())).collect()
    }
}

fn at(position: u64, field: &str) -> (Option<u64>, String) {
    (Some(position), field.to_owned())
}

fn root() -> (Option<u64>, String) {
    (None, "root".to_owned())
}

#[test]
fn a_bundle_of_any_size_holds() {
    for size in [1, 2, 17, 40] {
        let made = write(&history(size), 0);
        let report = made.verify(None).unwrap();
        assert!(report.holds(), "{report}");
        assert_eq!((report.size, report.source.from, report.streams), (size, 0, size.min(5)));
        assert_eq!((report.source.proofs, report.grown_from), (size.min(16), None));
        assert_eq!(report.root, made.stored.root(size));
        assert!(report.to_string().contains(&format!("all {size} entries")));
        assert!(report.to_string().contains("left out before it was recorded"));
    }
}

#[test]
fn an_empty_ledger_is_a_bundle_that_shows_nothing() {
    let made = write(&[], 0);
    let report = made.verify(None).unwrap();
    assert!(!report.holds() && report.proved().is_empty());
    assert_eq!(report.to_string(), "The bundle has no entries: there is nothing to verify.\n");
    fs::write(made.path(CHECKPOINT), signer(0).sign(0, Hash::from_bytes([1; 32]))).unwrap();
    assert_eq!(made.findings(None), [root()]);
}

#[test]
fn a_bundle_goes_on_from_the_auditors_checkpoint() {
    for (from, size) in [(1, 2), (7, 20), (16, 20), (19, 20), (20, 20)] {
        let made = write(&history(size), from);
        let report = made.verify(Some(from)).unwrap();
        assert!(report.holds(), "{report}");
        assert_eq!((report.source.from, report.grown_from), (from, Some(from)));
        assert!(report.to_string().contains("lead from your earlier checkpoint"));
        assert!(made.refusal(None).contains(&format!("begins at position {from}: it needs your earlier")));
        assert!(made.refusal(Some(from - 1)).contains("does not go on from your earlier checkpoint"));
    }
}

#[test]
fn an_earlier_checkpoint_is_compared_also_with_a_whole_bundle() {
    let made = write(&history(20), 0);
    for earlier in [0, 1, 7, 20] {
        let report = made.verify(Some(earlier)).unwrap();
        assert!(report.holds(), "{report}");
        assert!(report.to_string().contains(&format!("since your checkpoint of {earlier} entries")));
    }
    let forked = signer(0).sign(7, made.stored.root(8));
    let report = verify_bundle(made.directory.path(), &policy(), Some(&forked), |_, _| {}).unwrap();
    assert_eq!(report.findings[0].to_string(), "the first 7 entries are not those of the earlier checkpoint");
    let never_empty = signer(0).sign(0, made.stored.root(1));
    let report = verify_bundle(made.directory.path(), &policy(), Some(&never_empty), |_, _| {}).unwrap();
    assert_eq!(report.findings[0].problem, Problem::EarlierRoot { size: 0 });
    let larger = signer(0).sign(21, made.stored.root(20));
    let error = verify_bundle(made.directory.path(), &policy(), Some(&larger), |_, _| {}).unwrap_err();
    assert!(matches!(error, BundleError::Shrunk { previous: 21, size: 20 }));
    let unsigned = signer(1).sign(7, made.stored.root(7));
    let error = verify_bundle(made.directory.path(), &policy(), Some(&unsigned), |_, _| {}).unwrap_err();
    assert!(matches!(error, BundleError::Previous(_)));
}

#[test]
fn a_forged_frontier_or_growth_is_refused() {
    let forged = || write(&history(20), 7);
    let made = forged();
    made.change(FRONTIER, |text| text.replacen('\n', "\n+", 1).replacen('+', "", 0).replace("7\n+", "6\n"));
    assert!(made.refusal(Some(7)).contains("frontier hashes"));
    let made = forged();
    let other = frontier(&history(8)[1..]);
    fs::write(
        made.path(FRONTIER),
        format!("7\n{}\n{}\n{}\n", other.hashes()[0], other.hashes()[1], other.hashes()[2]),
    )
    .unwrap();
    assert!(made.refusal(Some(7)).contains("its first entries are others"));
    let made = forged();
    made.change(CONSISTENCY, |text| text.split_inclusive('\n').skip(1).collect());
    assert!(made.refusal(Some(7)).starts_with("consistency: the proof"));
    for name in [CONSISTENCY, FRONTIER] {
        let made = forged();
        made.change(name, |text| text.trim_end().to_owned());
        assert!(made.refusal(Some(7)).contains("its last line is cut off"));
        fs::remove_file(made.path(name)).unwrap();
        assert!(made.refusal(Some(7)).contains(&format!("has no {name}")));
        // Without both it would claim to begin at the beginning.
        let other = if name == FRONTIER { CONSISTENCY } else { FRONTIER };
        fs::remove_file(made.path(other)).unwrap();
        assert!(made.refusal(Some(7)).contains("position 0: no pack"));
    }
}

#[test]
fn a_changed_payload_is_named() {
    let made = write(&history(20), 0);
    let pack = made.pack();
    made.change(&pack, |text| text.replacen(r#""step":7"#, r#""step":8"#, 1));
    assert_eq!(made.findings(None), [at(0, "payload"), at(7, "payload")]);
    let made = write(&history(20), 0);
    made.change(&made.pack(), |text| text.replacen("000900000007", "000900000006", 1));
    assert_eq!(made.findings(None), [at(0, "payload"), at(7, "metadata")]);
    let made = write(&history(20), 0);
    let mut bytes = fs::read(made.path(&made.pack())).unwrap();
    let place = bytes.len() - 5;
    bytes[place] = 0xff;
    fs::write(made.path(&made.pack()), bytes).unwrap();
    assert_eq!(made.findings(None), [at(0, "payload"), at(19, "metadata")]);
    // Under the name that its contents have now, the pack is still not what was recorded.
    let made = write(&history(20), 0);
    let pack = made.pack();
    made.change(&pack, |text| text.replacen(r#""step":7"#, r#""step":8"#, 1));
    let digest = Hash::from_bytes(sha2::Sha256::digest(made.read(&pack)).into()).to_hex();
    fs::rename(made.path(&pack), made.path(&format!("{PAYLOADS}/{digest}"))).unwrap();
    assert_eq!(made.findings(None), [at(7, "payload")]);
}

#[test]
fn changed_entries_are_named() {
    let changed = |change: fn(Vec<&str>) -> Vec<&str>| {
        let made = write(&history(20), 0);
        made.change(EVENTS, |text| change(text.split_inclusive('\n').collect()).concat());
        made
    };
    let fields = |made: &Made, position: u64| -> Vec<String> {
        let findings = made.findings(None);
        assert_eq!(findings[0], root());
        findings.into_iter().filter(|it| it.0 == Some(position)).map(|it| it.1).collect()
    };
    let swapped = changed(|mut lines| {
        lines.swap(6, 11);
        lines
    });
    assert_eq!(fields(&swapped, 6), ["payload", "metadata", "proof", "sequence"]);
    assert_eq!(fields(&swapped, 11), ["payload", "metadata", "proof"]);
    for removed in [0, 6, 19] {
        let made = write(&history(20), 0);
        let kept = |text: &str| {
            let lines = text.split_inclusive('\n').enumerate().filter(|(place, _)| *place != removed);
            lines.map(|(_, line)| line).collect::<String>()
        };
        made.change(EVENTS, kept);
        let first = if removed < 19 { "payload" } else { "position" };
        assert_eq!(made.findings(None)[1], at(removed as u64, first));
        assert_eq!(fields(&made, 19), ["position"]);
    }
    let inserted = changed(|mut lines| {
        lines.insert(7, lines[6]);
        lines
    });
    assert_eq!(inserted.findings(None)[1], at(7, "payload"));
    assert_eq!(fields(&inserted, 20), ["position"]);
    let exchanged = changed(|mut lines| {
        lines[7] = lines[6];
        lines
    });
    assert_eq!(fields(&exchanged, 7), ["payload", "metadata", "proof", "sequence"]);
    let cut = changed(|mut lines| {
        lines[19] = lines[19].trim_end();
        lines
    });
    assert_eq!(cut.refusal(None), "events.jsonl: its last line is cut off");
    let broken = changed(|mut lines| {
        lines[6] = "{}\n";
        lines
    });
    assert_eq!(fields(&broken, 6), ["leaf", "proof"]);
}

#[test]
fn only_the_auditors_policy_is_believed() {
    let made = write(&history(20), 0);
    // Signed with another key, which the bundle's own policy vouches for.
    let other = signer(1);
    fs::write(made.path(CHECKPOINT), other.sign(20, made.stored.root(20))).unwrap();
    fs::write(made.path(POLICY), Policy::of(other.verifier().clone()).to_string()).unwrap();
    assert!(made.refusal(None).contains("the bundle's checkpoint: the checkpoint has no signature by"));
    fs::write(made.path(CHECKPOINT), signer(0).sign(20, made.stored.root(19))).unwrap();
    assert!(made.findings(None).contains(&root()));
    fs::write(made.path(CHECKPOINT), signer(0).sign(u64::MAX / 2, made.stored.root(19))).unwrap();
    assert!(made.findings(None).contains(&at(20, "position")));
    fs::write(made.path(CHECKPOINT), note(&made.stored, 19)).unwrap();
    assert_eq!(made.refusal(None), format!("{} goes on after position 18", made.pack()));
    made.change(CHECKPOINT, |text| text.replacen("19", "18", 1));
    assert!(made.refusal(None).contains("signature by audit.example.com/log1 is wrong"));
    fs::remove_file(made.path(CHECKPOINT)).unwrap();
    assert!(made.refusal(None).contains("has no checkpoint: it was not finished"));
}

#[test]
fn receipts_must_hold_and_be_of_what_they_are_called() {
    let made = write(&history(20), 0);
    assert_eq!(fs::read_dir(made.path(PROOFS)).unwrap().count(), 16);
    let proof = |index: u64| format!("{PROOFS}/{index}.tlog-proof");
    fs::copy(made.path(&proof(1)), made.path(&proof(0))).unwrap();
    fs::write(made.path(&proof(2)), receipt(&made.stored, 2, 19).to_string()).unwrap();
    fs::write(made.path(&proof(3)), "c2sp.org/tlog-proof@v2\n").unwrap();
    let mut wrong = receipt(&made.stored, 5, 20);
    wrong.hashes.swap(0, 1);
    fs::write(made.path(&proof(5)), wrong.to_string()).unwrap();
    fs::copy(made.path(&proof(1)), made.path(&proof(20))).unwrap();
    let expected = [0, 2, 3, 5, 20].map(|position| at(position, "proof"));
    assert_eq!(made.findings(None), expected);
    let findings = made.verify(None).unwrap().findings;
    assert_eq!(findings[0].to_string(), "position 0: the proof of this entry is of position 1");
    for name in ["x.tlog-proof", "07.tlog-proof", "7"] {
        fs::write(made.path(&format!("{PROOFS}/{name}")), "").unwrap();
        assert_eq!(made.refusal(None), format!("proofs/{name} does not belong into a bundle"));
        fs::remove_file(made.path(&format!("{PROOFS}/{name}"))).unwrap();
    }
}

#[test]
fn missing_and_stray_files_are_named() {
    for name in [CHECKPOINT, EVENTS, POLICY, MANIFEST] {
        let made = write(&history(3), 0);
        fs::remove_file(made.path(name)).unwrap();
        assert!(made.refusal(None).contains(&format!("has no {name}")));
    }
    let made = write(&history(3), 0);
    fs::write(made.path("more"), "").unwrap();
    assert_eq!(made.refusal(None), "more does not belong into a bundle");
    let made = write(&history(3), 0);
    fs::write(made.path("payloads/more"), "").unwrap();
    assert_eq!(made.refusal(None), "payloads/more does not belong into a bundle");
    let made = write(&history(3), 0);
    fs::write(made.path("\u{1b}[2J"), "").unwrap();
    assert_eq!(
        made.refusal(None),
        "\\u{1b}[2J does not belong into a bundle",
        "no terminal is steered by it"
    );
    let made = write(&history(3), 0);
    fs::remove_file(made.path(EVENTS)).unwrap();
    std::os::unix::fs::symlink("/dev/zero", made.path(EVENTS)).unwrap();
    assert_eq!(made.refusal(None), "events.jsonl: it is not a plain file");
    let missing = made.directory.path().join("none");
    assert!(matches!(verify_bundle(&missing, &policy(), None, |_, _| {}), Err(BundleError::NoFile(_))));
}
