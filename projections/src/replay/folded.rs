//! One stream, folded from its events, and the rows that such a stream brings about.

use std::collections::BTreeMap;

use countersign_domain::Timestamp;
use countersign_domain::agreement::{Agreement, AgreementEvent, Role};
use countersign_domain::ids::{AgreementId, UserId};
use countersign_domain::instance::Instance;
use countersign_domain::user::User;
use countersign_domain::versions::{StoredEvent, read_event};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ReplayError;
use super::streams::{Extent, Page, PastContent, PastEvent, events_of};
use crate::database::Database;
use crate::instance_rows::instance_rows;
use crate::login_check::{agreement_row, link_row, user_row};
use crate::table::{Change, SNAPSHOTS, Table, Value};

/// A stream after some of its events.
#[derive(Clone, Debug)]
pub struct FoldedStream {
    /// The kind of the stream.
    pub stream_type: String,
    /// Which stream of that kind.
    pub stream_id: String,
    /// The sequence of the last event that was folded; 0 before any.
    pub sequence: i64,
    /// When that event was recorded.
    pub recorded_at: Option<Timestamp>,
    /// What the events amount to.
    pub state: State,
}

/// What the events of a stream amount to.
#[derive(Clone, Debug)]
pub enum State {
    /// A person's account.
    User(UserId, Box<User>),
    /// An agreement, and its members.
    Agreement(AgreementId, Box<Agreement>, Members),
    /// What belongs to the installation.
    Instance(Box<Instance>),
}

/// Who is linked to an agreement.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Members(BTreeMap<UserId, Member>);

/// One person who is linked to an agreement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// In which role.
    pub role: Role,
    /// Since when.
    pub linked_at: Timestamp,
    row: Change,
}

/// An event that cannot be folded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("event {sequence} of {stream_type}/{stream_id} {reason}")]
pub struct Unreadable {
    /// The kind of its stream.
    pub stream_type: String,
    /// Which stream of that kind.
    pub stream_id: String,
    /// Its place in the stream.
    pub sequence: i64,
    /// Its place in the ledger, if it has one and that was looked up.
    pub position: Option<u64>,
    /// What is the matter.
    pub reason: String,
}

impl FoldedStream {
    /// The stream that an event belongs to, before any of its events.
    ///
    /// # Errors
    /// [`Unreadable`] if there are no such streams.
    pub fn before(event: &PastEvent) -> Result<Self, Unreadable> {
        Self::new(&event.stream_type, &event.stream_id).ok_or_else(|| event.unreadable("is of no stream"))
    }

    /// A stream before any of its events; none if there are no such streams.
    #[must_use]
    pub fn new(stream_type: &str, stream_id: &str) -> Option<Self> {
        let state = match stream_type {
            "user" => State::User(stream_id.parse().ok()?, Box::default()),
            "agreement" => State::Agreement(stream_id.parse().ok()?, Box::default(), Members::default()),
            "instance" => State::Instance(Box::default()),
            _ => return None,
        };
        let (stream_type, stream_id) = (stream_type.to_owned(), stream_id.to_owned());
        Some(Self { stream_type, stream_id, sequence: 0, recorded_at: None, state })
    }

    /// Folds a stream as it is stored; none if none of these events is of it.
    ///
    /// # Errors
    /// When the database does not answer, or an event cannot be folded.
    pub async fn read(
        database: &Database,
        stream: (&str, &str),
        extent: Extent,
    ) -> Result<Option<Self>, ReplayError> {
        Self::read_on(database, stream, None, extent).await
    }

    /// Folds what came to a stream since, after what was folded of it.
    ///
    /// # Errors
    /// As for [`FoldedStream::read`].
    pub(super) async fn read_on(
        database: &Database,
        stream: (&str, &str),
        mut folded: Option<Self>,
        extent: Extent,
    ) -> Result<Option<Self>, ReplayError> {
        loop {
            let after = folded.as_ref().map_or(0, |folded| folded.sequence);
            let Page { events, is_last } = events_of(database, stream, after, extent).await?;
            for event in &events {
                let folded = match &mut folded {
                    Some(folded) => folded,
                    None => folded.insert(Self::before(event)?),
                };
                let is_next = event.sequence == folded.sequence + 1;
                if matches!(extent, Extent::At(_)) && event.is_without_place() && is_next {
                    return Err(event.unreadable("has no place in the ledger").into());
                }
                folded.apply(event)?;
            }
            if is_last {
                return Ok(folded);
            }
        }
    }

    /// Folds the next of the events of all streams, into the stream that it goes on with or begins. Hands back the
    /// stream before, which is whole then.
    ///
    /// # Errors
    /// As for [`FoldedStream::apply`].
    pub(super) fn fold_next(
        current: &mut Option<Self>,
        event: &PastEvent,
    ) -> Result<Option<Self>, Unreadable> {
        let whole = current.take_if(|folded| !folded.holds(event));
        let folded = match current {
            Some(folded) => folded,
            None => current.insert(Self::before(event)?),
        };
        folded.apply(event)?;
        Ok(whole)
    }

    /// How many events were folded: a stream counts its own from 1, without a gap.
    #[must_use]
    pub fn events(&self) -> u64 {
        u64::try_from(self.sequence).unwrap_or_default()
    }

