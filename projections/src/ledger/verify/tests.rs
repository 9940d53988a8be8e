use super::*;
use crate::ledger::testing::Stored;
use crate::ledger::testing::history::{Entry, Event, history, record};

fn verified(entries: &[Entry]) -> Verified {
    let mut verification = Verification::default();
    for entry in entries {
        assert_eq!(verification.push(entry.position, &entry.found()).unwrap(), entry.hash());
    }
    verification.finish().unwrap()
}

/// Where something was found, and in which field.
fn found(entries: &[Entry]) -> Vec<(u64, String)> {
    let verified = verified(entries);
    assert_eq!(verified.findings_total, verified.findings.len() as u64);
    verified.findings.iter().map(|it| (it.position().unwrap(), it.field().to_owned())).collect()
}

fn after(change: impl FnOnce(&mut Vec<Entry>)) -> Vec<(u64, String)> {
    let mut entries = history(20);
    change(&mut entries);
    found(&entries)
}

fn at(position: u64, field: &str) -> (u64, String) {
    (position, field.to_owned())
}

#[test]
fn an_untouched_history_has_no_findings() {
    for size in [0, 1, 7, 300] {
        let entries = history(size);
        let verified = verified(&entries);
        let stored = Stored::of_leaves(entries.iter().map(Entry::hash).collect());
        assert_eq!(verified.findings, []);
        assert_eq!((verified.frontier.size(), verified.frontier.root()), (size, stored.root(size)));
        assert_eq!((verified.streams, verified.findings_total), (size.min(5), 0));
    }
}

