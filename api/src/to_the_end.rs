//! What is written in two parts, and must not be left after the first.

use tracing::Instrument;

use crate::problem::{Problem, ProblemCode};

/// Runs it to its end, also where whoever asked hangs up, or the time of the request is over.
///
/// # Errors
/// Its own, and `busy` when the program stops.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::spawn(work.in_current_span()).await;
    done.unwrap_or_else(|cut_short| match cut_short.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(Problem::new(ProblemCode::Busy, "The program is stopping. Try again in a moment.")),
    })
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_goes_on_when_whoever_asked_is_gone() {
        let (has_begun, begun) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel();
        let (is_done, done) = oneshot::channel();
        let asking = tokio::spawn(to_the_end(async {
            let told = has_begun.send(());
            may_go_on.await.unwrap();
            is_done.send(told.is_ok()).unwrap();
            Ok(())
        }));
        begun.await.unwrap();
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        go_on.send(()).unwrap();
        assert!(done.await.unwrap());
    }
}
