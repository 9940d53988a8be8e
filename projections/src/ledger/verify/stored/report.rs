//! What the verification of a database's ledger has shown, and what it cannot show.

use serde::Serialize;

use crate::ledger::verify::{Report, Source};

/// The outcome for the ledger of a database that could be read to its end.
pub type StoredReport = Report<Stored>;

/// What only a database tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Stored {
    /// The size of the stored checkpoint, if that is signed.
    pub signed_size: u64,
    /// How many events wait for their place.
    pub pending: u64,
}

impl Source for Stored {
    const SUBJECT: &'static str = "The ledger";

    fn proved(report: &Report<Self>) -> Vec<String> {
        let Report { origin, size, root, streams, grown_from, source: Stored { signed_size, .. }, .. } =
            report;
        let mut proved = vec![
            format!("All {size} entries of the ledger {origin} lead to the root {root}."),
            format!("Its key has signed the first {signed_size} of them."),
            "Every event is what it was when it got its place: its columns, its payload and its metadata."
                .to_owned(),
            format!(
                "The entries of {streams} streams follow each other without a gap, by sequence, hash and time."
            ),
            "No event that has a place was removed, and every other one waits for its place.".to_owned(),
        ];
        if let Some(earlier) = grown_from {
            proved.push(format!(
                "The first {earlier} entries are those of the checkpoint that is kept outside the database."
            ));
        }
        proved
    }

    fn not_proved(report: &Report<Self>) -> Vec<String> {
        let Stored { signed_size, pending } = report.source;
        let mut not_proved = Vec::new();
        if pending > 0 {
            not_proved.push(format!(
                "Anything about {pending} events that wait for their place: verify again when they have it."
            ));
        }
        if signed_size < report.size {
            not_proved.push(format!(
                "That the entries from position {signed_size} on were signed: they are to be."
            ));
        }
        not_proved.push(
            "That nothing was left out, altered or made up before it got its place: the ledger proves what is \
             in it, not what should be."
                .to_owned(),
        );
        not_proved.push(
            "That the tables which are derived from the events say the same: snapshots, login checks and the \
             audit trail are not compared."
                .to_owned(),
        );
        not_proved.push(
            "That whoever has the signing key did not write another history: compare the checkpoint with \
             one that an auditor holds."
                .to_owned(),
        );
        if report.grown_from.is_none() {
            not_proved.push(
                "That the database is not an older one: there is no checkpoint outside it to compare with."
                    .to_owned(),
            );
        }
        not_proved
    }
}
