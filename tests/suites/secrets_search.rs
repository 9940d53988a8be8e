//! Searches a heap of bytes for a secret in every form that a program might leave it in.

use std::fmt::Write as _;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// Something that must not be found.
pub(crate) struct Secret {
    /// What it is, for the message of a failed search.
    pub(crate) name: String,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// Six digits occur by chance: as they stand they count only where they stand alone.
    pub(crate) alone: bool,
}

impl Secret {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), bytes: text.as_bytes().to_vec(), alone: false }
    }

    pub(crate) fn bytes(name: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), bytes, alone: false }
    }

    pub(crate) fn code(name: &str, code: &str) -> Self {
        Self { alone: true, ..Self::new(name, code) }
    }
}

/// Bytes to search, each byte as one letter, so that the search of texts finds bytes too.
pub(crate) struct Heap {
    name: String,
    letters: String,
}

impl Heap {
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), letters: letters(bytes) }
    }

    pub(crate) fn len(&self) -> usize {
        self.letters.len()
    }

    /// The forms in which a secret stands here.
    pub(crate) fn find(&self, secret: &Secret) -> Vec<String> {
        let mut found = Vec::new();
        for (form, needle) in forms(&secret.bytes) {
            let hit = if secret.alone && form == "raw" {
                stands_alone(&self.letters, &needle)
            } else {
                self.letters.contains(&needle)
            };
            if hit {
                found.push(format!("{} in {} ({form})", secret.name, self.name));
            }
        }
        found
    }
}

fn letters(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// Whether the code stands there as a value: not inside a longer number, word or fraction.
fn stands_alone(heap: &str, code: &str) -> bool {
    let part_of_more = |letter: char| letter.is_ascii_alphanumeric() || letter == '.';
    heap.match_indices(code).any(|(at, _)| {
        let before = heap[..at].chars().next_back();
        let after = heap[at + code.len()..].chars().next();
        !before.is_some_and(part_of_more) && !after.is_some_and(part_of_more)
    })
}

/// The secret raw, in hex, and in base32 and base64 at every alignment.
fn forms(secret: &[u8]) -> Vec<(&'static str, String)> {
    let mut hex = String::new();
    for byte in secret {
        write!(hex, "{byte:02x}").expect("a string takes text");
    }
    let mut forms = vec![("raw", letters(secret)), ("upper hex", hex.to_uppercase()), ("hex", hex)];
    let base32 = |bytes: &[u8]| base32::encode(base32::Alphabet::Rfc4648 { padding: false }, bytes);
    forms.extend(aligned("base32", secret, 5, 5, base32));
    forms.extend(aligned("base64", secret, 6, 3, |bytes| STANDARD_NO_PAD.encode(bytes)));
    forms.extend(aligned("base64url", secret, 6, 3, |bytes| URL_SAFE_NO_PAD.encode(bytes)));
    forms
}

/// What of an encoding does not depend on what stands before and after the secret.
fn aligned(
    form: &'static str,
    secret: &[u8],
    bits: usize,
    alignments: usize,
    encode: impl Fn(&[u8]) -> String,
) -> Vec<(&'static str, String)> {
    (0..alignments)
        .map(|before| {
            let mut padded = vec![0; before];
            padded.extend_from_slice(secret);
            let encoded = encode(&padded);
            let first = (before * 8).div_ceil(bits);
            let last = padded.len() * 8 / bits;
            (form, encoded[first..last].to_owned())
        })
        .collect()
}

mod tests {
    use super::*;

    fn found(heap: &[u8], secret: &Secret) -> bool {
        !Heap::new("a heap", heap).find(secret).is_empty()
    }

    fn passphrase() -> Secret {
        Secret::new("passphrase", "correct horse battery")
    }

    #[test]
    fn a_planted_secret_is_found_raw() {
        assert!(found(b"\x00\xffcorrect horse battery\xfe", &passphrase()));
    }

    #[test]
    fn a_planted_secret_is_found_in_hex() {
        assert!(found(b"\\x636f727265637420686f7273652062617474657279", &passphrase()));
        assert!(found(b"636F727265637420686F7273652062617474657279", &passphrase()));
    }

    #[test]
    fn a_planted_secret_is_found_at_every_alignment_of_base32_and_base64() {
        for before in 0..15 {
            let mut bytes = vec![b'<'; before];
            bytes.extend(b"correct horse battery?>");
            let base32 = base32::encode(base32::Alphabet::Rfc4648 { padding: true }, &bytes);
            assert!(found(base32.as_bytes(), &passphrase()), "{base32}");
            for base64 in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
                assert!(found(base64.as_bytes(), &passphrase()), "{base64}");
            }
        }
    }

    #[test]
    fn a_planted_code_is_found_where_it_stands_alone() {
        let code = Secret::code("code", "123456");
        for heap in ["{\"code\":\"123456\"}", "code=123456", "code 123456\n", "123456"] {
            assert!(found(heap.as_bytes(), &code), "{heap}");
        }
        for heap in ["91234567", "09:00:00.123456+00", "a123456b"] {
            assert!(!found(heap.as_bytes(), &code), "{heap}");
        }
    }

    #[test]
    fn what_was_not_planted_is_not_found() {
        assert!(!found(b"correct horse batter", &passphrase()));
    }
}
