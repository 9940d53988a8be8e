//! The keys above the data keys: the master key in its file, and the installation's own keys
//! that it wraps.

use std::path::{Path, PathBuf};

use countersign_domain::Timestamp;
use countersign_projections::database::{Database, DatabaseError};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{DataKey, KEY_BYTES, Vault, VaultError, WrappedKey, decrypt, encrypt};
use crate::entropy;
use crate::key_file::{self, KeyBytes, KeyFileError};
use crate::token::hex;

const LOOKUP: &str = "lookup";
const INSTANCE: &str = "instance";

/// The key above all keys. It is never in the database.
pub struct MasterKey {
    id: String,
    key: Zeroizing<[u8; KEY_BYTES]>,
}

/// The keys of the installation could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file or the setting does not do.
    #[error("the master key: {0}")]
    File(#[from] KeyFileError),
    /// The database was sealed under a master key that is not there.
    #[error(
        "the master key {path} is missing, but this database was sealed under one (id {master_key_id}); \
         put it back, or nothing in the vault can be opened"
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// Which one it was.
        master_key_id: String,
    },
    /// The database was sealed under another master key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl MasterKey {
    /// Reads a master key from text: 32 bytes in base64.
    ///
    /// # Errors
    /// [`KeyFileError::NotAKey`], naming `origin`.
    pub fn parse(text: &str, origin: &str) -> Result<Self, KeyError> {
        Ok(Self::from_bytes(key_file::parse(text, origin)?))
    }

    fn from_bytes(key: KeyBytes) -> Self {
        let digest =
            Sha256::new().chain_update(b"countersign master key id").chain_update(key.as_slice()).finalize();
        Self { id: hex(&digest).chars().take(16).collect(), key }
    }

    /// Which master key it is, without telling anything of it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Reads the key file; none when there is no file.
    ///
    /// # Errors
    /// Says why the file does not do.
    pub fn read(path: &Path) -> Result<Option<Self>, KeyError> {
        Ok(key_file::read(path)?.map(Self::from_bytes))
    }

    /// Makes the key file.
    ///
    /// # Errors
    /// Says why the file cannot be made.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        Ok(Self::from_bytes(key_file::create(path)?))
    }

    pub(super) fn wrap(&self, key: &DataKey) -> Result<String, VaultError> {
        encrypt(&self.key, &self.wrapping(key.owner, &key.id), key.key.as_slice())
    }

    pub(super) fn unwrap_key(&self, owner: Uuid, wrapped: &WrappedKey) -> Result<DataKey, VaultError> {
        if wrapped.master_key_id != self.id {
            return Err(VaultError::OtherMasterKey {
                found: wrapped.master_key_id.clone(),
                given: self.id.clone(),
            });
        }
        let not_opened = VaultError::DoesNotOpen { what: "data key" };
        let plain = decrypt(&self.key, &self.wrapping(owner, &wrapped.key_id), &wrapped.wrapped)
            .ok_or_else(|| not_opened.clone())?;
        let key: [u8; KEY_BYTES] = plain.as_slice().try_into().map_err(|_| not_opened)?;
        Ok(DataKey { owner, id: wrapped.key_id.clone(), key: Zeroizing::new(key) })
    }

    fn wrapping(&self, owner: Uuid, key_id: &str) -> String {
        format!("countersign/1\n{owner}\ndata key\n{key_id}\n{}", self.id)
    }
}

impl Vault {
    /// Which master key the database was sealed under; none while it is fresh.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn master_key_id_of(database: &Database) -> Result<Option<String>, DatabaseError> {
        let rows =
            database.read("SELECT master_key_id FROM instance_keys ORDER BY name LIMIT 1", &[]).await?;
        rows.first().map(|row| row.get("master_key_id")).transpose()
    }

    /// Opens the installation's own keys, and makes them at first start.
    ///
    /// # Errors
    /// [`VaultError::OtherMasterKey`] when the database was sealed under another master key.
    pub async fn open(database: &Database, master: MasterKey, at: Timestamp) -> Result<Self, KeyError> {
        for name in [LOOKUP, INSTANCE] {
            make_instance_key(database, &master, name, at).await?;
        }
        Self::open_existing(database, master).await
    }

    /// Opens the installation's own keys, and makes none.
    ///
    /// # Errors
    /// As for [`Vault::open`], and [`VaultError::KeyGone`] before the first start.
    pub async fn open_existing(database: &Database, master: MasterKey) -> Result<Self, KeyError> {
        let lookup = instance_key(database, &master, LOOKUP).await?;
        let instance = instance_key(database, &master, INSTANCE).await?;
        Ok(Self { master, lookup: lookup.key, instance })
    }
}

async fn make_instance_key(
    database: &Database,
    master: &MasterKey,
    name: &str,
    at: Timestamp,
) -> Result<(), KeyError> {
    let fresh = DataKey {
        owner: Uuid::nil(),
        id: name.to_owned(),
        key: Zeroizing::new(entropy::bytes().map_err(VaultError::from)?),
    };
    let params = [name.into(), master.wrap(&fresh)?.into(), master.id().to_owned().into(), at.into()];
    // Two nodes may start at once: the first key stays, and both read it back.
    database
        .write(
            "INSERT INTO instance_keys (name, wrapped, master_key_id, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO NOTHING",
            &params,
        )
        .await?;
    Ok(())
}

async fn instance_key(database: &Database, master: &MasterKey, name: &str) -> Result<DataKey, KeyError> {
    let rows = database
        .read("SELECT wrapped, master_key_id FROM instance_keys WHERE name = $1", &[name.into()])
        .await?;
    let row = rows.first().ok_or(VaultError::KeyGone)?;
    let wrapped = WrappedKey {
        key_id: name.to_owned(),
        wrapped: row.get("wrapped")?,
        master_key_id: row.get("master_key_id")?,
    };
    Ok(master.unwrap_key(Uuid::nil(), &wrapped)?)
}
