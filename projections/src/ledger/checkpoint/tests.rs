use proptest::prelude::*;

use super::super::testing::{Stored, VKEY};
use super::super::tree::{empty_root, leaf_hash};
use super::*;

const CHECKPOINT: &str = "audit.example.com/log1\n7\nMS3Jx+ldkyhrHmBwxQnYxnZCPTHChPuL4vtoz0SaInE=\n\n\
    — audit.example.com/log1 zxj+Kh9h7bVzrqezjg4i4hYgPbUKFQwR6SubHiacS7KiKL0z6PIjn3QhEOyoMexDCRrf1KyJEwLj8KBTqDxmFQAp6wQ=\n";

fn signer_named(name: &str) -> Signer {
    let mut seed = Zeroizing::new([0; 32]);
    seed.iter_mut().zip(0..).for_each(|(byte, value)| *byte = value);
    Signer::from_seed(name.parse().unwrap(), &seed)
}

fn signer() -> Signer {
    signer_named("audit.example.com/log1")
}

fn verifier() -> Verifier {
    VKEY.parse().unwrap()
}

/// Any body, signed with the test key.
fn signed(body: &str) -> String {
    let signer = signer();
    let bytes = [signer.verifier.key_id.as_slice(), &signer.key.sign(body.as_bytes()).to_bytes()].concat();
    format!("{body}\n— audit.example.com/log1 {}\n", STANDARD.encode(bytes))
}

#[test]
fn the_test_vector_is_signed_byte_for_byte() {
    let note = signer().sign(7, Stored::of(7).root(7));
    assert_eq!(note, CHECKPOINT);
    assert_eq!(note.len(), 191);
    assert_eq!(
        Hash::from_bytes(Sha256::digest(&note).into()).to_hex(),
        "fdaf2be1c2f9a8b9e916c03da6d7ad23ab333890c0925fcd70b5dc8ecaf2fc0f"
    );
    assert_eq!(signer().verifier().to_string(), VKEY);
    assert_eq!(&verifier(), signer().verifier());
}

#[test]
fn a_signed_checkpoint_is_read_back() {
    let checkpoint = verifier().verify(CHECKPOINT.as_bytes()).unwrap();
    assert_eq!(checkpoint.origin, *verifier().origin());
    assert_eq!((checkpoint.size, checkpoint.root), (7, Stored::of(7).root(7)));
    assert!(checkpoint.extensions.is_empty());
    let empty = signer().sign(0, empty_root());
    assert_eq!(verifier().verify(empty.as_bytes()).unwrap().size, 0);
}

#[test]
fn signatures_by_others_are_tolerated_and_extensions_kept() {
    let other = "— witness.example.com/w1 AAAAAAEC\n";
    let same_name = "— audit.example.com/log1 AAAAAAEC\n";
    for note in [
        format!("{CHECKPOINT}{other}{same_name}"),
        CHECKPOINT.replace("\n\n", &format!("\n\n{other}")),
        CHECKPOINT.replace("\n\n", &format!("\n\n{same_name}")),
    ] {
        assert_eq!(verifier().verify(note.as_bytes()).unwrap().size, 7, "{note}");
    }
    let note = signed(&format!("audit.example.com/log1\n7\n{}\nfirst line\n— second\n", empty_root()));
    assert_eq!(verifier().verify(note.as_bytes()).unwrap().extensions, ["first line", "— second"]);
}

#[test]
fn a_missing_or_wrong_signature_is_an_error() {
    let origin = verifier().origin().clone();
    let wrong = CheckpointError::WrongSignature(origin.clone());
    let grown = CHECKPOINT.replacen("\n7\n", "\n8\n", 1);
    assert_eq!(verifier().verify(grown.as_bytes()), Err(wrong.clone()));
    // A right signature beside a wrong one of the same key does not help.
    let both = format!("{CHECKPOINT}{}", signed("x\n").lines().last().unwrap()) + "\n";
    assert_eq!(verifier().verify(both.as_bytes()), Err(wrong.clone()));
    let short = CHECKPOINT.split_once("\n\n").unwrap().0.to_owned()
        + "\n\n— audit.example.com/log1 "
        + &STANDARD.encode([0xcf, 0x18, 0xfe, 0x2a, 1])
        + "\n";
    assert_eq!(verifier().verify(short.as_bytes()), Err(wrong));
    let theirs = Signer::from_seed(origin.clone(), &Zeroizing::new([7; 32])).sign(7, empty_root());
    assert_eq!(verifier().verify(theirs.as_bytes()), Err(CheckpointError::Unsigned(origin)));
    let note = signed(&format!("other.example.com\n7\n{}\n", empty_root()));
    assert!(matches!(verifier().verify(note.as_bytes()), Err(CheckpointError::OtherLog { .. })));
}

#[test]
fn every_flipped_bit_is_noticed() {
    for place in 0..CHECKPOINT.len() * 8 {
        let mut note = CHECKPOINT.as_bytes().to_vec();
        note[place / 8] ^= 1 << (place % 8);
        assert!(verifier().verify(&note).is_err(), "bit {place}");
    }
}

