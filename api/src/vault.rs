//! The vault: every secret and every piece of personal data is sealed under its owner's data
//! key, every data key is wrapped under the master key, and the master key is not in the database.
//!
//! Sealing is XChaCha20-Poly1305, whose 192-bit nonces can be drawn at random without counting.
//! The associated data binds whose it is, what it is for, which row it is and which key sealed it,
//! so a row moved to another place does not open.

pub mod keys;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use countersign_domain::Timestamp;
use countersign_domain::ids::UserId;
use countersign_domain::sealed::Sealed;
use countersign_domain::user::recovery_code::RecoveryCode;
use countersign_projections::database::{DatabaseError, Row};
use countersign_projections::table::{Change, DATA_KEYS, VAULT};
use hmac::{Hmac, Mac};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::entropy::{self, NoEntropy};
use crate::token::hex;
pub use keys::MasterKey;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Opens and seals for the whole installation.
pub struct Vault {
    master: MasterKey,
    /// Keys the digests by which e-mail addresses, throttled pairs and emergency codes are
    /// compared. It is wrapped like any other key, so rotating the master key rehashes nothing.
    lookup: Zeroizing<[u8; KEY_BYTES]>,
    instance: DataKey,
}

/// One owner's data key.
#[derive(Clone)]
pub struct DataKey {
    owner: Uuid,
    id: String,
    key: Zeroizing<[u8; KEY_BYTES]>,
}

/// A data key as it is stored.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct WrappedKey {
    /// Its id.
    pub key_id: String,
    /// The key, wrapped under the master key.
    pub wrapped: String,
    /// Which master key wraps it.
    pub master_key_id: String,
}

impl WrappedKey {
    /// Reads the columns `key_id`, `wrapped` and `master_key_id`; none where there is no key.
    ///
    /// # Errors
    /// When the row has other columns.
    pub fn from_row(row: &Row) -> Result<Option<Self>, DatabaseError> {
        let Some(key_id) = row.get("key_id")? else { return Ok(None) };
        Ok(Some(Self { key_id, wrapped: row.get("wrapped")?, master_key_id: row.get("master_key_id")? }))
    }
}

/// What something was sealed for. Nothing sealed for one purpose opens for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each is named after what it protects")]
pub enum Purpose {
    Email,
    DisplayName,
    Address,
    UserAgent,
    Label,
    Reason,
    TotpSecret,
    PasswordHash,
    RecoveryCodeDigest,
    WebhookUrl,
    WebhookSecret,
}

impl Purpose {
    /// The name in the vault's `kind` column and in the associated data.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::DisplayName => "display_name",
            Self::Address => "address",
            Self::UserAgent => "user_agent",
            Self::Label => "label",
            Self::Reason => "reason",
            Self::TotpSecret => "totp_secret",
            Self::PasswordHash => "password_hash",
            Self::RecoveryCodeDigest => "recovery_code_digest",
            Self::WebhookUrl => "url",
            Self::WebhookSecret => "webhook_secret",
        }
    }
}

/// Something sealed did not open.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VaultError {
    /// Sealed under another master key.
    #[error("sealed under the master key {found}, but this program was given {given}")]
    OtherMasterKey {
        /// The one that sealed it.
        found: String,
        /// The one that was given.
        given: String,
    },
    /// Altered, moved from its place, or sealed under another key.
    #[error("a sealed {what} does not open: it was altered, moved or sealed under another key")]
    DoesNotOpen {
        /// What it was sealed for.
        what: &'static str,
    },
    /// The owner's data key is gone.
    #[error("the data key of its owner is gone")]
    KeyGone,
    /// The operating system gives no randomness.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

impl Vault {
    /// Draws a data key for a new owner, with the row that stores it.
    ///
    /// # Errors
    /// [`VaultError::NoEntropy`].
    pub fn new_data_key(&self, owner: Uuid, at: Timestamp) -> Result<(DataKey, Change), VaultError> {
        let key = DataKey { owner, id: entropy::id(at)?.to_string(), key: Zeroizing::new(entropy::bytes()?) };
        let wrapped = self.master.wrap(&key)?;
        let row = vec![
            key.id.clone().into(),
            owner.to_string().into(),
            wrapped.into(),
            self.master.id().to_owned().into(),
            at.into(),
        ];
        Ok((key, Change::Insert(&DATA_KEYS, row)))
    }

