//! What Countersign decides, and nothing else: no I/O, no clock, no randomness.
//!
//! Reading order:
//! 1. [`ids`], [`sealed`], [`context`]: the words that events are made of;
//! 2. [`requirement`]: who must have two-factor, and by when;
//! 3. [`user`]: a person's account, from registration to the verified second step;
//! 4. [`agreement`]: a customer account, its members and its enforcement;
//! 5. [`instance`]: what belongs to the installation: API keys, webhooks, who reads the audit trail, the ledger;
//! 6. [`cqrs`]: how the three are `cqrs_es` aggregates;
//! 7. [`versions`]: how events of older shapes are read.
//!
//! A refusal (`Err`) is an answer: nothing happened. A failed attempt is an event (`Ok`):
//! something happened, it is stored, and it counts.

pub mod agreement;
pub mod context;
pub mod cqrs;
#[cfg(test)]
mod golden;
pub mod ids;
pub mod instance;
pub mod requirement;
pub mod sealed;
#[cfg(test)]
mod testing;
pub mod user;
pub mod versions;

/// A moment in UTC. Always handed in by the caller; the domain never reads a clock.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
