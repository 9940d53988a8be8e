use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::ledger::canonical;

const PAYLOAD: &str = r#"{"UserRegistered":{"user_id":"x","step":100}}"#;
const METADATA: &str = r#"{"actor_kind":"user","request_id":"r"}"#;

fn leaf() -> Leaf {
    Leaf {
        event_id: "00000000-0000-0000-0000-000000000009".parse().unwrap(),
        event_type: "UserRegistered".to_owned(),
        event_version: "1".to_owned(),
        stream_type: "user".to_owned(),
        stream_id: "00000000-0000-0000-0000-000000010001".to_owned(),
        sequence: u64::MAX,
        agreement_id: Some("00000000-0000-0000-0000-000000020001".parse().unwrap()),
        recorded_at: "2030-03-17T17:46:40.000001Z".parse().unwrap(),
        actor_kind: ActorKind::ApiKey,
        actor_id: Some("00000000-0000-0000-0000-000000030001".to_owned()),
        payload_sha256: canonical::digest(PAYLOAD).unwrap(),
        metadata_sha256: canonical::digest(METADATA).unwrap(),
        prev: Some(leaf_hash(b"previous")),
        data_key: Some(leaf_hash(b"key")),
    }
}

fn bare() -> Leaf {
    Leaf {
        sequence: 1,
        agreement_id: None,
        actor_kind: ActorKind::Operator,
        actor_id: None,
        prev: None,
        data_key: None,
        ..leaf()
    }
}

/// What was hashed once must be hashed the same for ever: no golden file is ever edited.
#[test]
fn leaves_are_written_as_they_always_were() {
    for (name, leaf) in [("leaf.full.json", leaf()), ("leaf.bare.json", bare())] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
        let golden = fs::read_to_string(&path).unwrap_or_default();
        let written = String::from_utf8(leaf.to_bytes().unwrap()).unwrap();
        assert_eq!(golden.trim_end(), written, "{name}");
        assert_eq!(Leaf::parse(golden.trim_end().as_bytes()).unwrap(), leaf);
        assert_eq!(leaf.hash().unwrap(), leaf_hash(written.as_bytes()));
    }
}

#[test]
fn what_sets_no_field_has_no_null_in_its_place() {
    let written = String::from_utf8(bare().to_bytes().unwrap()).unwrap();
    for absent in ["agreement_id", "actor_id", "prev", "data_key", "null"] {
        assert!(!written.contains(absent), "{absent}");
    }
}