    /// Whether an event is one of this stream's.
    #[must_use]
    pub fn holds(&self, event: &PastEvent) -> bool {
        self.stream_type == event.stream_type && self.stream_id == event.stream_id
    }

    /// Folds the next event.
    ///
    /// # Errors
    /// [`Unreadable`] if it is not the next one, is gone, or does not read.
    pub fn apply(&mut self, event: &PastEvent) -> Result<(), Unreadable> {
        let next = self.sequence + 1;
        if event.sequence > next {
            let gone = PastEvent { sequence: next, position: None, ..event.clone() };
            return Err(gone.unreadable("is gone"));
        }
        if event.sequence < next {
            return Err(event.unreadable(&format!("does not follow event {}", self.sequence)));
        }
        let content = event.content.as_ref().ok_or_else(|| event.unreadable("is gone"))?;
        let Some(recorded_at) = content.recorded_at else {
            return Err(event.unreadable("has a recorded_at that is not as the program writes it"));
        };
        match &mut self.state {
            State::User(_, user) => user.apply(&read(event, content)?),
            State::Agreement(id, agreement, members) => {
                let event: AgreementEvent = read(event, content)?;
                agreement.apply(&event);
                members.apply(*id, &event);
            }
            State::Instance(instance) => instance.apply(&read(event, content)?),
        }
        self.sequence = event.sequence;
        self.recorded_at = Some(recorded_at);
        Ok(())
    }

    /// The rows of the read models that an append writes, as they are after these events.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static Table, Vec<Value>)> {
        let changes: Vec<Change> = match &self.state {
            State::User(id, user) => user_row(*id, user).into_iter().collect(),
            State::Agreement(id, agreement, members) => {
                let links = members.0.values().map(|member| member.row.clone());
                agreement_row(*id, agreement).into_iter().chain(links).collect()
            }
            State::Instance(instance) => instance_rows(instance).collect(),
        };
        let written = changes.into_iter().filter_map(|change| match change {
            Change::Insert(table, row) | Change::Upsert(table, row) => Some((table, row)),
            Change::Delete(..) => None,
        });
        written.chain([(&SNAPSHOTS, self.snapshot_row())]).collect()
    }

    fn snapshot_row(&self) -> Vec<Value> {
        vec![
            self.stream_type.clone().into(),
            self.stream_id.clone().into(),
            self.sequence.into(),
            (self.sequence - 1).into(),
            self.state.to_json().into(),
            Value::Null,
            Value::Null,
        ]
    }
}

impl State {
    /// As a snapshot spells it.
    #[must_use]
    pub fn to_json(&self) -> String {
        match self {
            State::User(_, user) => json(user),
            State::Agreement(_, agreement, _) => json(agreement),
            State::Instance(instance) => json(instance),
        }
    }

    /// A stored snapshot of such a stream in today's spelling; none if it does not read.
    #[must_use]
    pub fn respell(stream_type: &str, snapshot: &str) -> Option<String> {
        match stream_type {
            "user" => serde_json::from_str::<User>(snapshot).ok().map(|state| json(&state)),
            "agreement" => serde_json::from_str::<Agreement>(snapshot).ok().map(|state| json(&state)),
            "instance" => serde_json::from_str::<Instance>(snapshot).ok().map(|state| json(&state)),
            _ => None,
        }
    }
}

/// No state has a key that is no text, which is all that could fail.
fn json(state: &impl Serialize) -> String {
    serde_json::to_string(state).unwrap_or_default()
}

impl Members {
    /// Each of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&UserId, &Member)> {
        self.0.iter()
    }

    /// The one with this id.
    #[must_use]
    pub fn get(&self, user_id: UserId) -> Option<&Member> {
        self.0.get(&user_id)
    }

    /// Folds one event of that agreement.
    pub(super) fn apply(&mut self, id: AgreementId, event: &AgreementEvent) {
        let (user_id, role, at) = match event {
            AgreementEvent::UserLinked { user_id, role, at }
            | AgreementEvent::UserRoleChanged { user_id, role, at } => (user_id, role, at),
            AgreementEvent::UserUnlinked { user_id, .. } => {
                self.0.remove(user_id);
                return;
            }
            AgreementEvent::AgreementOpened { .. }
            | AgreementEvent::AdministrationChanged { .. }
            | AgreementEvent::EnforcementToggled { .. }
            | AgreementEvent::AgreementClosed { .. } => return,
        };
        let linked_at = self.0.get(user_id).map_or(*at, |member| member.linked_at);
        if let Some(row) = link_row(id, event, Some(linked_at)) {
            self.0.insert(*user_id, Member { role: *role, linked_at, row });
        }
    }
}

impl PastEvent {
    pub(super) fn unreadable(&self, reason: &str) -> Unreadable {
        Unreadable {
            stream_type: self.stream_type.clone(),
            stream_id: self.stream_id.clone(),
            sequence: self.sequence,
            position: self.position,
            reason: reason.to_owned(),
        }
    }
}

fn read<Event: DeserializeOwned>(event: &PastEvent, content: &PastContent) -> Result<Event, Unreadable> {
    let PastContent { event_type, event_version, payload, .. } = content;
    read_event(StoredEvent { event_type, event_version, payload })
        .map_err(|error| event.unreadable(&error.to_string()))
}
