//! The canonical spelling of a leaf, written field by field: keys in their order, no white space, and
//! only the escapes that RFC 8785 names. It is what a general writer would write, several times as
//! fast, and every verification writes every leaf anew.

use std::io::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Leaf;
use crate::ledger::tree::Hash;
use crate::table::timestamp_text;

/// Most leaves are shorter.
const USUAL_BYTES: usize = 768;

/// The leaf as it is hashed, whatever its length.
pub(super) fn spell(leaf: &Leaf) -> Vec<u8> {
    let mut line = Line(Vec::with_capacity(USUAL_BYTES));
    if let Some(actor_id) = &leaf.actor_id {
        line.text("actor_id", actor_id);
    }
    line.plain("actor_kind", leaf.actor_kind.name());
    if let Some(agreement_id) = leaf.agreement_id {
        line.shown("agreement_id", agreement_id);
    }
    if let Some(data_key) = leaf.data_key {
        line.base64("data_key", data_key);
    }
    line.shown("event_id", leaf.event_id);
    line.text("event_type", &leaf.event_type);
    line.text("event_version", &leaf.event_version);
    line.hex("metadata_sha256", leaf.metadata_sha256);
    line.hex("payload_sha256", leaf.payload_sha256);
    if let Some(prev) = leaf.prev {
        line.base64("prev", prev);
    }
    line.plain("recorded_at", &timestamp_text(leaf.recorded_at));
    line.shown("sequence", leaf.sequence);
    line.text("stream_id", &leaf.stream_id);
    line.text("stream_type", &leaf.stream_type);
    line.0.push(b'}');
    line.0
}

struct Line(Vec<u8>);

impl Line {
    fn key(&mut self, key: &str) {
        self.0.extend_from_slice(if self.0.is_empty() { b"{\"" } else { b",\"" });
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b"\":\"");
    }

    /// A text without characters that need an escape.
    fn plain(&mut self, key: &str, text: &str) {
        self.key(key);
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        for part in text.as_bytes().split_inclusive(|byte| escape(*byte).is_some()) {
            let (last, others) =
                part.split_last().map_or((None, part), |(last, others)| (Some(*last), others));
            match last.and_then(|byte| Some((byte, escape(byte)?))) {
                None => self.0.extend_from_slice(part),
                Some((byte, escape)) => {
                    self.0.extend_from_slice(others);
                    self.escaped(byte, escape);
                }
            }
        }
        self.0.push(b'"');
    }

    fn escaped(&mut self, byte: u8, escape: u8) {
        self.0.extend_from_slice(&[b'\\', escape]);
        if escape == b'u' {
            self.0.extend_from_slice(b"00");
            self.0.extend_from_slice(&hex_digits(byte));
        }
    }

    /// A value whose text has no character that needs an escape.
    fn shown(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        // Writing to memory does not fail.
        let _ = write!(self.0, "{value}");
        self.0.push(b'"');
    }

    fn base64(&mut self, key: &str, hash: Hash) {
        self.key(key);
        let mut text = [0; 44];
        let length = STANDARD.encode_slice(hash.as_bytes(), &mut text).unwrap_or_default();
        self.0.extend(text.iter().take(length));
        self.0.push(b'"');
    }

    fn hex(&mut self, key: &str, hash: Hash) {
        self.key(key);
        for byte in hash.as_bytes() {
            self.0.extend_from_slice(&hex_digits(*byte));
        }
        self.0.push(b'"');
    }
}

/// What follows the backslash where a byte cannot stand for itself.
const fn escape(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' => Some(byte),
        0x08 => Some(b'b'),
        b'\t' => Some(b't'),
        b'\n' => Some(b'n'),
        0x0c => Some(b'f'),
        b'\r' => Some(b'r'),
        0..=0x1f => Some(b'u'),
        _ => None,
    }
}

const fn hex_digits(byte: u8) -> [u8; 2] {
    [hex_digit(byte >> 4), hex_digit(byte & 15)]
}

const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + (nibble - 10) }
}
