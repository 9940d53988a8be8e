//! Counting failed second factors: one counter per user and factor, across challenges,
//! sessions and nodes (NIST SP 800-63B §3.2.2).

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Every so many consecutive failures lock the factor.
pub const FAILURES_PER_LOCK: u32 = 10;
/// At so many consecutive failures the authenticators are disabled until bound anew.
pub const FAILURES_MAX: u32 = 50;
/// How long a lock lasts.
pub const LOCK: TimeDelta = TimeDelta::minutes(30);

/// Consecutive judged failures of one factor.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FailureCounter {
    consecutive: u32,
    locked_until: Option<Timestamp>,
    /// Set by the one refusal that a lock records, so that attempts cannot flood the stream.
    refusal_recorded: bool,
}

impl FailureCounter {
    /// Until when the factor is locked, if it is.
    #[must_use]
    pub fn locked_at(&self, at: Timestamp) -> Option<Timestamp> {
        self.locked_until.filter(|until| at < *until)
    }

    /// Until when it was last locked, whether or not that has passed.
    #[must_use]
    pub const fn locked_until(&self) -> Option<Timestamp> {
        self.locked_until
    }

    pub(super) const fn refusal_recorded(&self) -> bool {
        self.refusal_recorded
    }

    /// What one more failure brings.
    pub(super) fn next(&self, at: Timestamp) -> FailureConsequence {
        let consecutive = self.consecutive.saturating_add(1);
        FailureConsequence {
            lock_until: consecutive.is_multiple_of(FAILURES_PER_LOCK).then(|| at + LOCK),
            disable: consecutive >= FAILURES_MAX,
        }
    }

    pub(super) const fn failed(&mut self) {
        self.consecutive = self.consecutive.saturating_add(1);
    }

    pub(super) const fn refused(&mut self) {
        self.refusal_recorded = true;
    }

    pub(super) const fn locked(&mut self, until: Timestamp) {
        self.locked_until = Some(until);
        self.refusal_recorded = false;
    }

    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// What one more failure brings with it.
pub(super) struct FailureConsequence {
    pub(super) lock_until: Option<Timestamp>,
    pub(super) disable: bool,
}
