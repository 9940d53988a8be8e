//! The key that signs checkpoints: a file beside the master key, or a setting. Its public half and the
//! log's name stand in the database, so that no node signs with another.

use countersign_domain::Timestamp;
use countersign_projections::ledger::checkpoint::{Origin, Signer};
use countersign_projections::ledger::store::{LedgerError, LedgerState, LedgerStore, Renamed};
use secrecy::ExposeSecret;

use super::{HEAD_FILE, LedgerStartError};
use crate::config::Config;
use crate::key_file::{self, KeyBytes};
use crate::{entropy, token::hex};

/// The key with the log's name, and the ledger that it signs; made at the first start.
pub(super) async fn signer_of(
    config: &Config,
    store: &LedgerStore,
    now: Timestamp,
) -> Result<(Signer, LedgerState), LedgerStartError> {
    let asked = config.ledger_origin.as_deref().map(str::parse::<Origin>).transpose();
    let asked = asked.map_err(LedgerStartError::Origin)?;
    let found = store.state().await?;
    let seed = seed(config, found.as_ref())?;
    let state = match found {
        Some(state) => state,
        // A database that lost its ledger must not get a new one in silence.
        None if config.data_dir.join(HEAD_FILE).exists() => {
            return Err(LedgerStartError::HeadWithoutLedger { path: config.data_dir.join(HEAD_FILE) });
        }
        None => {
            let origin = match &asked {
                Some(origin) => origin.clone(),
                None => made_up_origin()?,
            };
            store.make(&Signer::from_seed(origin, &seed), now).await?
        }
    };
    let signer = signer_for(&state, &seed)?;
    match asked {
        Some(asked) if asked != *signer.verifier().origin() => rename(store, asked, &seed, state).await,
        Some(_) | None => Ok((signer, state)),
    }
}

/// The key and the log's name as they are there; nothing is made.
pub(super) async fn existing_signer(
    config: &Config,
    store: &LedgerStore,
) -> Result<Signer, LedgerStartError> {
    let state = store.state().await?.ok_or(LedgerError::NotThere)?;
    let seed = seed(config, Some(&state))?;
    signer_for(&state, &seed)
}

fn signer_for(state: &LedgerState, seed: &KeyBytes) -> Result<Signer, LedgerStartError> {
    let origin: Origin = state.origin.parse().map_err(LedgerStartError::Origin)?;
    let signer = Signer::from_seed(origin, seed);
    let given = signer.verifier().to_string();
    if given == state.verifier_key {
        return Ok(signer);
    }
    Err(LedgerStartError::OtherKey { found: state.verifier_key.clone(), given })
}

/// A name can be given until the first entry was signed under the other one.
async fn rename(
    store: &LedgerStore,
    asked: Origin,
    seed: &KeyBytes,
    state: LedgerState,
) -> Result<(Signer, LedgerState), LedgerStartError> {
    let signer = Signer::from_seed(asked, seed);
    match store.rename(&signer).await? {
        Renamed::To(state) => Ok((signer, *state)),
        Renamed::No => Err(LedgerStartError::OtherOrigin {
            found: state.origin,
            given: signer.verifier().origin().as_str().to_owned(),
        }),
    }
}

fn seed(config: &Config, found: Option<&LedgerState>) -> Result<KeyBytes, LedgerStartError> {
    if let Some(text) = &config.ledger_key {
        return Ok(key_file::parse(text.expose_secret(), "the setting ledger_key")?);
    }
    let path = config.data_dir.join("ledger.key");
    match (key_file::read(&path)?, found) {
        (Some(seed), _) => Ok(seed),
        // A new key would sign what the old one's holders never agreed to.
        (None, Some(state)) => {
            Err(LedgerStartError::KeyMissing { path, verifier_key: state.verifier_key.clone() })
        }
        (None, None) => Ok(key_file::create(&path)?),
    }
}

/// A name that no other log has, where none was given.
fn made_up_origin() -> Result<Origin, LedgerStartError> {
    let number: [u8; 8] = entropy::bytes().map_err(key_file::KeyFileError::from)?;
    format!("countersign.local/{}", hex(&number)).parse().map_err(LedgerStartError::Origin)
}
