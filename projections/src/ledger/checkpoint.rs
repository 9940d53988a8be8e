//! A tree's size and root, signed: a C2SP tlog-checkpoint in a C2SP signed note, with Ed25519.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::tree::{Hash, MAX_SIZE};

/// The signature type of Ed25519 in key ids and vkey lines.
const ED25519: u8 = 1;

/// A note with more signature lines is refused unread, and so is a longer text or name.
const SIGNATURES_MAX: usize = 100;
const NOTE_BYTES_MAX: usize = 1 << 20;
const ORIGIN_BYTES_MAX: usize = 255;

/// Why a checkpoint, a key or a name is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The name cannot stand in a signature line.
    #[error("a log's name is 1 to 255 bytes, without white space, plus signs and control characters")]
    Origin,
    /// The line is not an Ed25519 verifier key.
    #[error("not a verifier key: {0}")]
    VerifierKey(&'static str),
    /// The text is not a signed checkpoint.
    #[error("not a signed checkpoint: {0}")]
    Malformed(&'static str),
    /// Nobody signed it with the expected key.
    #[error("the checkpoint has no signature by {0}")]
    Unsigned(Origin),
    /// It claims to be signed with the expected key and is not.
    #[error("the checkpoint's signature by {0} is wrong")]
    WrongSignature(Origin),
    /// The text is not one line of JSON.
    #[error("a report is a JSON object on one line")]
    NotAReport,
    /// The expected key signed a checkpoint of another log.
    #[error("the checkpoint is of the log {found:?}, not of {expected}")]
    OtherLog {
        /// The log whose key was expected.
        expected: Origin,
        /// The log that the text names.
        found: String,
    },
}

/// The name of a log, which is the name of its key too: such as `audit.example.com/log1`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Origin(String);

impl Origin {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let unfit = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if text.is_empty() || text.len() > ORIGIN_BYTES_MAX || text.contains(unfit) {
            return Err(CheckpointError::Origin);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a log signs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Which log.
    pub origin: Origin,
    /// How many leaves its tree has.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
    /// Lines that the format leaves for others, as they stand.
    pub extensions: Vec<String>,
}

/// A log's private key. It is wiped from memory when dropped, and never shown.
pub struct Signer {
    key: SigningKey,
    verifier: Verifier,
}

impl Signer {
    /// The key that grows from a seed.
    #[must_use]
    pub fn from_seed(origin: Origin, seed: &Zeroizing<[u8; 32]>) -> Self {
        let key = SigningKey::from_bytes(seed);
        let verifier = Verifier::new(origin, key.verifying_key());
        Self { key, verifier }
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The signed checkpoint of a tree, byte for byte as it is published.
    #[must_use]
    pub fn sign(&self, size: u64, root: Hash) -> String {
        self.note(&format!("{}\n{size}\n{root}\n", self.verifier.origin))
    }

    /// A report as a note of its own: one line of JSON. Nobody can take it for a checkpoint, which has three
    /// lines and names the log in its first.
    ///
    /// # Errors
    /// It is not one line, or no JSON object: this key signs nothing else.
    pub fn sign_report(&self, json: &str) -> Result<String, CheckpointError> {
        let is_object = json.strip_prefix('{').is_some_and(|rest| rest.ends_with('}'));
        if !is_object || json.contains(|c: char| c < ' ') {
            return Err(CheckpointError::NotAReport);
        }
        Ok(self.note(&format!("{json}\n")))
    }

    fn note(&self, body: &str) -> String {
        let Verifier { origin, key_id, .. } = &self.verifier;
        let signature = self.key.sign(body.as_bytes()).to_bytes();
        let signature = STANDARD.encode([key_id.as_slice(), &signature].concat());
        format!("{body}\n— {origin} {signature}\n")
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

/// A log's public key. It is written and read as a vkey line, `name+key id+key`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verifier {
    origin: Origin,
    key_id: [u8; 4],
    key: VerifyingKey,
}

impl Verifier {
    fn new(origin: Origin, key: VerifyingKey) -> Self {
        let digest = Sha256::new()
            .chain_update(origin.as_str())
            .chain_update([b'\n', ED25519])
            .chain_update(key.as_bytes())
            .finalize();
        let mut key_id = [0; 4];
        key_id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self { origin, key_id, key }
    }

    /// The log whose checkpoints this key signs.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Reads a signed checkpoint and checks its signature. Signatures by other keys are left to
    /// whoever knows those keys.
    ///
    /// # Errors
    /// It is malformed, of another log, not signed with this key, or wrongly so.
    pub fn verify(&self, note: &[u8]) -> Result<Checkpoint, CheckpointError> {
        let note = Note::parse(note)?;
        let mut signed = false;
        for signature in note.signatures.iter().filter(|signature| self.is_ours(signature)) {
            let wrong = || CheckpointError::WrongSignature(self.origin.clone());
            let bytes = Signature::from_slice(&signature.bytes).map_err(|_| wrong())?;
            self.key.verify_strict(note.body.as_bytes(), &bytes).map_err(|_| wrong())?;
            signed = true;
        }
        if !signed {
            return Err(CheckpointError::Unsigned(self.origin.clone()));
        }
        let checkpoint = parse_body(note.body)?;
        if checkpoint.origin != self.origin {
            let (expected, found) = (self.origin.clone(), checkpoint.origin.0);
            return Err(CheckpointError::OtherLog { expected, found });
        }
        Ok(checkpoint)
    }

    fn is_ours(&self, signature: &NoteSignature<'_>) -> bool {
        signature.name == self.origin.as_str() && signature.key_id == self.key_id
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key_id = u32::from_be_bytes(self.key_id);
        let key = STANDARD.encode([&[ED25519], self.key.as_bytes().as_slice()].concat());
        write!(f, "{}+{key_id:08x}+{key}", self.origin)
    }
}

impl FromStr for Verifier {
    type Err = CheckpointError;

    fn from_str(line: &str) -> Result<Self, CheckpointError> {
        let parts = line.split_once('+').and_then(|(name, rest)| Some((name, rest.split_once('+')?)));
        let (name, (key_id, key)) = parts.ok_or(CheckpointError::VerifierKey("not name+key id+key"))?;
        let key = STANDARD.decode(key).map_err(|_| CheckpointError::VerifierKey("the key is not base64"))?;
        let key =
            key.strip_prefix(&[ED25519]).ok_or(CheckpointError::VerifierKey("the key is not Ed25519"))?;
        let key: &[u8; 32] = key.try_into().map_err(|_| CheckpointError::VerifierKey("not 32 bytes"))?;
        // With a key of small order one signature fits many texts.
        let key = VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak());
        let key = key.ok_or(CheckpointError::VerifierKey("not a point that can be a key"))?;
        let verifier = Self::new(name.parse()?, key);
        if key_id != format!("{:08x}", u32::from_be_bytes(verifier.key_id)) {
            return Err(CheckpointError::VerifierKey("the key id is not that of this name and key"));
        }
        Ok(verifier)
    }
}

/// A signed note: the text that is signed, with its last line feed, and who signed it.
struct Note<'a> {
    body: &'a str,
    signatures: Vec<NoteSignature<'a>>,
}

struct NoteSignature<'a> {
    name: &'a str,
    key_id: [u8; 4],
    bytes: Vec<u8>,
}

impl<'a> Note<'a> {
    fn parse(note: &'a [u8]) -> Result<Self, CheckpointError> {
        let malformed = CheckpointError::Malformed;
        if note.len() > NOTE_BYTES_MAX {
            return Err(malformed("it is longer than a megabyte"));
        }
        let note = str::from_utf8(note).map_err(|_| malformed("it is not UTF-8"))?;
        if note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(malformed("it has control characters"));
        }
        // The last empty line is the one above the signatures.
        let (text, signatures) =
            note.rsplit_once("\n\n").ok_or(malformed("no empty line above the signatures"))?;
        let body = note.get(..=text.len()).ok_or(malformed("it has no text"))?;
        let signatures = signatures.strip_suffix('\n').ok_or(malformed("the last line has no end"))?;
        let mut lines = signatures.split('\n');
        let signatures = lines
            .by_ref()
            .take(SIGNATURES_MAX)
            .map(|line| NoteSignature::parse(line).ok_or(malformed("a signature line is broken")))
            .collect::<Result<Vec<_>, _>>()?;
        if lines.next().is_some() {
            return Err(malformed("it has too many signatures"));
        }
        Ok(Self { body, signatures })
    }
}

