use super::*;
use crate::ledger::bundle::packs::{PackRange, pack_end};

#[test]
fn broken_packs_are_named() {
    let broken = |change: fn(&str) -> String| {
        let made = write(&history(20), 0);
        made.change(&made.pack(), change);
        made.refusal(None)
    };
    assert!(broken(|text| text.split_inclusive('\n').take(30).collect()).contains("ends before position 14"));
    assert!(broken(|text| format!("{text}{{}}\n")).contains("goes on after position 19"));
    assert!(
        broken(|text| text.replacen(r#""to":"20""#, r#""to":"21""#, 1)).contains("goes on after position 19")
    );
    assert!(
        broken(|text| text.replacen(r#""to":"20""#, r#""to":"19""#, 1)).contains("goes on after position 18")
    );
    assert!(
        broken(|text| text.replacen(r#""from":"0""#, r#""from":"1""#, 1)).contains("position 0: no pack")
    );
    assert!(
        broken(|text| text.replacen(r#""from":"0""#, r#""from":"00""#, 1))
            .contains("does not say which positions")
    );
    assert!(broken(|text| text.trim_end().to_owned()).contains("its last line is cut off"));
    assert!(
        broken(|text| text.replacen(r#""step":7"#, &" ".repeat(PAYLOAD_BYTES_MAX), 1))
            .contains("position 7: a line in payloads/")
    );
    assert!(broken(|_| "x".repeat(PAYLOAD_BYTES_MAX + 2)).contains("a line in payloads/"));
    assert!(broken(|_| String::new()).contains("does not say which positions"));
    let made = write(&history(20), 0);
    fs::remove_file(made.path(&made.pack())).unwrap();
    assert!(made.refusal(None).contains("position 0: no pack"));
    let made = write(&history(20), 0);
    let another = format!("{PAYLOADS}/{}", "0".repeat(64));
    fs::write(made.path(&another), PackRange { from: 20, to: 21 }.to_string()).unwrap();
    assert_eq!(made.refusal(None), format!("{another} goes on after position 19"));
    made.change(EVENTS, |text| text.replacen('\n', &format!("{}\n", " ".repeat(17_000)), 1));
    assert!(made.refusal(None).contains("position 0: a line in events.jsonl is longer than"));
}

#[test]
fn a_writer_takes_every_entry_once_and_only_into_an_empty_directory() {
    let (directory, entries) = (tempfile::tempdir().unwrap(), history(3));
    let push = |writer: &mut BundleWriter, entry: &Entry| {
        let event = entry.event.as_ref().unwrap();
        writer.push(entry.position, &entry.leaf, &event.payload, &event.metadata)
    };
    let mut writer = BundleWriter::create(directory.path(), 0, 2).unwrap();
    assert!(matches!(push(&mut writer, &entries[1]), Err(BundleError::Order { expected: 0, found: 1 })));
    push(&mut writer, &entries[0]).unwrap();
    assert!(matches!(push(&mut writer, &entries[0]), Err(BundleError::Order { expected: 1, found: 0 })));
    let error = writer.push(1, "{}", "{", "{}").unwrap_err().to_string();
    assert!(error.starts_with("position 1: the payload: not canonical JSON"), "{error}");
    assert!(matches!(BundleWriter::create(directory.path(), 0, 2), Err(BundleError::NotEmpty(_))));
    assert!(BundleWriter::create(&directory.path().join("other"), 3, 2).is_err());
    // What was not finished is not taken for a bundle.
    let refusal = verify_bundle(directory.path(), &policy(), None, |_, _| {}).unwrap_err();
    assert!(matches!(refusal, BundleError::NoFile(name) if name == CHECKPOINT));
}

#[test]
fn packs_end_at_the_same_positions_in_every_bundle() {
    assert_eq!([0, 8191, 8192, 9000].map(pack_end), [8192, 8192, 16384, 16384]);
    let entries = history(8200);
    let (all, later) = (write(&entries, 0), write(&entries, 8190));
    for (made, previous) in [(&all, None), (&later, Some(8190))] {
        let mut told = Vec::new();
        let previous = previous.map(|size| note(&made.stored, size));
        let report = verify_bundle(made.directory.path(), &policy(), previous.as_deref(), |done, of| {
            told.push((done, of));
        });
        assert!(report.unwrap().holds());
        let all = if previous.is_some() { 10 } else { 8200 };
        assert_eq!(told.last(), Some(&(all, all)));
        assert_eq!(fs::read_dir(made.path(PAYLOADS)).unwrap().count(), 2);
    }
    let name = |made: &Made| {
        let names = fs::read_dir(made.path(PAYLOADS)).unwrap().map(|it| it.unwrap().path());
        names.into_iter().find(|it| fs::read_to_string(it).unwrap().starts_with(r#"{"from":"8192""#)).unwrap()
    };
    assert_eq!(name(&all).file_name(), name(&later).file_name());
}

#[test]
fn proofs_are_of_the_first_the_last_and_some_between() {
    assert_eq!(proof_positions(0, 0).count(), 0);
    assert_eq!(proof_positions(7, 8).collect::<Vec<_>>(), [7]);
    assert_eq!(proof_positions(5, 9).collect::<Vec<_>>(), [5, 6, 7, 8]);
    let positions: Vec<u64> = proof_positions(10, 1_000_000).collect();
    assert_eq!((positions.len(), positions[0], positions[15]), (16, 10, 999_999));
    assert!(positions.is_sorted());
}
