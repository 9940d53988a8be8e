//! Writing an auditor's bundle out of the running ledger.

use std::path::Path;

use countersign_domain::instance::{ExportFormat, RecordAuditExport};
use countersign_projections::ledger::bundle::{
    BundleError, BundleWriter, Closing, Growth, Manifest, Policy, proof_positions,
};
use countersign_projections::ledger::proof::Receipt;
use countersign_projections::ledger::store::LedgerError;

use crate::app::App;
use crate::ledger::head::HeadError;
use crate::problem::Problem;
use crate::request::Request;

/// So many entries are in memory at once.
const PAGE: u64 = 1_000;

/// What a bundle is to hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    /// The size of the checkpoint that the auditor holds; 0 without one.
    pub from: u64,
    /// The size of the ledger that is handed over; all there is if it is not given.
    pub to: Option<u64>,
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be written.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The ledger does not read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The ledger has not grown from its head.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// That it is exported cannot be recorded.
    #[error("{}", .0.for_operator())]
    Record(Problem),
    /// There is no such part of the ledger.
    #[error("--from {from} --to {to}: the ledger has {size} entries, and 0 ≤ from ≤ to ≤ {size} must hold")]
    Extent {
        /// What was asked for.
        from: u64,
        /// What was asked for.
        to: u64,
        /// What there is.
        size: u64,
    },
    /// An entry's event is gone.
    #[error("entry {0} has no event any more; run `countersign verify`")]
    EventGone(u64),
}

/// What was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The size that is signed.
    pub size: u64,
    /// How many entries are in it.
    pub entries: u64,
}

impl App {
    /// Writes a bundle into a directory of its own, after everything that waits was given its place. That it
    /// is handed out is recorded first.
    ///
    /// # Errors
    /// Says why not. What was written then is no bundle, since it has no checkpoint.
    pub async fn export_bundle(
        &self,
        request: &Request,
        directory: &Path,
        extent: Extent,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Written, ExportError> {
        let (signed, checkpoint) = self.ledger.sequence_all(self.clock.now()).await?;
        let (from, size) = (extent.from, extent.to.unwrap_or(checkpoint.size));
        if from > size || size > checkpoint.size {
            return Err(ExportError::Extent { from, to: size, size: checkpoint.size });
        }
        let mut writer = BundleWriter::create(directory, from, size)?;
        let export = |at| {
            let format = ExportFormat::Bundle;
            RecordAuditExport { format, from: None, to: None, entries_below: size, at }
        };
        self.record_audit_export(request, export).await.map_err(ExportError::Record)?;
        let note = if size == checkpoint.size { signed } else { self.ledger.checkpoint_of(size).await? };
        let mut position = from;
        while position < size {
            let end = size.min(position + PAGE);
            for entry in self.ledger.store.recorded(position, end).await? {
                if entry.position != position {
                    return Err(ExportError::EventGone(position));
                }
                writer.push(position, &entry.leaf, &entry.payload, &entry.metadata)?;
                position += 1;
            }
            if position < end {
                return Err(ExportError::EventGone(position));
            }
            progress(position - from, size - from);
        }
        self.close_bundle(writer, from, size, &note).await?;
        Ok(Written { size, entries: size - from })
    }

    async fn close_bundle(
        &self,
        writer: BundleWriter,
        from: u64,
        size: u64,
        note: &str,
    ) -> Result<(), ExportError> {
        let store = &self.ledger.store;
        let mut proofs = Vec::new();
        for index in proof_positions(from, size) {
            let hashes = store.inclusion(index, size).await?;
            proofs.push(Receipt { extra: None, index, hashes, checkpoint: note.to_owned() });
        }
        let (consistency, frontier) =
            (store.consistency(from, size).await?, store.frontier(from, size).await?);
        let growth = Growth { consistency: &consistency, frontier: &frontier };
        let verifier = self.ledger.verifier();
        let manifest = Manifest {
            origin: verifier.origin().as_str().to_owned(),
            from,
            size,
            made_at: self.clock.now(),
            made_by: concat!("countersign ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let closing = Closing {
            checkpoint: note,
            growth: (from > 0).then_some(growth),
            proofs: &proofs,
            policy: &Policy::of(verifier.clone()),
            manifest: &manifest,
        };
        Ok(writer.finish(&closing)?)
    }
}