impl<'a> NoteSignature<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, signature) = line.strip_prefix("— ")?.split_once(' ')?;
        name.parse::<Origin>().ok()?;
        let signature = STANDARD.decode(signature).ok()?;
        let (key_id, bytes) = signature.split_first_chunk::<4>()?;
        (!bytes.is_empty()).then(|| Self { name, key_id: *key_id, bytes: bytes.to_vec() })
    }
}

fn parse_body(body: &str) -> Result<Checkpoint, CheckpointError> {
    let malformed = CheckpointError::Malformed;
    let mut lines = body.strip_suffix('\n').unwrap_or(body).split('\n');
    let origin = lines.next().unwrap_or_default().parse()?;
    let size = lines.next().and_then(parse_number).filter(|size| *size <= MAX_SIZE);
    let size = size.ok_or(malformed("the second line is not a size"))?;
    let root = lines.next().and_then(|line| Hash::from_base64(line).ok());
    let root = root.ok_or(malformed("the third line is not a root"))?;
    let extensions: Vec<String> = lines.map(str::to_owned).collect();
    if extensions.iter().any(String::is_empty) {
        return Err(malformed("it has an empty line"));
    }
    Ok(Checkpoint { origin, size, root, extensions })
}

/// A number in its one decimal spelling.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests;
