//! Bearer tokens: 256 random bits behind a prefix that says what they are. Only their SHA-256 is
//! stored. A token carries the id of its owner, so that one read finds the stream that knows it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_domain::ids::SessionId;
use countersign_domain::sealed::TokenDigest;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::entropy::{self, NoEntropy};

const OWNER_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;

/// What a token is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// An application's API key; its owner is the key's own stream.
    ApiKey,
    /// A person's session.
    Session,
    /// Lets a person enrol at sign-in.
    Enrolment,
    /// Names a login challenge. It authorises nothing but giving the second factor.
    Challenge,
    /// The one-time pass that an operator hands over after a reset.
    Pass,
}

impl TokenKind {
    const ALL: [Self; 5] = [Self::ApiKey, Self::Session, Self::Enrolment, Self::Challenge, Self::Pass];

    const fn prefix(self) -> &'static str {
        match self {
            Self::ApiKey => "csk_",
            Self::Session => "css_",
            Self::Enrolment => "cse_",
            Self::Challenge => "csc_",
            Self::Pass => "csp_",
        }
    }
}

/// A token that was just drawn, in the clear: it is shown once and then forgotten.
pub struct DrawnToken {
    /// What its owner is given.
    pub text: Zeroizing<String>,
    /// What is stored.
    pub digest: TokenDigest,
}

/// A token that somebody presented.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresentedToken {
    /// What it says that it is for.
    pub kind: TokenKind,
    /// Whose it says that it is.
    pub owner: Uuid,
    /// What to compare with what is stored.
    pub digest: TokenDigest,
}

impl DrawnToken {
    /// Draws a token of this kind for this owner.
    ///
    /// # Errors
    /// [`NoEntropy`] when the operating system gives no randomness.
    pub fn draw(kind: TokenKind, owner: Uuid) -> Result<Self, NoEntropy> {
        let secret = Zeroizing::new(entropy::bytes::<SECRET_BYTES>()?);
        let bytes = Zeroizing::new([owner.as_bytes().as_slice(), secret.as_slice()].concat());
        let text = Zeroizing::new(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(&bytes)));
        let digest = digest_of(&text);
        Ok(Self { text, digest })
    }
}

impl PresentedToken {
    /// Reads a token; none when it is not one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let kind = TokenKind::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))?;
        let encoded = text.strip_prefix(kind.prefix())?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).ok()?);
        if bytes.len() != OWNER_BYTES + SECRET_BYTES {
            return None;
        }
        let owner = Uuid::from_slice(bytes.get(..OWNER_BYTES)?).ok()?;
        Some(Self { kind, owner, digest: digest_of(text) })
    }
}

/// The id of the session that a token of this digest opens. Derived, so that the token alone
/// tells which row says when the session was last used; it gives half of a digest away, which
/// tells nothing of a 256-bit token.
#[must_use]
pub fn session_id_of(digest: &TokenDigest) -> SessionId {
    let hash: [u8; 32] = Sha256::digest(format!("session id of {}", digest.as_str())).into();
    let mut id = [0; 16];
    id.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
    SessionId::from_uuid(Uuid::new_v8(id))
}

fn digest_of(text: &str) -> TokenDigest {
    TokenDigest::from_hex(hex(&Sha256::digest(text)))
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        for nibble in [byte >> 4, byte & 0xf] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or_default());
        }
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s17_a_token_reads_back_with_its_owner_and_digest() {
        let owner = Uuid::from_u128(7);
        let drawn = DrawnToken::draw(TokenKind::Session, owner).unwrap();
        let presented = PresentedToken::parse(&drawn.text).unwrap();
        assert_eq!(presented, PresentedToken { kind: TokenKind::Session, owner, digest: drawn.digest });
    }

    #[test]
    fn s17_two_tokens_are_never_alike() {
        let draw = || DrawnToken::draw(TokenKind::ApiKey, Uuid::nil()).unwrap().digest;
        assert_ne!(draw(), draw());
    }

    #[test]
    fn what_is_not_a_token_is_none() {
        for wrong in ["", "css_", "css_AAAA", "xyz_AAAA", "css_!!!!", "Bearer css_"] {
            assert_eq!(PresentedToken::parse(wrong), None, "{wrong}");
        }
    }
}
