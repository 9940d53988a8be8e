//! Requests that are made and judged by closures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::client::Answer;
use crate::load::Work;

/// So many requests, each once, or going round for ever.
struct Counted<Make, Take> {
    next: AtomicUsize,
    count: usize,
    endless: bool,
    make: Make,
    take: Take,
}

impl<Make, Take> Work for Counted<Make, Take>
where
    Make: Fn(usize, &mut Vec<u8>) + Send + Sync + 'static,
    Take: Fn(usize, &Answer<'_>) -> anyhow::Result<()> + Send + Sync + 'static,
{
    fn next(&self, into: &mut Vec<u8>) -> Option<usize> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if self.count == 0 || (!self.endless && number >= self.count) {
            return None;
        }
        let which = number % self.count;
        (self.make)(which, into);
        Some(which)
    }

    fn answered(&self, which: usize, answer: &Answer<'_>) -> anyhow::Result<()> {
        (self.take)(which, answer)
    }
}

/// Requests `0..count`, each once.
pub(crate) fn each(
    count: usize,
    make: impl Fn(usize, &mut Vec<u8>) + Send + Sync + 'static,
    take: impl Fn(usize, &Answer<'_>) -> anyhow::Result<()> + Send + Sync + 'static,
) -> Arc<dyn Work> {
    Arc::new(Counted { next: AtomicUsize::new(0), count, endless: false, make, take })
}

/// Requests `0..count`, again and again.
pub(crate) fn round_and_round(
    count: usize,
    make: impl Fn(usize, &mut Vec<u8>) + Send + Sync + 'static,
    take: impl Fn(usize, &Answer<'_>) -> anyhow::Result<()> + Send + Sync + 'static,
) -> Arc<dyn Work> {
    Arc::new(Counted { next: AtomicUsize::new(0), count, endless: true, make, take })
}
