//! How many events of each second this sequencer gave a place.
//!
//! Comparing that with how many there are says in one count that none is missing, and is all that the look
//! for missing events costs while nothing is wrong.

use std::collections::BTreeMap;

use chrono::DurationRound;
use chrono::TimeDelta;
use countersign_domain::Timestamp;

/// So many seconds are remembered. Events come in order of time, give or take a node's clock; whoever writes
/// other times into them makes the look go through them one by one, and nothing worse.
const SECONDS_MAX: usize = 1_024;

#[derive(Default)]
pub(super) struct Tally {
    placed: BTreeMap<Timestamp, u64>,
}

impl Tally {
    /// An event that was recorded then has its place.
    pub(super) fn add(&mut self, recorded_at: Timestamp) {
        *self.placed.entry(whole_second(recorded_at)).or_default() += 1;
        if self.placed.len() > SECONDS_MAX {
            self.placed.pop_first();
        }
    }

    /// How many there are of these whole seconds.
    pub(super) fn between(&self, from: Timestamp, to: Timestamp) -> u64 {
        // No range may end before it begins, as one does when a clock was set back.
        if from >= to { 0 } else { self.placed.range(from..to).map(|(_, count)| count).sum() }
    }

    /// Nobody will ask again for what came before.
    pub(super) fn forget_before(&mut self, second: Timestamp) {
        self.placed = self.placed.split_off(&second);
    }
}

/// The beginning of the second that a moment is in.
pub(super) fn whole_second(at: Timestamp) -> Timestamp {
    // Only what no calendar holds cannot be rounded.
    at.duration_trunc(TimeDelta::seconds(1)).unwrap_or(at)
}
