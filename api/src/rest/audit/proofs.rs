//! Proofs of the trail: the signed checkpoint, and that an entry is in its tree.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use countersign_domain::instance::{AuditFilter, AuditRoute};
use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::ledger::proof::Receipt;
use countersign_projections::ledger::tree::Hash;
use countersign_projections::ledger::verify::Finding;
use countersign_projections::ledger::verify::stored::verify_entry;
use serde::Deserialize;

use super::entry_position;
use super::query::Reader;
use crate::app::App;
use crate::problem::refusals::busy;
use crate::problem::{Problem, ProblemCode};
use crate::request::Request;
use crate::rest::{OneId, Params, Problems, Shared};

/// Text as the formats of transparency logs define it.
fn plain(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// The latest signed checkpoint: a C2SP signed note with the ledger's name, size and root.
#[utoipa::path(
    get, path = "/v1/audit/checkpoint", tag = "ledger",
    responses((status = 200, body = String, content_type = "text/plain"), Problems)
)]
pub async fn checkpoint(State(app): Shared) -> Result<Response, Problem> {
    Ok(plain(app.ledger.checkpoint().await?.0))
}

/// The key that checks the ledger's signatures, as a C2SP vkey line.
#[utoipa::path(
    get, path = "/v1/audit/key", tag = "ledger",
    responses((status = 200, body = String, content_type = "text/plain"), Problems)
)]
pub async fn key(State(app): Shared) -> Result<Response, Problem> {
    Ok(plain(format!("{}\n", app.ledger.verifier())))
}

/// Proves that an entry is in the ledger: a C2SP tlog-proof of its leaf, with the checkpoint. An entry that
/// was only just recorded is waited for.
#[utoipa::path(
    get, path = "/v1/audit/entries/{position}/proof", tag = "ledger", security(("bearer" = [])),
    params(("position" = u64, Path)),
    responses((status = 200, body = String, content_type = "text/plain"), Problems)
)]
pub async fn proof(State(app): Shared, request: Request, Path(position): OneId) -> Result<Response, Problem> {
    let (reader, index) = (Reader::of(&request)?, entry_position(&position)?);
    app.record_audit_read(&request, AuditFilter::of_entry(AuditRoute::Proof, index)).await?;
    app.entry_at(index, reader).await?;
    let receipt = app.receipt(index).await?.ok_or_else(|| busy("That entry is not signed yet."))?;
    Ok(plain(receipt.to_string()))
}

impl App {
    /// The proof that an entry is in the ledger; none while it is not signed, for which it waits a while.
    pub(crate) async fn receipt(&self, index: u64) -> Result<Option<Receipt>, Problem> {
        let Some((note, checkpoint)) = self.ledger.checkpoint_over(index).await? else { return Ok(None) };
        let hashes = self.ledger.store.inclusion(index, checkpoint.size).await?;
        Ok(Some(Receipt { extra: None, index, hashes, checkpoint: note }))
    }

    /// Checks such a proof as a stranger would: the signature, and the way from the leaf to the root. Then whether what
    /// the trail and the event say of the entry, which is all that people are shown of it, is what the leaf says.
    pub(crate) async fn verified_in(&self, index: u64) -> Result<Included, Problem> {
        let Some(receipt) = self.receipt(index).await? else { return Ok(Included::NotYet) };
        let leaves = self.ledger.store.leaves(index, index.saturating_add(1)).await?;
        let leaf = leaves.first().ok_or_else(|| Problem::internal("an entry has no leaf"))?;
        let not_proved = |reason: String| {
            tracing::error!(position = index, reason, "an entry is not proved by the ledger");
            Ok(Included::NotProved)
        };
        let size = match receipt.verify(self.ledger.verifier(), leaf.leaf.as_bytes()) {
            Ok(checkpoint) => checkpoint.size,
            Err(error) => return not_proved(error.to_string()),
        };
        let found = verify_entry(&self.database, index).await;
        let found = found.map_err(|error| Problem::internal(error.to_string()))?;
        if let Some(Finding { problem, .. }) = found.first() {
            return not_proved(problem.to_string());
        }
        if !AuditTrail::tells_of_the_event(&self.database, index).await? {
            return not_proved("the audit trail does not tell of it what its event says".to_owned());
        }
        Ok(Included::Verified { size })
    }
}

/// Whether an entry was found in the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Included {
    /// Its proof was checked against the checkpoint of this size.
    Verified {
        /// How many entries were signed.
        size: u64,
    },
    /// No checkpoint covers it yet.
    NotYet,
    /// A checkpoint covers it, and its proof does not verify, or what is shown is not what it proves.
    NotProved,
}

/// Two sizes of the ledger.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Growth {
    /// The size of the earlier checkpoint.
    from: u64,
    /// The size of the later one; the latest if it is not given.
    to: Option<u64>,
}

/// Proves that the ledger has only grown from one size to another: hashes in base64, one a line. From
/// nothing, and from a size to itself, there is nothing to prove and no line.
#[utoipa::path(
    get, path = "/v1/audit/consistency", tag = "ledger", params(Growth),
    responses((status = 200, body = String, content_type = "text/plain"), Problems)
)]
pub async fn consistency(State(app): Shared, Params(growth): Params<Growth>) -> Result<Response, Problem> {
    let (_, checkpoint) = app.ledger.checkpoint().await?;
    let to = growth.to.unwrap_or(checkpoint.size);
    let malformed = |detail: String| Err(Problem::new(ProblemCode::MalformedRequest, detail));
    if growth.from > to {
        return malformed("from must not be larger than to.".to_owned());
    }
    if to > checkpoint.size {
        return malformed(format!(
            "to must not be larger than {}, the size that is signed.",
            checkpoint.size
        ));
    }
    let hashes = app.ledger.store.consistency(growth.from, to).await?;
    Ok(plain(hashes.iter().map(|hash: &Hash| hash.to_base64() + "\n").collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{app_in, open_agreement, toggle_enforcement};

    #[tokio::test]
    async fn what_was_altered_since_it_was_signed_is_not_verified() {
        let directory = tempfile::tempdir().unwrap();
        let app = app_in(directory.path()).await;
        open_agreement(&app).await;
        toggle_enforcement(&app, true).await;
        app.ledger.sequence_all(app.clock.now()).await.unwrap();
        let verified = Included::Verified { size: 2 };
        assert_eq!(app.verified_in(1).await.unwrap(), verified);
        app.database.write("DROP TRIGGER events_refuse_update", &[]).await.unwrap();
        for (table, column, other) in [
            ("events", "payload", "replace(payload, 'true', 'false')"),
            ("events", "actor_id", "'somebody'"),
            ("audit_trail_v1", "recorded_at", "'2030-03-17T17:46:41.000000Z'"),
            ("audit_trail_v1", "sequence", "1"),
            ("audit_trail_v1", "agreement_id", "NULL"),
        ] {
            let only = format!("FROM {table} WHERE event_type = 'EnforcementToggled'");
            let before = app.database.read(&format!("SELECT {column} AS found {only}"), &[]).await.unwrap();
            let set = |to: &str| {
                format!("UPDATE {table} SET {column} = {to} WHERE event_type = 'EnforcementToggled'")
            };
            app.database.write(&set(other), &[]).await.unwrap();
            assert_eq!(app.verified_in(1).await.unwrap(), Included::NotProved, "{table}.{column}");
            app.database.write(&set("$1"), &[before[0].get("found").unwrap()]).await.unwrap();
            assert_eq!(app.verified_in(1).await.unwrap(), verified, "{table}.{column}");
        }
        assert_eq!(app.verified_in(0).await.unwrap(), verified);
    }
}
