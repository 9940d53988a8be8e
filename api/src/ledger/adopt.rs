//! Going on from a database whose ledger is not the one that was last signed, on the record.

use std::sync::Arc;

use countersign_domain::ids::InstanceId;
use countersign_domain::instance::{AdoptLedger, AdoptedTree, Instance, InstanceCommand};
use countersign_projections::ledger::checkpoint::Checkpoint;
use countersign_projections::ledger::sequencer::Trust;
use countersign_projections::ledger::store::LedgerError;

use super::head::HeadError;
use crate::app::App;
use crate::execute::Plan;
use crate::problem::Problem;
use crate::request::Request;

/// What adopting came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Adopted {
    /// The ledger has grown from its head and is signed, no event is without its place, and nothing else is in the
    /// queue.
    NothingToAdopt,
    /// The ledger goes on, and says so.
    GoesOn {
        /// How many entries the lost ledger had, if one was lost.
        lost: Option<u64>,
        /// How many entries were kept.
        kept: u64,
        /// How many events were put back into the queue.
        requeued: u64,
        /// The first rows of the queue that named none of these, and were taken away.
        strays: Vec<String>,
        /// The size that is signed now.
        size: u64,
    },
}

/// Why adopting did not do.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The ledger or its head does not do.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The record is in the database, and has no place in the ledger.
    #[error("the record of the adoption gets no place in the ledger; run `countersign verify`")]
    NotRecorded,
    /// The record was not written.
    #[error("{}", .0.for_operator())]
    Record(Problem),
}

impl From<LedgerError> for AdoptError {
    fn from(error: LedgerError) -> Self {
        Self::Head(error.into())
    }
}

/// Takes the ledger of the database for the ledger, whatever the head says, and records both trees.
/// Events that lost their place in the queue are put back into it.
///
/// # Errors
/// Says why not. It can be asked for again then: what was recorded is on the record, and the rest is still to do.
pub async fn adopt(app: &Arc<App>, request: &Request, reason: &str) -> Result<Adopted, AdoptError> {
    let ledger = &app.ledger;
    let state = ledger.store.state().await?.ok_or(LedgerError::NotThere)?;
    let lost = match ledger.head.check(&ledger.store, &state).await {
        Ok(()) => None,
        Err(HeadError::RolledBack { .. } | HeadError::Forked { .. }) => ledger.head.trusted(),
        Err(error @ (HeadError::Unreadable { .. } | HeadError::NotOurs { .. } | HeadError::Ledger(_))) => {
            return Err(error.into());
        }
    };
    let mut sequencer = ledger.sequencer();
    // What still agrees with the head is held to it. A checkpoint that somebody spoiled agrees with nothing.
    let head = ledger.head.trusted();
    let is_spoiled = ledger.verifier().verify(state.checkpoint.as_bytes()).is_err();
    let trust = match lost {
        Some(_) => Trust::Database,
        None if is_spoiled => Trust::HeadAlone(head.as_ref()),
        None => Trust::Head(head.as_ref()),
    };
    sequencer.examine(trust).await?;
    let mut state = state;
    if lost.is_none() && !is_spoiled {
        // What only waits is nothing to adopt.
        ledger.drain(&mut sequencer, trust, app.clock.now()).await?;
        state = ledger.store.state().await?.ok_or(LedgerError::NotThere)?;
    }
    let (requeued, strays) = (sequencer.count_unplaced().await?, sequencer.strays().await?);
    if lost.is_none() && !is_spoiled && requeued == 0 && strays.is_empty() {
        return Ok(Adopted::NothingToAdopt);
    }
    for event in &strays {
        tracing::warn!(
            event,
            "a row of the ledger's queue that stands for no event without a place is taken away"
        );
    }
    let kept = AdoptedTree { size: state.size(), root: state.frontier.root().to_base64() };
    // Before anything is changed, so that nothing is changed without a record.
    record(app, request, lost.as_ref(), &kept, requeued, reason).await.map_err(AdoptError::Record)?;
    sequencer.requeue().await?;
    ledger.drain(&mut sequencer, trust, app.clock.now()).await?;
    let (note, checkpoint) = ledger.checkpoint().await?;
    let size = checkpoint.size;
    if size <= kept.size {
        return Err(AdoptError::NotRecorded);
    }
    if lost.is_some() {
        ledger.head.replace(&note, checkpoint).await?;
    } else {
        ledger.head.advance(&ledger.store, &note).await?;
    }
    Ok(Adopted::GoesOn { lost: lost.map(|lost| lost.size), kept: kept.size, requeued, strays, size })
}

async fn record(
    app: &App,
    request: &Request,
    lost: Option<&Checkpoint>,
    kept: &AdoptedTree,
    requeued: u64,
    reason: &str,
) -> Result<(), Problem> {
    let lost = lost.map(|lost| AdoptedTree { size: lost.size, root: lost.root.to_base64() });
    app.execute::<Instance>(request, InstanceId::of_ledger(), None, |_, moment| {
        let command = AdoptLedger {
            lost: lost.clone(),
            kept: kept.clone(),
            requeued,
            reason: reason.to_owned(),
            at: moment.at,
        };
        Ok(Plan::new(InstanceCommand::AdoptLedger(command), app.vault.instance_key().clone()))
    })
    .await?;
    Ok(())
}
