//! What is written in two parts, and must not be left after the first.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::Instrument;

use crate::app::App;
use crate::problem::{Problem, ProblemCode};

/// So much of it is under way at once.
const UNDER_WAY_MAX: u32 = 64;

/// A node that stops gives it so long.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Work that goes on where whoever asked hangs up, or the time of the request is over.
pub struct ToTheEnd {
    places: Arc<Semaphore>,
}

impl Default for ToTheEnd {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(usize::try_from(UNDER_WAY_MAX).unwrap_or(usize::MAX))) }
    }
}

impl ToTheEnd {
    /// Runs it.
    ///
    /// # Errors
    /// Its own, and `busy` when the program stops.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| stopping())?;
        let work = async move {
            let _place = place;
            work.await
        };
        let done = tokio::spawn(work.in_current_span()).await;
        done.unwrap_or_else(|cut_short| match cut_short.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(stopping()),
        })
    }

    /// Waits for what is under way, and begins nothing more.
    pub async fn stop(&self) {
        if timeout(STOP_TIMEOUT, self.places.acquire_many(UNDER_WAY_MAX)).await.is_err() {
            tracing::warn!("something that is written in two parts may be left after the first");
        }
        self.places.close();
    }
}

impl App {
    /// Runs what is written in two parts; see [`ToTheEnd`].
    ///
    /// # Errors
    /// As for [`ToTheEnd::run`].
    pub(crate) async fn run_to_the_end<T, W>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> W,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        // In a box, since it would make every future large that waits for it.
        self.to_the_end.run(Box::pin(work(Arc::clone(self)))).await
    }
}

fn stopping() -> Problem {
    Problem::new(ProblemCode::Busy, "The program is stopping. Try again in a moment.")
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_goes_on_when_whoever_asked_is_gone_and_a_stop_waits_for_it() {
        let (has_begun, begun) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel();
        let (is_done, mut done) = oneshot::channel();
        let to_the_end = Arc::new(ToTheEnd::default());
        let asking = tokio::spawn({
            let to_the_end = Arc::clone(&to_the_end);
            async move {
                let work = async {
                    let told = has_begun.send(());
                    may_go_on.await.unwrap();
                    is_done.send(told.is_ok()).unwrap();
                    Ok(())
                };
                to_the_end.run(work).await
            }
        });
        begun.await.unwrap();
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        let ((), ()) = tokio::join!(to_the_end.stop(), async { go_on.send(()).unwrap() });
        assert_eq!(done.try_recv(), Ok(true), "it was waited for");
        let late = to_the_end.run(async { Ok(()) }).await.unwrap_err();
        assert_eq!(late.code(), ProblemCode::Busy);
    }
}
