//! Commands on one stream take turns inside a node, so that they do not conflict with each other
//! in the database. Other nodes' commands still may.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::problem::Problem;
use crate::problem::refusals::busy;

/// So many commands wait for one stream; more are told that it is busy, with nothing judged.
const WAITING_MAX: usize = 1024;

/// The turns of all streams that somebody waits for or holds.
#[derive(Clone, Default)]
pub struct StreamQueues {
    streams: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>,
}

/// One command's turn. Dropping it gives the turn to the next, also when its caller has gone.
pub struct Turn {
    // Dropped in this order: the turn is over before the entry can go with its last user.
    _guard: OwnedMutexGuard<()>,
    _entry: Entry,
}

/// A place in a stream's queue, waiting or not.
struct Entry {
    queues: StreamQueues,
    stream: String,
    mutex: Option<Arc<tokio::sync::Mutex<()>>>,
}

impl StreamQueues {
    /// Waits for the stream's turn.
    ///
    /// # Errors
    /// `busy` when too many wait already.
    pub async fn turn(&self, stream: String) -> Result<Turn, Problem> {
        let mutex = {
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            let mutex = streams.entry(stream.clone()).or_default();
            // The map holds one reference, and everybody who waits or has the turn holds one or two.
            if Arc::strong_count(mutex) > 2 * WAITING_MAX {
                return Err(busy("Too many requests are waiting for the same account; nothing was judged."));
            }
            Arc::clone(mutex)
        };
        let entry = Entry { queues: self.clone(), stream, mutex: Some(Arc::clone(&mutex)) };
        Ok(Turn { _guard: mutex.lock_owned().await, _entry: entry })
    }
}

impl Drop for Entry {
    /// The last one to leave takes the stream out of the map.
    fn drop(&mut self) {
        let mut streams = self.queues.streams.lock().unwrap_or_else(PoisonError::into_inner);
        self.mutex = None;
        if streams.get(&self.stream).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            streams.remove(&self.stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn one_at_a_time_and_nothing_is_left_behind() {
        let queues = StreamQueues::default();
        let inside = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let (queues, inside) = (queues.clone(), Arc::clone(&inside));
            tasks.spawn(async move {
                let turn = queues.turn("user/1".to_owned()).await.unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(turn);
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert!(queues.streams.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn s03_a_full_queue_says_busy() {
        let queues = StreamQueues::default();
        let first = queues.turn("user/1".to_owned()).await.unwrap();
        let mut waiting: Vec<_> = Vec::new();
        let refused = loop {
            let mut turn = Box::pin(queues.turn("user/1".to_owned()));
            match futures::poll!(&mut turn) {
                std::task::Poll::Ready(result) => break result.err(),
                std::task::Poll::Pending => waiting.push(turn),
            }
        };
        assert_eq!(refused.unwrap().code(), crate::problem::ProblemCode::Busy);
        assert!(waiting.len() >= 1000, "{} waited", waiting.len());
        drop((first, waiting));
        assert!(queues.streams.lock().unwrap().is_empty());
    }
}
