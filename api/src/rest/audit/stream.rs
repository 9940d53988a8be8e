//! The trail as it comes: server-sent events that go on where a listener left off.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use countersign_domain::instance::{AuditFilter, AuditRoute};
use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::catch_up;
use futures::stream::{self, Stream};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout_at};

use super::entry::EntryView;
use crate::app::App;
use crate::problem::refusals::busy;
use crate::problem::{Problem, ProblemCode};
use crate::request::Request;
use crate::rest::{Params, Problems, Shared};

/// A listener is let go after this and comes back by itself, so that one whose key was revoked does not
/// listen on.
const LISTEN: Duration = Duration::from_mins(15);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After an error of the database.
const PAUSE: Duration = Duration::from_secs(1);

/// Where to begin.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Beginning {
    /// The position of the first entry to send, where no `Last-Event-ID` says it; without either,
    /// only what comes from now on.
    from_position: Option<u64>,
}

/// Sends entries as they are recorded, in the ledger's order: server-sent events whose `id` is the position,
/// whose `event` is the type and whose `data` is the entry. `Last-Event-ID` resumes behind that position.
/// A stream ends after 15 minutes; listeners reconnect.
#[utoipa::path(
    get, path = "/v1/audit/stream", tag = "audit", security(("bearer" = [])),
    params(Beginning, ("Last-Event-ID" = Option<u64>, Header)),
    responses((status = 200, body = String, content_type = "text/event-stream"), Problems)
)]
pub async fn stream(
    State(app): Shared,
    request: Request,
    headers: HeaderMap,
    Params(beginning): Params<Beginning>,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").map(|id| id.to_str().ok().and_then(|id| id.parse::<u64>().ok()));
    let next = match (last, beginning.from_position) {
        (Some(Some(last)), _) => last.saturating_add(1),
        (Some(None), _) => {
            let detail = "Last-Event-ID must be the position of an entry.";
            return Err(Problem::new(ProblemCode::MalformedRequest, detail));
        }
        (None, Some(from)) => from,
        (None, None) => catch_up::position::<AuditTrail>(&app.database).await?,
    };
    let place = Arc::clone(&app.listeners).try_acquire_owned();
    let place = place.map_err(|_| busy("Too many listen to this node already."))?;
    app.record_audit_read(&request, AuditFilter::of(AuditRoute::Stream)).await?;
    let listener = Listener {
        app,
        next,
        waiting: Vec::new().into_iter(),
        ends_at: Instant::now() + LISTEN,
        _place: place,
    };
    Ok(Sse::new(listener.events()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

struct Listener {
    app: Arc<App>,
    next: u64,
    waiting: std::vec::IntoIter<EntryView>,
    ends_at: Instant,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    fn events(self) -> impl Stream<Item = Result<Event, axum::Error>> {
        stream::unfold(self, |mut listener| async move {
            let entry = listener.next_entry().await?;
            Some((event(&entry), listener))
        })
    }

    /// Waits for the next entry; none when the listener is to go.
    async fn next_entry(&mut self) -> Option<EntryView> {
        let mut trail = self.app.ledger.trail();
        loop {
            if let Some(entry) = self.waiting.next() {
                self.next = u64::try_from(entry.position).unwrap_or_default().saturating_add(1);
                return Some(entry);
            }
            let size = *trail.borrow_and_update();
            if self.next < size {
                match self.app.entries_from(self.next, size).await {
                    Ok(page) if page.is_empty() => {
                        tracing::error!(position = self.next, "the audit trail has no entry where it should");
                        return None;
                    }
                    Ok(page) => self.waiting = page.into_iter(),
                    Err(problem) => {
                        tracing::warn!(reason = problem.for_operator(), "a listener waits for the database");
                        sleep(PAUSE).await;
                    }
                }
            } else {
                timeout_at(self.ends_at, trail.changed()).await.ok()?.ok()?;
            }
            if Instant::now() >= self.ends_at || self.app.ledger.is_stopping() {
                return None;
            }
        }
    }
}

fn event(entry: &EntryView) -> Result<Event, axum::Error> {
    let event = Event::default().id(entry.position.to_string()).event(&entry.event_type);
    event.json_data(entry)
}