#[test]
fn malformed_texts_are_refused_in_words() {
    let root = empty_root();
    for body in [
        format!("audit.example.com/log1\n07\n{root}\n"),
        format!("audit.example.com/log1\n+7\n{root}\n"),
        format!("audit.example.com/log1\n-7\n{root}\n"),
        format!("audit.example.com/log1\n9223372036854775808\n{root}\n"),
        format!("audit.example.com/log1\n99999999999999999999\n{root}\n"),
        format!("audit.example.com/log1\n7\n{root}=\n"),
        format!("audit.example.com/log1\n7\n{root}\n\nx\n"),
        "audit.example.com/log1\n7\n".to_owned(),
        "audit.example.com/log1\n".to_owned(),
    ] {
        let refused = verifier().verify(signed(&body).as_bytes());
        assert!(matches!(refused, Err(CheckpointError::Malformed(_))), "{body}: {refused:?}");
    }
    let (text, signature) = CHECKPOINT.split_once("\n\n").unwrap();
    for note in [
        String::new(),
        "\n\n".to_owned(),
        text.to_owned(),
        format!("{text}\n{signature}"),
        format!("{text}\n\n"),
        CHECKPOINT.trim_end().to_owned(),
        CHECKPOINT.replace('—', "-"),
        CHECKPOINT.replace('\n', "\r\n"),
        format!("{CHECKPOINT}\n"),
        format!("{CHECKPOINT}{}", "— w.example AAAAAAEC\n".repeat(100)),
        format!("{}{CHECKPOINT}", "x".repeat(1 << 20)),
    ] {
        let refused = verifier().verify(note.as_bytes());
        assert!(matches!(refused, Err(CheckpointError::Malformed(_))), "{refused:?}");
    }
    assert!(matches!(verifier().verify(&[0xff]), Err(CheckpointError::Malformed(_))));
}

#[test]
fn names_and_keys_are_checked() {
    for name in ["", "a b", "a+b", "a\nb", "a\u{a0}b", "a\0b", &"x".repeat(256)] {
        assert_eq!(name.parse::<Origin>(), Err(CheckpointError::Origin), "{name:?}");
    }
    let short = format!("log+00000000+{}", STANDARD.encode([1; 32]));
    let other_type = format!("log+00000000+{}", STANDARD.encode([2; 33]));
    let mut weak = [0; 33];
    (weak[0], weak[1]) = (1, 1);
    let weak = format!("log+00000000+{}", STANDARD.encode(weak));
    let of_another = VKEY.replace("log1", "log2");
    for line in ["", "log", "log+cf18fe2a", "log+cf18fe2a+!", &short, &other_type, &weak, &of_another] {
        assert!(matches!(line.parse::<Verifier>(), Err(CheckpointError::VerifierKey(_))), "{line}");
    }
    assert!(VKEY.replace("cf18", "CF18").parse::<Verifier>().is_err());
}

#[test]
fn a_signer_never_shows_its_key() {
    let shown = format!("{:?}", signer());
    assert!(shown.contains("audit.example.com/log1") && !shown.contains("SigningKey"), "{shown}");
}

proptest! {
    #[test]
    fn whatever_is_signed_is_read_back(size in 0..=MAX_SIZE, leaf in any::<[u8; 8]>(), name in "[a-z./é]{1,40}") {
        let (signer, root) = (signer_named(&name), leaf_hash(&leaf));
        let verifier: Verifier = signer.verifier().to_string().parse().unwrap();
        let read = verifier.verify(signer.sign(size, root).as_bytes()).unwrap();
        prop_assert_eq!((read.size, read.root, read.origin.as_str()), (size, root, name.as_str()));
    }

    #[test]
    fn arbitrary_bytes_are_refused(note in any::<Vec<u8>>()) {
        prop_assert!(verifier().verify(&note).is_err());
    }

    #[test]
    fn arbitrary_lines_are_refused(note in "(.{0,20}\n|audit.example.com/log1\n|7\n|\n|— audit.example.com/log1 [A-Za-z+/]{8,92}=?\n){0,8}") {
        prop_assert!(verifier().verify(note.as_bytes()).is_err());
    }

    #[test]
    fn arbitrary_bodies_under_a_right_signature_never_panic(body in "(.{0,20}\n|[0-9]{1,22}\n|[A-Za-z]{43}=\n){0,6}") {
        drop(verifier().verify(signed(&body).as_bytes()));
        drop(body.parse::<Verifier>());
    }
}

#[test]
fn a_report_is_signed_and_is_no_checkpoint() {
    let note = signer().sign_report(r#"{"report":"disabled"}"#).unwrap();
    assert_eq!(note, signed("{\"report\":\"disabled\"}\n"));
    // The signature is right, and what it signs is something else.
    assert!(matches!(verifier().verify(note.as_bytes()), Err(CheckpointError::Malformed(_))));
    let altered = note.replacen("disabled", "Disabled", 1);
    assert!(matches!(verifier().verify(altered.as_bytes()), Err(CheckpointError::WrongSignature(_))));
}

#[test]
fn nothing_but_one_line_of_json_is_signed_as_a_report() {
    let body = format!("audit.example.com/log1\n7\n{}\n", empty_root());
    for text in
        ["", "{", "[]", "{}\n", "{\n}", "{\"a\":\"\u{1}\"}", "\"{}\"", &body, &format!("{{}}\n{body}{{}}")]
    {
        assert_eq!(signer().sign_report(text), Err(CheckpointError::NotAReport), "{text:?}");
    }
}
