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
use countersign_projections::ledger::store::LedgerError;
use futures::stream::{self, Stream, StreamExt};
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
/// After an error of the database, and before an entry that does not read.
const PAUSE: Duration = Duration::from_secs(1);
/// Asks a proxy that buffers answers to send on what comes: it would keep entries back until much has come.
const UNBUFFERED: (&str, &str) = ("x-accel-buffering", "no");
/// The id of what is before the first entry, which no position is.
const BEFORE_THE_FIRST: &str = "-1";

/// Where to begin.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Beginning {
    /// The position of the first entry to send, where no `Last-Event-ID` says it; without either,
    /// only what comes from now on. The ledger's size at most.
    from_position: Option<u64>,
}

/// Sends entries as they are recorded, in the ledger's order: server-sent events whose `id` is the position,
/// whose `event` is the type and whose `data` is the entry. `Last-Event-ID` resumes behind that position. The
/// first event has nothing but an `id`, to resume from until an entry came: the position before the first entry
/// that is to come, or -1. A stream ends after 15 minutes; listeners reconnect. Whoever has seen more than the
/// ledger holds, because that was restored from a backup, is refused, with its size as `ledger_size`.
#[utoipa::path(
    get, path = "/v1/audit/stream", tag = "audit", security(("bearer" = [])),
    params(Beginning, ("Last-Event-ID" = Option<i64>, Header)),
    responses((status = 200, body = String, content_type = "text/event-stream"), Problems)
)]
pub async fn stream(
    State(app): Shared,
    request: Request,
    headers: HeaderMap,
    Params(beginning): Params<Beginning>,
) -> Result<Response, Problem> {
    let next = app.first_to_send(asked(&headers, &beginning)?).await?;
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
    let events = Sse::new(listener.events()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(([UNBUFFERED], events).into_response())
}

/// Where a listener asks to begin.
fn asked(headers: &HeaderMap, beginning: &Beginning) -> Result<Option<u64>, Problem> {
    let Some(last) = headers.get("last-event-id") else { return Ok(beginning.from_position) };
    let next = last.to_str().ok().and_then(position_behind);
    let next = next.ok_or_else(|| {
        let detail = "Last-Event-ID must be the position of an entry, or -1 to begin with the first.";
        Problem::new(ProblemCode::MalformedRequest, detail)
    })?;
    Ok(Some(next))
}

/// The position behind what an id names.
fn position_behind(id: &str) -> Option<u64> {
    if id == BEFORE_THE_FIRST { Some(0) } else { id.parse::<u64>().ok().map(|last| last.saturating_add(1)) }
}

/// The id of what is before a position.
fn id_before(position: u64) -> String {
    position.checked_sub(1).map_or_else(|| BEFORE_THE_FIRST.to_owned(), |last| last.to_string())
}

impl App {
    /// The position of the first entry that a listener is sent.
    async fn first_to_send(&self, asked: Option<u64>) -> Result<u64, Problem> {
        let Some(next) = asked else {
            return Ok(catch_up::position::<AuditTrail>(&self.database).await?);
        };
        // The ledger's size, since the trail may be behind what another node has sent.
        let size = self.ledger.store.state().await?.ok_or(LedgerError::NotThere)?.size();
        if next <= size { Ok(next) } else { Err(beyond(next, size)) }
    }
}

/// A listener that waited there would never be sent what gets the positions before it.
fn beyond(next: u64, size: u64) -> Problem {
    let detail = format!(
        "The ledger has {size} entries, and position {next} is beyond its end. If it was restored from a backup, \
         begin at the size that its entry LedgerAdopted kept, with from_position and without Last-Event-ID; \
         otherwise begin at {size} or before."
    );
    Problem::new(ProblemCode::MalformedRequest, detail).with_member("ledger_size", size.into())
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
        // Whoever is cut off before an entry came would not know where to go on. Clients keep the id of an event
        // that has no data, and tell nobody of the event.
        let beginning = Event::default().id(id_before(self.next));
        let entries = stream::unfold(self, |mut listener| async move {
            let entry = listener.next_entry().await?;
            Some((event(&entry), listener))
        });
        stream::iter([Ok(beginning)]).chain(entries)
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
                        let (position, reason) = (self.next, problem.for_operator());
                        tracing::warn!(position, reason, "a listener waits for entries that are not read");
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