    /// Opens an owner's data key.
    ///
    /// # Errors
    /// [`VaultError::KeyGone`] when there is none (the owner was erased), otherwise why it does not open.
    pub fn data_key(&self, owner: Uuid, wrapped: Option<&WrappedKey>) -> Result<DataKey, VaultError> {
        self.master.unwrap_key(owner, wrapped.ok_or(VaultError::KeyGone)?)
    }

    /// The key for what belongs to the installation, such as the address an API key was used from.
    #[must_use]
    pub const fn instance_key(&self) -> &DataKey {
        &self.instance
    }

    /// The digest by which an e-mail address is found. Keyed, so that nobody with the database
    /// alone can try addresses.
    #[must_use]
    pub fn email_digest(&self, normalised_email: &str) -> String {
        self.keyed_digest("email", &[normalised_email])
    }

    /// The digest under which attempts are counted.
    #[must_use]
    pub fn throttle_bucket(&self, parts: &[&str]) -> String {
        self.keyed_digest("throttle", parts)
    }

    /// The digest by which an emergency code is compared.
    #[must_use]
    pub fn recovery_code_digest(&self, user_id: UserId, code: &RecoveryCode) -> RecoveryCodeDigest {
        RecoveryCodeDigest(self.keyed_digest("recovery code", &[&user_id.to_string(), code.expose()]))
    }

    fn keyed_digest(&self, purpose: &str, parts: &[&str]) -> String {
        // An HMAC takes keys of any length, so this cannot fail for 32 bytes.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.lookup.as_slice()) else {
            return String::new();
        };
        for part in std::iter::once(&purpose).chain(parts) {
            // Lengths first: no two lists of parts are the same bytes.
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part.as_bytes());
        }
        hex(&mac.finalize().into_bytes())
    }
}

/// The keyed digest of an emergency code, compared without telling how much of it was right.
pub struct RecoveryCodeDigest(String);

impl RecoveryCodeDigest {
    /// For sealing.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether what the vault held is this digest.
    #[must_use]
    pub fn equals(&self, stored: &[u8]) -> bool {
        self.as_bytes().ct_eq(stored).into()
    }
}

impl DataKey {
    /// Says which key this is to whoever has it, and nothing to anybody else. Ciphertexts of this kind
    /// can be made to open under two keys; an event that names the commitment has one.
    #[must_use]
    pub fn commitment(&self) -> String {
        let digest = Sha256::new()
            .chain_update(format!("countersign/1 data key commitment\n{}\n{}\n", self.owner, self.id))
            .chain_update(self.key.as_slice())
            .finalize();
        hex(&digest)
    }

    /// Whether it says that this key sealed it.
    #[must_use]
    pub fn sealed(&self, sealed: &str) -> bool {
        sealed.split_once('.').is_some_and(|(key_id, _)| key_id == self.id)
    }

    /// Seals personal data for an event or a read model.
    ///
    /// # Errors
    /// [`VaultError::NoEntropy`].
    pub fn seal(&self, purpose: Purpose, row: &str, plain: &[u8]) -> Result<Sealed, VaultError> {
        let sealed = encrypt(&self.key, &self.associated_data(purpose.name(), row), plain)?;
        Ok(Sealed::from_ciphertext(format!("{}.{sealed}", self.id)))
    }

    /// Opens what [`DataKey::seal`] sealed for the same purpose and row.
    ///
    /// # Errors
    /// [`VaultError::DoesNotOpen`].
    pub fn open(&self, purpose: Purpose, row: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let what = purpose.name();
        let ciphertext = sealed
            .split_once('.')
            .filter(|(key_id, _)| *key_id == self.id)
            .map(|(_, ciphertext)| ciphertext)
            .ok_or(VaultError::DoesNotOpen { what })?;
        decrypt(&self.key, &self.associated_data(what, row), ciphertext)
            .ok_or(VaultError::DoesNotOpen { what })
    }

    /// Opens text.
    ///
    /// # Errors
    /// [`VaultError::DoesNotOpen`].
    pub fn open_text(&self, purpose: Purpose, row: &str, sealed: &str) -> Result<String, VaultError> {
        let plain = self.open(purpose, row, sealed)?;
        String::from_utf8(plain.to_vec()).map_err(|_| VaultError::DoesNotOpen { what: purpose.name() })
    }

