//! The one place that draws randomness, from the operating system.

use std::sync::Mutex;

use countersign_domain::Timestamp;
use uuid::{ContextV7, Uuid};

/// The operating system gave no randomness: nothing can be issued until it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the operating system's random generator does not answer")]
pub struct NoEntropy;

/// Draws random bytes.
///
/// # Errors
/// [`NoEntropy`] when the operating system gives none.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

/// Draws ids that sort in the order in which they were drawn, also within a millisecond and
/// while the clock stands still.
#[derive(Default)]
pub struct OrderedIds(Mutex<ContextV7>);

impl OrderedIds {
    /// Draws the next id.
    #[must_use]
    pub fn next(&self, at: Timestamp) -> Uuid {
        let seconds = u64::try_from(at.timestamp()).unwrap_or_default();
        Uuid::new_v7(uuid::Timestamp::from_unix(&self.0, seconds, at.timestamp_subsec_nanos()))
    }
}

/// Draws an id that sorts by the time it was drawn (UUID version 7), so that rows written
/// together lie together.
///
/// # Errors
/// [`NoEntropy`] when the operating system gives no randomness.
pub fn id(at: Timestamp) -> Result<Uuid, NoEntropy> {
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &bytes()?).into_uuid())
}
