//! The event store: `cqrs_es`'s trait over our own journal.
//!
//! `cqrs_es` 0.5's own stores do not do: their snapshots apply events twice, and they cannot
//! write what must be written in the same transaction. So a stream is loaded by one query that
//! brings its facts along, and an append is one transaction that takes its rows along.

pub mod journal;
mod leaves;
mod postgres;
mod sqlite;
pub mod stream;

use std::collections::HashMap;
use std::sync::Arc;

use countersign_domain::ids::EventId;
use countersign_domain::versions::{StoredEvent, UnreadableEvent, read_event, upcast_payload};
use countersign_projections::database::DatabaseError;
use countersign_projections::ledger::sequencer::{Appended, Appends, StreamKey};
use countersign_projections::ledger::tree::Hash;
use countersign_projections::table::{Change, timestamp_text};
use cqrs_es::{Aggregate, AggregateContext, AggregateError, DomainEvent, EventEnvelope};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::entropy::OrderedIds;
use journal::{Append, AppendError, EventRow, Journal, LoadedRow};
use leaves::Leaves;
pub use stream::Stream;

/// Appends and loads, for every aggregate.
#[derive(Clone)]
pub struct EventStore {
    journal: Journal,
    event_ids: Arc<OrderedIds>,
    appends: Arc<Appends>,
}

/// A stream as one query found it: the state, the facts looked up in the same moment, and what
/// is to be written with its next events.
pub struct Loaded<A: Stream> {
    /// Whose stream it is.
    pub id: A::Id,
    /// The state, to which a command's events are applied.
    pub state: A,
    /// The state as it was loaded.
    pub before: A,
    /// The sequence of its last event; 0 when there is none.
    pub sequence: i64,
    /// The number of its snapshot; 0 when there is none.
    pub snapshot_number: i64,
    /// The hash of that event's leaf, if it is known here.
    pub leaf_hash: Option<Hash>,
    /// What was looked up in the same moment.
    pub facts: A::Facts,
    /// Rows to write in the same transaction as the events, beside those that the events bring.
    pub changes: Vec<Change>,
}

impl<A: Stream> AggregateContext<A> for Loaded<A> {
    fn aggregate(&mut self) -> &mut A {
        &mut self.state
    }
}

/// What is stored does not read.
#[derive(Debug, thiserror::Error)]
#[error("the {what} of {stream_type} {stream_id} does not read: {reason}")]
pub struct Corrupt {
    what: &'static str,
    stream_type: &'static str,
    stream_id: String,
    reason: String,
}

#[derive(Deserialize)]
struct TailEvent {
    sequence: i64,
    event_type: String,
    event_version: String,
    payload: String,
}

impl EventStore {
    /// A store over this journal, which tells the sequencer what it appends.
    #[must_use]
    pub fn new(journal: Journal, appends: Arc<Appends>) -> Self {
        Self { journal, event_ids: Arc::default(), appends }
    }

    /// The journal, for loads that are no stream's.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Loads a stream and its facts in one query. The subject is whom or what else the facts
    /// are about.
    ///
    /// # Errors
    /// `DatabaseConnectionError` when the database does not answer, `DeserializationError` when
    /// what is stored does not read.
    pub async fn load<A: Stream>(
        &self,
        id: A::Id,
        subject: Option<&str>,
    ) -> Result<Loaded<A>, AggregateError<A::Error>> {
        let stream_id = id.to_string();
        let row = self.journal.load(A::LOAD, &stream_id, subject).await.map_err(boxed)?;
        let Folded { state, sequence, leaf_hash } = fold::<A>(&stream_id, &row).map_err(unreadable)?;
        let facts =
            parse(A::TYPE, &stream_id, "facts", row.facts.as_deref().unwrap_or("{}")).map_err(unreadable)?;
        let (before, changes) = (state.clone(), Vec::new());
        let snapshot_number = row.snapshot_number.unwrap_or_default();
        Ok(Loaded { id, state, before, sequence, snapshot_number, leaf_hash, facts, changes })
    }

    /// Appends, and has the sequencer know of it.
    async fn append(&self, append: Append, appended: Vec<Appended>) -> Result<(), AppendError> {
        let event_ids: Vec<EventId> = appended.iter().map(|event| event.event_id).collect();
        self.appends.note(appended);
        let stored = self.journal.append(append).await;
        match &stored {
            Ok(()) => self.appends.ring(),
            // It may have been stored.
            Err(AppendError::Unavailable(_)) => {}
            Err(
                AppendError::Conflict
                | AppendError::Taken { .. }
                | AppendError::Busy
                | AppendError::Database(_),
            ) => {
                self.appends.take_back(&event_ids);
            }
        }
        stored
    }
}

/// A stream's state after its last event.
struct Folded<A> {
    state: A,
    sequence: i64,
    leaf_hash: Option<Hash>,
}