#[test]
fn other_spellings_of_a_leaf_are_refused() {
    let written = String::from_utf8(leaf().to_bytes().unwrap()).unwrap();
    let sequence = format!(r#""sequence":"{}""#, u64::MAX);
    for other in [
        format!("{written}\n"),
        written.replacen(':', ": ", 1),
        written.replace("UserRegistered", r"User\u0052egistered"),
        written.replace("40.000001Z", "40.0000010Z"),
        written.replace("40.000001Z", "40.000001+00:00"),
        written.replace(&sequence, r#""sequence":"+7""#),
        written.replace(&sequence, r#""sequence":"07""#),
        bare_with(r#","prev":null}"#),
    ] {
        assert_eq!(Leaf::parse(other.as_bytes()), Err(LeafError::NotCanonical), "{other}");
    }
    for other in [
        String::new(),
        "{}".to_owned(),
        written.replace(&sequence, r#""sequence":7"#),
        bare_with(r#","extra":"x"}"#),
        bare_with(r#","event_type":"UserRegistered"}"#),
        written.replace("api_key", "somebody"),
    ] {
        assert!(matches!(Leaf::parse(other.as_bytes()), Err(LeafError::Malformed { .. })), "{other}");
    }
}

fn bare_with(end: &str) -> String {
    let written = String::from_utf8(bare().to_bytes().unwrap()).unwrap();
    written.strip_suffix('}').unwrap().to_owned() + end
}

#[test]
fn a_leaf_is_at_most_16_kib() {
    let mut leaf = leaf();
    let others = leaf.to_bytes().unwrap().len() - leaf.stream_id.len();
    leaf.stream_id = "x".repeat(LEAF_BYTES_MAX - others);
    let longest = leaf.to_bytes().unwrap();
    assert_eq!(longest.len(), LEAF_BYTES_MAX);
    assert_eq!(Leaf::parse(&longest).unwrap(), leaf);
    leaf.stream_id.push('x');
    assert_eq!(leaf.to_bytes(), Err(LeafError::TooLong(LEAF_BYTES_MAX + 1)));
    assert_eq!(leaf.hash(), Err(LeafError::TooLong(LEAF_BYTES_MAX + 1)));
    assert_eq!(Leaf::parse(&vec![b' '; LEAF_BYTES_MAX + 1]), Err(LeafError::TooLong(LEAF_BYTES_MAX + 1)));
}

#[test]
fn a_leaf_has_the_digests_of_its_texts_however_a_column_spells_them() {
    let respelled = r#"{ "UserRegistered" : {"step":1.0e2, "user_id":"\u0078"} }"#;
    assert_eq!(canonical::digest(respelled), Ok(leaf().payload_sha256));
    assert_eq!(canonical::digest(METADATA), Ok(leaf().metadata_sha256));
    assert_ne!(canonical::digest(&PAYLOAD.replace("100", "101")), Ok(leaf().payload_sha256));
    assert_ne!(canonical::digest("{}"), Ok(leaf().metadata_sha256));
    assert!(canonical::digest("{").is_err());
}

fn any_leaf() -> impl Strategy<Value = Leaf> {
    let escaped = "[\\x00-\\x7f\"\\\\é€😀\u{2028}]{0,40}";
    let (plain, hashes) = (prop::array::uniform3("[A-Za-z0-9 é]{0,20}"), any::<[Option<[u8; 32]>; 2]>());
    let moment = (-62_000_000_000_i64..250_000_000_000, 0_u32..1_000_000_000);
    (prop_oneof![prop::array::uniform3(escaped), plain], hashes, moment, any::<(u64, u128)>()).prop_map(
        |(texts, hashes, (seconds, nanos), (sequence, id))| {
            let [event_type, stream_id, event_version] = texts;
            let [prev, data_key] = hashes.map(|hash| hash.map(Hash::from_bytes));
            Leaf {
                event_id: format!("{id:032x}").parse().unwrap(),
                agreement_id: prev.map(|_| format!("{id:032x}").parse().unwrap()),
                actor_id: data_key.map(|_| stream_id.clone()),
                recorded_at: to_microseconds(DateTime::from_timestamp(seconds, nanos).unwrap()),
                actor_kind: if prev.is_some() { ActorKind::User } else { ActorKind::Operator },
                event_type,
                event_version,
                stream_id,
                sequence,
                prev,
                data_key,
                ..leaf()
            }
        },
    )
}

/// The one pass is there to be taken: the leaves that the program writes must take it.
#[test]
fn usual_leaves_are_read_in_one_pass() {
    for leaf in [leaf(), bare()] {
        assert_eq!(reading::read(&leaf.to_bytes().unwrap()), Some(leaf));
    }
}

proptest! {
    #[test]
    fn every_leaf_is_read_back(
        texts in any::<[String; 3]>(),
        sequence in any::<u64>(),
        seconds in 0_i64..4_000_000_000,
        nanos in 0_u32..1_000_000_000,
    ) {
        let [event_type, stream_id, actor] = texts;
        let recorded_at = to_microseconds(DateTime::from_timestamp(seconds, nanos).unwrap());
        let leaf = Leaf { event_type, stream_id, actor_id: Some(actor), sequence, recorded_at, ..leaf() };
        prop_assert_eq!(Leaf::parse(&leaf.to_bytes().unwrap()).unwrap(), leaf);
    }

    #[test]
    fn a_leaf_is_spelled_as_a_general_writer_spells_it(leaf in any_leaf()) {
        prop_assert_eq!(leaf.to_bytes().unwrap(), serde_json_canonicalizer::to_vec(&leaf).unwrap());
    }

    #[test]
    fn a_leaf_is_read_as_the_general_reader_reads_it(
        leaf in any_leaf(),
        place in any::<prop::sample::Index>(),
        other in prop::sample::select(&b"\\\"0179aAfFzZ:,.+-/= {}\x00\x1f\xff"[..]),
    ) {
        let mut bytes = leaf.to_bytes().unwrap();
        prop_assert_eq!(Leaf::parse(&bytes), Ok(leaf));
        let place = place.index(bytes.len());
        bytes[place] = other;
        prop_assert_eq!(Leaf::parse(&bytes), Leaf::parse_any(&bytes));
        bytes.remove(place);
        prop_assert_eq!(Leaf::parse(&bytes), Leaf::parse_any(&bytes));
        bytes.truncate(place);
        prop_assert_eq!(Leaf::parse(&bytes), Leaf::parse_any(&bytes));
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in any::<Vec<u8>>()) {
        prop_assert!(Leaf::parse(&bytes).is_err());
    }
}