    /// The vault row of a secret that this key's owner is to have.
    ///
    /// # Errors
    /// [`VaultError::NoEntropy`].
    pub fn vault_row(
        &self,
        purpose: Purpose,
        row_id: Uuid,
        plain: &[u8],
        at: Timestamp,
    ) -> Result<Change, VaultError> {
        let row_id = row_id.to_string();
        let sealed = self.seal(purpose, &row_id, plain)?;
        let row = vec![
            row_id.into(),
            self.owner.to_string().into(),
            purpose.name().to_owned().into(),
            self.id.clone().into(),
            sealed.as_str().to_owned().into(),
            at.into(),
        ];
        Ok(Change::Insert(&VAULT, row))
    }

    fn associated_data(&self, purpose: &str, row: &str) -> String {
        format!("countersign/1\n{}\n{purpose}\n{row}\n{}", self.owner, self.id)
    }
}

fn encrypt(key: &[u8; KEY_BYTES], associated_data: &str, plain: &[u8]) -> Result<String, VaultError> {
    let nonce: [u8; NONCE_BYTES] = entropy::bytes()?;
    let payload = Payload { msg: plain, aad: associated_data.as_bytes() };
    let ciphertext = XChaCha20Poly1305::new(&(*key).into())
        .encrypt(&XNonce::from(nonce), payload)
        // Only a message of more than 256 GiB can fail.
        .map_err(|_| VaultError::DoesNotOpen { what: "message" })?;
    Ok(STANDARD_NO_PAD.encode([nonce.as_slice(), &ciphertext].concat()))
}

fn decrypt(key: &[u8; KEY_BYTES], associated_data: &str, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
    let (nonce, ciphertext) = bytes.split_first_chunk::<NONCE_BYTES>()?;
    let payload = Payload { msg: ciphertext, aad: associated_data.as_bytes() };
    let plain = XChaCha20Poly1305::new(&(*key).into()).decrypt(&XNonce::from(*nonce), payload).ok()?;
    Some(Zeroizing::new(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(owner: u128) -> DataKey {
        DataKey {
            owner: Uuid::from_u128(owner),
            id: "k1".to_owned(),
            key: Zeroizing::new(entropy::bytes().unwrap()),
        }
    }

    #[test]
    fn what_is_sealed_opens_for_its_owner_purpose_and_row() {
        let key = key(1);
        let sealed = key.seal(Purpose::TotpSecret, "row", b"secret").unwrap();
        assert_eq!(key.open(Purpose::TotpSecret, "row", sealed.as_str()).unwrap().as_slice(), b"secret");
    }

    #[test]
    fn s13_a_row_that_was_moved_does_not_open() {
        let mine = key(1);
        let sealed = mine.seal(Purpose::TotpSecret, "row", b"secret").unwrap();
        let refused = |key: &DataKey, purpose, row| {
            assert_eq!(
                key.open(purpose, row, sealed.as_str()).unwrap_err(),
                VaultError::DoesNotOpen { what: purpose.name() }
            );
        };
        refused(&mine, Purpose::TotpSecret, "other row");
        refused(&mine, Purpose::PasswordHash, "row");
        refused(&DataKey { owner: Uuid::from_u128(2), ..mine.clone() }, Purpose::TotpSecret, "row");
        refused(&key(1), Purpose::TotpSecret, "row");
        refused(&DataKey { id: "k2".to_owned(), ..mine.clone() }, Purpose::TotpSecret, "row");
    }

    #[test]
    fn a_commitment_is_that_of_one_key_alone() {
        let mine = key(1);
        assert_eq!(mine.commitment(), mine.clone().commitment());
        assert_eq!(mine.commitment().len(), 64);
        for other in [
            key(1),
            DataKey { owner: Uuid::from_u128(2), ..mine.clone() },
            DataKey { id: "k2".to_owned(), ..mine.clone() },
        ] {
            assert_ne!(other.commitment(), mine.commitment());
        }
    }

    #[test]
    fn an_altered_byte_does_not_open() {
        let key = key(1);
        let sealed = key.seal(Purpose::Email, "", b"kari@example.com").unwrap();
        let (id, ciphertext) = sealed.as_str().split_once('.').unwrap();
        let mut bytes = STANDARD_NO_PAD.decode(ciphertext).unwrap();
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            let altered = format!("{id}.{}", STANDARD_NO_PAD.encode(&bytes));
            assert!(key.open(Purpose::Email, "", &altered).is_err(), "byte {index}");
            bytes[index] ^= 1;
        }
    }
}
