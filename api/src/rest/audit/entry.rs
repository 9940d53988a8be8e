//! One entry of the trail, from what is stored to what its reader may see.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use countersign_domain::Timestamp;
use countersign_projections::database::Row;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Reader;
use super::names::Names;
use super::summary::summary;
use crate::app::App;
use crate::people::ERASED;
use crate::problem::Problem;
use crate::vault::Purpose;

/// One entry of the audit trail.
#[derive(Serialize, ToSchema)]
pub struct EntryView {
    /// The place in the ledger; null until it is sequenced.
    position: Option<i64>,
    /// The event's id.
    event_id: String,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// What happened.
    #[serde(rename = "type")]
    event_type: String,
    /// The user it is about.
    user_id: Option<String>,
    /// The agreement it is about, or attributed to.
    agreement_id: Option<String>,
    /// Who did it.
    actor: EntryActor,
    /// For whom, where an application did it.
    on_behalf_of: Option<EntryPerson>,
    /// The network address it came from, for those who may know.
    address: Option<String>,
    /// The user agent it came from, for those who may know.
    user_agent: Option<String>,
    /// The request that caused it.
    request_id: String,
    /// What happened, in a sentence.
    summary: String,
    /// What the event says.
    data: Value,
}

/// Who did something.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryActor {
    /// `user`, `api_key` or `operator`.
    kind: String,
    /// The user's or the API key's id.
    id: Option<String>,
    /// The person's or the API key's name.
    name: Option<String>,
}

/// A person that an entry names.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryPerson {
    /// Who.
    id: String,
    /// How they are called.
    name: String,
}

/// An entry as it is stored.
pub(super) struct StoredEntry {
    pub(super) event_id: String,
    pub(super) recorded_at: Timestamp,
    event_type: String,
    stream_type: String,
    pub(super) user_id: Option<String>,
    pub(super) agreement_id: Option<String>,
    /// The event as `{type: {fields}}`.
    payload: Value,
    metadata: HashMap<String, String>,
}

/// Fields of events that are sealed, by the type of the event. Whoever sees the entry may read them.
const SEALED: &[(&str, &str, Purpose)] = &[
    ("UserRegistered", "email", Purpose::Email),
    ("UserRegistered", "display_name", Purpose::DisplayName),
    ("TwoFactorEnrolmentStarted", "label", Purpose::Label),
    ("AuthenticatorAdded", "label", Purpose::Label),
    ("TwoFactorReset", "reason", Purpose::Reason),
];

/// Fields of events that are digests of tokens: nothing to read.
const DIGESTS: &[&str] = &["token", "challenge", "pass"];

impl StoredEntry {
    pub(super) fn read(row: &Row) -> Result<Self, Problem> {
        let json = |column: &str| -> Result<String, Problem> { Ok(row.get(column)?) };
        let unreadable =
            |error: serde_json::Error| Problem::internal(format!("an event does not read: {error}"));
        Ok(Self {
            event_id: row.get("event_id")?,
            recorded_at: row.get("recorded_at")?,
            event_type: row.get("event_type")?,
            stream_type: row.get("aggregate_type")?,
            user_id: row.get("user_id")?,
            agreement_id: row.get("agreement_id")?,
            payload: serde_json::from_str(&json("payload")?).map_err(unreadable)?,
            metadata: serde_json::from_str(&json("metadata")?).map_err(unreadable)?,
        })
    }

    /// The users that it names.
    pub(super) fn people(&self) -> impl Iterator<Item = &str> {
        let actor = self.text("actor_id").filter(|_| self.text("actor_kind") == Some("user"));
        [self.user_id.as_deref(), actor, self.text("on_behalf_of")].into_iter().flatten()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(String::as_str)
    }

    pub(super) fn view(self, app: &App, names: &Names, reader: Reader) -> EntryView {
        let full = match reader {
            Reader::Auditor => true,
            Reader::Person(me) => {
                self.stream_type == "user" && self.user_id == Some(me.to_string())
                    || self.text("actor_id") == Some(&me.to_string())
            }
        };
        let request_id = self.text("request_id").unwrap_or_default().to_owned();
        let open = |purpose, name| {
            let sealed = self.text(name).filter(|_| full)?;
            Some(names.open(app, purpose, &request_id, sealed).unwrap_or_else(|| ERASED.to_owned()))
        };
        let address = open(Purpose::Address, "address");
        let user_agent = open(Purpose::UserAgent, "user_agent");
        let kind = self.text("actor_kind").unwrap_or_default();
        let actor_id = self.text("actor_id").map(str::to_owned);
        let actor_name = match kind {
            "user" => actor_id.as_deref().map(|id| names.person(id)),
            _ => self.text("actor_name").map(str::to_owned),
        };
        let actor = EntryActor { kind: kind.to_owned(), id: actor_id, name: actor_name };
        let on_behalf_of =
            self.text("on_behalf_of").map(|id| EntryPerson { id: id.to_owned(), name: names.person(id) });
        let by = actor.name.clone().unwrap_or_else(|| "an operator".to_owned());
        let person = self.user_id.as_deref().map(|id| names.person(id));
        let agreement = self.agreement_id.as_deref().map(|id| names.agreement(id));
        let mut data = fields(self.payload);
        for digest in DIGESTS {
            data.as_object_mut().map(|fields| fields.remove(*digest));
        }
        for (event_type, field, purpose) in SEALED {
            if self.event_type == *event_type
                && let Some(value) = data.get_mut(*field)
            {
                let opened = value.as_str().and_then(|sealed| names.open(app, *purpose, "", sealed));
                *value = opened.map_or_else(|| Value::from(ERASED), Value::from);
            }
        }
        let summary = summary(&self.event_type, &data, &by, person.as_deref(), agreement.as_deref());
        EntryView {
            position: None,
            event_id: self.event_id,
            recorded_at: self.recorded_at,
            event_type: self.event_type,
            user_id: self.user_id,
            agreement_id: self.agreement_id,
            actor,
            on_behalf_of,
            address,
            user_agent,
            request_id,
            summary,
            data,
        }
    }
}

/// The fields of an event, without the envelope that names its type.
fn fields(payload: Value) -> Value {
    let Value::Object(envelope) = payload else { return payload };
    envelope.into_iter().next().map_or(Value::Null, |(_, fields)| fields)
}
