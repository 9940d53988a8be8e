//! What events may carry of things that must not be read: ciphertext and digests, both opaque here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Personal data sealed under its owner's data key. Only the vault opens it;
/// once that key is destroyed nobody does.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl Sealed {
    /// Wraps what the vault has sealed.
    #[must_use]
    pub const fn from_ciphertext(ciphertext: String) -> Self {
        Self(ciphertext)
    }

    /// The ciphertext, as stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed")
    }
}

/// SHA-256 of a 256-bit random token, in hex. A digest of so much randomness tells nothing of
/// the token, so it may stand in events; codes and passwords have too little, so theirs may not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenDigest(String);

impl TokenDigest {
    /// Wraps a digest in lower-case hex.
    #[must_use]
    pub const fn from_hex(hex: String) -> Self {
        Self(hex)
    }

    /// The digest in lower-case hex.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