#[test]
fn a_changed_event_is_named_with_its_field() {
    for (field, change) in [
        ("payload", (|it| it.payload = it.payload.replace("2030", "2031")) as fn(&mut Event)),
        ("payload", |it| it.payload = r#"{"UserRegistered":{},"UserRegistered":{}}"#.to_owned()),
        ("metadata", |it| it.metadata = it.metadata.replace(r#""r""#, r#""s""#)),
        ("event_id", |it| it.event_id = it.event_id.replace('9', "8")),
        ("event_version", |it| it.event_version = "2".to_owned()),
        ("user_id", |it| it.user_id = None),
        ("user_id", |it| it.user_id = Some("00000000-0000-0000-0000-000000000007".to_owned())),
        ("agreement_id", |it| it.agreement_id = None),
        ("recorded_at", |it| it.recorded_at += chrono::TimeDelta::microseconds(1)),
        ("actor_id", |it| it.actor_id = None),
        ("actor_id", |it| it.actor_id = Some("00000000-0000-0000-0000-000000000007".to_owned())),
    ] {
        assert_eq!(after(|entries| change(entries[6].event())), [at(6, field)], "{field}");
    }
    let problems = after(|entries| entries[7].event().event_type = "UserRegistered".to_owned());
    assert_eq!(problems, [at(7, "event_type")]);
    assert_eq!(after(|entries| entries[7].event = None), [at(7, "event")]);
}

#[test]
fn an_event_of_an_agreement_is_about_the_person_that_it_names() {
    let person = "00000000-0000-0000-0000-000000000007";
    let at_a_time = r#""at":"2030-03-17T17:46:40Z""#;
    let linked = format!(r#"{{"UserLinked":{{"user_id":"{person}","role":"user",{at_a_time}}}}}"#);
    let closed = format!(r#"{{"AgreementClosed":{{{at_a_time}}}}}"#);
    for (event_type, payload, user_id, is_so) in [
        ("UserLinked", linked.as_str(), Some(person), true),
        ("UserLinked", linked.as_str(), None, false),
        ("AgreementClosed", closed.as_str(), None, true),
        ("AgreementClosed", closed.as_str(), Some(person), false),
    ] {
        let named = after(|entries| {
            for entry in entries.iter_mut().filter(|entry| entry.position % 5 == 1) {
                entry.stream_type = "agreement".to_owned();
            }
            let event = entries[6].event();
            event.event_type = event_type.to_owned();
            event.payload = payload.to_owned();
            event.user_id = user_id.map(str::to_owned);
            record(entries);
        });
        let expected = if is_so { Vec::new() } else { vec![at(6, "user_id")] };
        assert_eq!(named, expected, "{event_type} {user_id:?}");
    }
}

#[test]
fn metadata_must_say_what_the_event_says() {
    for (field, from, to) in [
        ("metadata.actor_kind", r#""user""#, r#""api_key""#),
        ("metadata.actor_id", "-0003000", "-0004000"),
        ("metadata.event_id", "-0009000", "-0008000"),
        ("metadata.recorded_at", "2030", "2029"),
        ("metadata.data_key", r#""request_id""#, r#""data_key":"00","request_id""#),
    ] {
        let change = |entries: &mut Vec<Entry>| {
            let event = entries[6].event();
            assert!(event.metadata.contains(from), "{}", event.metadata);
            event.metadata = event.metadata.replace(from, to);
        };
        assert_eq!(after(change), [at(6, "metadata"), at(6, field)]);
        // What a ledger has recorded so is wrong all the same.
        let recorded = after(|entries| {
            change(entries);
            record(entries);
        });
        assert_eq!(recorded, [at(6, field)]);
    }
    let recorded = after(|entries| {
        entries[6].event().metadata = r#"{"actor_kind":7}"#.to_owned();
        record(entries);
    });
    assert_eq!(recorded, [at(6, "metadata")]);
}

#[test]
fn a_payload_must_be_of_its_event_type() {
    for payload in [r#"{"UserRegistered":{},"Other":{}}"#, r#"{"Other":{}}"#, r#""Other""#, "[]", "{}", "7"] {
        let recorded = after(|entries| {
            entries[6].event().payload = payload.to_owned();
            record(entries);
        });
        assert_eq!(recorded, [at(6, "payload")], "{payload}");
    }
    let recorded = after(|entries| {
        entries[6].event().payload = r#""UserRegistered""#.to_owned();
        record(entries);
    });
    assert_eq!(recorded, []);
}

#[test]
fn a_changed_leaf_is_named() {
    assert_eq!(after(|entries| entries[6].leaf.push(' ')), [at(6, "leaf"), at(11, "sequence")]);
    assert_eq!(after(|entries| entries[6].leaf_hash = entries[5].leaf_hash.clone()), [at(6, "leaf_hash")]);
    let actor = after(|entries| {
        let mut leaf = entries[6].leaf();
        leaf.actor_id = Some("00000000-0000-0000-0000-000000000007".to_owned());
        entries[6].set_leaf(&leaf);
    });
    assert_eq!(actor, [at(6, "actor_id"), at(6, "metadata.actor_id"), at(11, "prev")]);
    let beside = after(|entries| {
        entries[6].stream_type = "agreement".to_owned();
        entries[7].stream_id.push('0');
        entries[8].sequence += 1;
    });
    assert_eq!(beside, [at(6, "stream_type"), at(7, "stream_id"), at(8, "sequence")]);
}

#[test]
fn a_removed_entry_leaves_a_gap() {
    let first = after(|entries| drop(entries.remove(0)));
    assert_eq!(first, [at(0, "position"), at(5, "sequence")]);
    let middle = after(|entries| drop(entries.drain(6..8)));
    assert_eq!(middle, [at(6, "position"), at(11, "sequence"), at(12, "sequence")]);
    let mut entries = history(20);
    entries.drain(6..8);
    let findings = verified(&entries).findings;
    assert_eq!(findings[0].to_string(), "position 6: no entry is here; the next is at position 8");
    // The last one leaves none: that the tree is smaller than what was signed is for the source to see.
    let removed_last = &history(20)[..19];
    assert_eq!(found(removed_last), []);
    assert_eq!(verified(removed_last).frontier.root(), verified(&history(19)).frontier.root());
}

#[test]
fn renumbering_does_not_hide_what_was_done_to_a_stream() {
    let renumber = |entries: &mut Vec<Entry>| {
        (0..).zip(entries).for_each(|(position, entry)| entry.position = position);
    };
    let removed = after(|entries| {
        entries.remove(6);
        renumber(entries);
    });
    assert_eq!(removed, [at(10, "sequence")]);
    let inserted = after(|entries| {
        let copy = entries[6].clone();
        entries.insert(9, copy);
        renumber(entries);
    });
    assert_eq!(inserted, [at(9, "sequence")]);
    let swapped = after(|entries| {
        entries.swap(6, 11);
        renumber(entries);
    });
    assert_eq!(swapped, [at(6, "sequence")]);
    assert_eq!(after(|entries| entries.push(history(20).remove(6))), [at(6, "position"), at(6, "sequence")]);
}

#[test]
fn what_a_forger_records_anew_still_has_to_follow() {
    let in_stream = |change: fn(&mut Leaf)| {
        after(|entries| {
            let mut leaf = entries[6].leaf();
            change(&mut leaf);
            (entries[6].sequence, entries[6].event().recorded_at) = (leaf.sequence, leaf.recorded_at);
            entries[6].set_leaf(&leaf);
        })
    };
    assert_eq!(in_stream(|leaf| leaf.prev = None), [at(6, "prev"), at(11, "prev")]);
    assert_eq!(in_stream(|leaf| leaf.prev = Some(leaf_hash(b"x"))), [at(6, "prev"), at(11, "prev")]);
    assert_eq!(in_stream(|leaf| leaf.sequence = 1), [at(6, "sequence"), at(11, "sequence")]);
    let zero = in_stream(|leaf| leaf.sequence = 0);
    assert_eq!(zero, [at(1, "prev"), at(1, "recorded_at"), at(6, "sequence"), at(11, "sequence")]);
    let earlier = in_stream(|leaf| leaf.recorded_at -= chrono::TimeDelta::hours(1));
    assert_eq!(earlier, [at(6, "metadata.recorded_at"), at(6, "recorded_at"), at(11, "prev")]);
    let first = after(|entries| {
        let mut leaf = entries[1].leaf();
        leaf.prev = Some(Hash::from_bytes([0; 32]));
        entries[1].set_leaf(&leaf);
    });
    assert_eq!(first, [at(1, "prev"), at(6, "prev")]);
}

#[test]
fn a_verification_goes_on_from_a_frontier() {
    let entries = history(20);
    let mut frontier = Frontier::default();
    for entry in &entries[..12] {
        frontier.push(entry.hash()).unwrap();
    }
    let later = |entries: &[Entry]| {
        let mut verification = Verification::after(frontier.clone());
        for entry in entries {
            verification.push(entry.position, &entry.found()).unwrap();
        }
        verification.finish().unwrap()
    };
    let verified_later = later(&entries[12..]);
    assert_eq!(verified_later.findings, []);
    assert_eq!(verified_later.frontier, verified(&entries).frontier);
    assert_eq!(later(&entries[13..]).findings[0].position(), Some(12));
    let mut forged = entries.clone();
    let leaf = Leaf { prev: None, ..forged[12].leaf() };
    forged[12].set_leaf(&leaf);
    let fields: Vec<_> = later(&forged[12..]).findings.iter().map(|it| it.field().to_owned()).collect();
    assert_eq!(fields, ["prev", "prev"]);
}

#[test]
fn findings_are_bounded_and_counted() {
    let mut entries = history(500);
    for entry in &mut entries {
        entry.leaf_hash.clear();
    }
    let mut leaf = entries[499].leaf();
    leaf.prev = None;
    entries[499].set_leaf(&leaf);
    let mut verification = Verification::default();
    entries.iter().rev().for_each(|entry| drop(verification.push(entry.position, &entry.found())));
    verification.report(Finding::of_ledger(Problem::Root { size: 500 }));
    let verified = verification.finish().unwrap();
    let positions: Vec<_> = verified.findings.iter().map(Finding::position).collect();
    assert_eq!((positions.len(), positions[0], positions[1]), (FINDINGS_MAX, None, Some(0)));
    // Every hash but one, every position out of order, and a gap at the start; prev; and the root.
    assert_eq!(verified.findings_total, 499 + 499 + 1 + 1 + 1);
}

#[test]
fn a_finding_is_a_sentence_and_an_object() {
    let mut entries = history(20);
    entries[7].event().payload = "{}".to_owned();
    entries[8].leaf = "{}".to_owned();
    entries[8].stream_id = "\u{1b}[31m\u{202e}".repeat(30);
    let verified = verified(&entries);
    let id = "00000000-0000-0000-0000-000000000002";
    assert_eq!(
        verified.findings[0].to_string(),
        format!("position 7: the payload is not what was recorded (TwoFactorDisabled, user/{id}/2)")
    );
    assert_eq!(
        serde_json::to_value(&verified.findings[0]).unwrap(),
        serde_json::json!({
            "position": 7, "stream": format!("user/{id}"), "sequence": 2, "field": "payload",
            "problem": "the payload is not what was recorded",
        })
    );
    let shown = verified.findings[2].to_string();
    assert!(
        shown.starts_with(r"position 8: not a leaf: line 1, column 2 (user/\u{1b}[31m\u{202e}\u{1b}"),
        "{shown}"
    );
    assert!(shown.len() < 600);
    let findings = verified.findings.iter().find(|it| it.problem == Problem::SequenceMissing { from: 2 });
    let sentence = "position 13: its stream lacks the entries from sequence 2 up to this one \
                    (TwoFactorDisabled, user/00000000-0000-0000-0000-000000000003/3)";
    assert_eq!(findings.unwrap().to_string(), sentence);
}
