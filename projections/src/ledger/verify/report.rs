//! What a verification has shown, and how that is told: the same for every source of entries.

use std::fmt;

use serde::{Serialize, Serializer};

use super::Finding;
use crate::ledger::checkpoint::Origin;
use crate::ledger::tree::Hash;

/// The outcome for a ledger that could be read to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report<S> {
    /// The log's name.
    pub origin: Origin,
    /// How many entries the ledger has.
    pub size: u64,
    /// The root of its tree.
    pub root: Hash,
    /// How many streams have entries in it.
    pub streams: u64,
    /// The size of the earlier checkpoint that it was compared with, if there was one.
    pub grown_from: Option<u64>,
    /// The first findings: of the whole ledger, then in the order of their positions, then of events
    /// that have none.
    pub findings: Vec<Finding>,
    /// How many there are in all.
    pub findings_total: u64,
    /// What only this source tells.
    pub source: S,
}

/// Where entries were read from, and what reading them there shows.
pub trait Source: Serialize + Sized {
    /// What it is called, at the beginning of a sentence.
    const SUBJECT: &'static str;

    /// What was proved, a sentence each, if there are no findings.
    fn proved(report: &Report<Self>) -> Vec<String>;

    /// What cannot be proved from it, a sentence each.
    fn not_proved(report: &Report<Self>) -> Vec<String>;
}

impl<S: Source> Report<S> {
    /// Whether everything is as it was recorded and signed. Of no entries nothing can be said.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.findings_total == 0 && self.size > 0
    }

    /// What was proved, a sentence each. Nothing counts as proved beside a finding.
    #[must_use]
    pub fn proved(&self) -> Vec<String> {
        if self.holds() { S::proved(self) } else { Vec::new() }
    }

    /// What cannot be proved, a sentence each.
    #[must_use]
    pub fn not_proved(&self) -> Vec<String> {
        S::not_proved(self)
    }
}

/// For people: what holds or does not, and why.
impl<S: Source> fmt::Display for Report<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, total) = (S::SUBJECT, self.findings_total);
        if self.size == 0 && total == 0 {
            return writeln!(f, "{subject} has no entries: there is nothing to verify.");
        }
        if !self.holds() {
            let noun = if total == 1 { "finding" } else { "findings" };
            writeln!(f, "{subject} does NOT hold: {total} {noun}.")?;
            for finding in &self.findings {
                writeln!(f, "  {finding}")?;
            }
            let more = total.saturating_sub(self.findings.len() as u64);
            return if more > 0 { writeln!(f, "  and {more} more") } else { Ok(()) };
        }
        for (heading, sentences) in [
            (format!("{subject} holds. Proved:"), self.proved()),
            ("Not proved:".to_owned(), self.not_proved()),
        ] {
            writeln!(f, "{heading}")?;
            for sentence in sentences {
                writeln!(f, "  {sentence}")?;
            }
        }
        Ok(())
    }
}

/// For programs: the same, with what only the source tells beside the rest.
impl<S: Source> Serialize for Report<S> {
    fn serialize<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        #[derive(Serialize)]
        struct Told<'r, S> {
            holds: bool,
            origin: &'r str,
            size: u64,
            root: Hash,
            streams: u64,
            grown_from: Option<u64>,
            #[serde(flatten)]
            source: &'r S,
            proved: Vec<String>,
            not_proved: Vec<String>,
            findings: &'r [Finding],
            findings_total: u64,
        }

        let Self { origin, size, root, streams, grown_from, findings, findings_total, source } = self;
        let told = Told {
            holds: self.holds(),
            origin: origin.as_str(),
            size: *size,
            root: *root,
            streams: *streams,
            grown_from: *grown_from,
            source,
            proved: self.proved(),
            not_proved: self.not_proved(),
            findings,
            findings_total: *findings_total,
        };
        told.serialize(serializer)
    }
}
