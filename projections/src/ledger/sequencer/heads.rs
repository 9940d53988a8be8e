//! The last entries of the streams that had one lately, so that they need not be looked up: whoever signs in
//! adds several events within a minute.

use std::collections::HashMap;

use super::StreamKey;
use crate::ledger::tree::Hash;

/// So many streams are remembered at least, and twice as many at most.
const STREAMS_MIN: usize = 32_768;

/// The sequence and hash of a stream's last entry.
pub(super) type LastEntry = (u64, Hash);

/// What is known of a stream's last entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// Nothing: it is to be looked up.
    Unknown,
    /// There is none.
    None,
    Last(LastEntry),
}

#[derive(Default)]
pub(super) struct Heads {
    young: HashMap<StreamKey, Head>,
    /// What was young before; it goes when the young are as many.
    old: HashMap<StreamKey, Head>,
}

impl Heads {
    pub(super) fn get(&self, stream: &StreamKey) -> Head {
        self.young.get(stream).or_else(|| self.old.get(stream)).copied().unwrap_or(Head::Unknown)
    }

    pub(super) fn put(&mut self, stream: StreamKey, last: Option<LastEntry>) {
        self.young.insert(stream, last.map_or(Head::None, Head::Last));
        if self.young.len() >= STREAMS_MIN {
            self.old = std::mem::take(&mut self.young);
        }
    }

    /// Another sequencer was here.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
