//! Rounds of a task that must go on: one that panics is one that failed.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

/// A round panicked. With which words, the log says: they may be about anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it panicked; see the log line before this one")]
pub(crate) struct Panicked;

/// Lets a round panic without the task. Whoever goes on must not trust what the round was changing.
pub(crate) async fn caught<T>(round: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(round).catch_unwind().await.map_err(|_| Panicked)
}
