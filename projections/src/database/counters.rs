//! How many statements were sent, so that a test or a dashboard can tell what one command costs.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a statement was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// Loading aggregates before commands; on PostgreSQL one statement may load many.
    Load,
    /// Appending events; on PostgreSQL one statement may store many commands, on SQLite each counts.
    Append,
    /// Any other reading.
    Read,
    /// Any other writing.
    Write,
}

/// How many statements of each kind were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatementCounts {
    /// Loads of aggregates.
    pub load: u64,
    /// Appends of events.
    pub append: u64,
    /// Other reads.
    pub read: u64,
    /// Other writes.
    pub write: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    load: AtomicU64,
    append: AtomicU64,
    read: AtomicU64,
    write: AtomicU64,
}

impl Counters {
    pub(super) fn count(&self, kind: StatementKind) {
        let counter = match kind {
            StatementKind::Load => &self.load,
            StatementKind::Append => &self.append,
            StatementKind::Read => &self.read,
            StatementKind::Write => &self.write,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> StatementCounts {
        StatementCounts {
            load: self.load.load(Ordering::Relaxed),
            append: self.append.load(Ordering::Relaxed),
            read: self.read.load(Ordering::Relaxed),
            write: self.write.load(Ordering::Relaxed),
        }
    }
}