/// The snapshot, and the events after it. Every append writes the snapshot, so there are none,
/// unless the snapshot was deleted to be made anew.
fn fold<A: Stream>(stream_id: &str, row: &LoadedRow) -> Result<Folded<A>, Corrupt> {
    let mut state = match &row.snapshot {
        Some(snapshot) => parse(A::TYPE, stream_id, "snapshot", snapshot)?,
        None => A::default(),
    };
    let mut sequence = row.sequence.unwrap_or_default();
    // What does not read is not known: the sequencer then makes the next leaf.
    let mut leaf_hash = row.leaf_hash.as_deref().and_then(|text| text.parse().ok());
    let tail: Vec<TailEvent> = parse(A::TYPE, stream_id, "tail", row.tail.as_deref().unwrap_or("[]"))?;
    for event in tail {
        let TailEvent { event_type, event_version, payload, .. } = &event;
        let read = read_event(StoredEvent { event_type, event_version, payload });
        Aggregate::apply(&mut state, read.map_err(|error| unreadable_event::<A>(stream_id, &error))?);
        (sequence, leaf_hash) = (event.sequence, None);
    }
    Ok(Folded { state, sequence, leaf_hash })
}

fn parse<T: DeserializeOwned>(
    stream_type: &'static str,
    stream_id: &str,
    what: &'static str,
    json: &str,
) -> Result<T, Corrupt> {
    serde_json::from_str(json).map_err(|error| Corrupt {
        what,
        stream_type,
        stream_id: stream_id.to_owned(),
        // Where and what kind, never the text: it may hold what must not be logged.
        reason: format!("{:?} at column {}", error.classify(), error.column()),
    })
}

fn unreadable_event<A: Stream>(stream_id: &str, error: &UnreadableEvent) -> Corrupt {
    Corrupt {
        what: "event",
        stream_type: A::TYPE,
        stream_id: stream_id.to_owned(),
        reason: format!("it {error}"),
    }
}

impl<A: Stream> cqrs_es::EventStore<A> for EventStore {
    type AC = Loaded<A>;

    async fn load_events(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let stored = self.journal.events_of::<A>(aggregate_id).await.map_err(boxed)?;
        let read = stored.into_iter().map(|mut event| {
            event.payload = upcast_payload(&event.event_type, &event.event_version, event.payload)
                .map_err(|error| unreadable(unreadable_event::<A>(aggregate_id, &error)))?;
            EventEnvelope::<A>::try_from(event).map_err(unreadable)
        });
        read.collect()
    }

    async fn load_aggregate(&self, aggregate_id: &str) -> Result<Loaded<A>, AggregateError<A::Error>> {
        let id = aggregate_id.parse::<A::Id>().map_err(|error| {
            unreadable(Corrupt {
                what: "id",
                stream_type: A::TYPE,
                stream_id: aggregate_id.to_owned(),
                reason: error.to_string(),
            })
        })?;
        self.load(id, None).await
    }

    async fn commit(
        &self,
        events: Vec<A::Event>,
        context: Loaded<A>,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let stream_id = context.id.to_string();
        let snapshot = serde_json::to_string(&context.state).map_err(unreadable)?;
        let mut changes = A::changes(&context, &events);
        let mut leaves = Leaves::after(A::TYPE, &stream_id, context.sequence, context.leaf_hash);
        let mut rows = Vec::with_capacity(events.len());
        let (mut appended, mut envelopes) =
            (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
        for (sequence, payload) in (context.sequence + 1..).zip(events) {
            let mut metadata = metadata.clone();
            let recorded_at = A::happened_at(&payload);
            let id = self.event_ids.next(recorded_at);
            let event_id = id.to_string();
            metadata.insert("event_id".to_owned(), event_id.clone());
            metadata.insert("recorded_at".to_owned(), timestamp_text(recorded_at));
            let about = A::about(context.id, &payload);
            let mut row = EventRow {
                event_id,
                sequence,
                event_type: payload.event_type(),
                event_version: payload.event_version(),
                payload: sorted(&payload).map_err(unreadable)?,
                metadata: sorted(&metadata).map_err(unreadable)?,
                recorded_at,
                user_id: about.user_id,
                agreement_id: about.agreement_id.or_else(|| metadata.get("agreement_id").cloned()),
                actor_id: metadata.get("actor_id").cloned(),
                leaf: None,
            };
            if let Some((text, leaf)) = leaves.next(&row).map_err(unreadable)? {
                row.leaf = Some(text);
                let (event_id, stream) = (EventId::from_uuid(id), StreamKey::new(A::TYPE, &stream_id));
                appended.push(Appended { event_id, stream, sequence: sequence.unsigned_abs(), leaf });
            }
            rows.push(row);
            let sequence = usize::try_from(sequence).unwrap_or_default();
            envelopes.push(EventEnvelope { aggregate_id: stream_id.clone(), sequence, payload, metadata });
        }
        changes.extend(context.changes);
        let append = Append {
            stream_type: A::TYPE,
            stream_id,
            expected_sequence: context.sequence,
            expected_snapshot: context.snapshot_number,
            events: rows,
            snapshot,
            leaf_hash: leaves.last(),
            changes,
        };
        self.append(append, appended).await.map_err(|error| match error {
            AppendError::Conflict => AggregateError::AggregateConflict,
            AppendError::Taken { .. }
            | AppendError::Busy
            | AppendError::Unavailable(_)
            | AppendError::Database(_) => AggregateError::DatabaseConnectionError(Box::new(error)),
        })?;
        Ok(envelopes)
    }
}

/// With its keys in order, which is how the ledger spells it: what is stored so need not be written anew for it.
fn sorted(document: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_value(document).map(|value| value.to_string())
}

fn boxed<E: std::error::Error>(error: DatabaseError) -> AggregateError<E> {
    AggregateError::DatabaseConnectionError(Box::new(error))
}

fn unreadable<E, R>(error: E) -> AggregateError<R>
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::error::Error,
{
    AggregateError::DeserializationError(Box::new(error))
}
