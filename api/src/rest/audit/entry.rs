//! One entry of the trail, from what is stored to what its reader may see.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use countersign_domain::Timestamp;
use countersign_domain::agreement::AgreementEventKind;
use countersign_domain::instance::InstanceEventKind;
use countersign_domain::user::UserEventKind;
use countersign_domain::versions::{UnreadableEvent, upcast_payload};
use countersign_projections::database::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

use super::names::Names;
use super::query::Reader;
use super::summary::{Named, summary};
use crate::app::App;
use crate::problem::Problem;
use crate::rest::people::ERASED;
use crate::vault::Purpose;

/// One entry of the audit trail.
#[derive(Serialize, ToSchema)]
pub struct EntryView {
    /// The place in the ledger, from 0.
    pub(crate) position: i64,
    /// The event's id.
    pub(crate) event_id: String,
    /// When it was recorded.
    pub(crate) recorded_at: DateTime<Utc>,
    /// What happened.
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    /// The user it is about.
    pub(crate) user_id: Option<String>,
    /// The agreement it is about, or attributed to.
    pub(crate) agreement_id: Option<String>,
    /// Who did it.
    pub(crate) actor: EntryActor,
    /// For whom, where an application did it.
    pub(crate) on_behalf_of: Option<EntryPerson>,
    /// The network address it came from, for those who may know.
    pub(crate) address: Option<String>,
    /// The user agent it came from, for those who may know.
    pub(crate) user_agent: Option<String>,
    /// The request that caused it.
    pub(crate) request_id: String,
    /// What happened, in a sentence.
    pub(crate) summary: String,
    /// What the event says.
    pub(crate) data: Value,
    /// How the user is called: it stands in the sentence, which pages make a link there.
    #[serde(skip)]
    pub(crate) person: Option<String>,
    /// How the agreement is called.
    #[serde(skip)]
    pub(crate) agreement: Option<String>,
}

/// What sentences call an actor that has no name.
pub(crate) fn nameless(kind: &str) -> &str {
    match kind {
        "operator" => "an operator",
        "sign_in_page" => "the sign-in page",
        other => other,
    }
}

/// Who did something.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntryActor {
    /// `user`, `api_key`, `operator` or `sign_in_page`.
    pub(crate) kind: String,
    /// The user's or the API key's id.
    pub(crate) id: Option<String>,
    /// The person's or the API key's name.
    pub(crate) name: Option<String>,
}

/// A person that an entry names.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntryPerson {
    /// Who.
    pub(crate) id: String,
    /// How they are called.
    pub(crate) name: String,
}

/// An entry as it is stored.
pub(crate) struct StoredEntry {
    pub(crate) position: i64,
    pub(super) event_id: String,
    pub(crate) recorded_at: Timestamp,
    pub(crate) event_type: String,
    kind: EventKind,
    stream_type: String,
    pub(crate) user_id: Option<String>,
    pub(crate) agreement_id: Option<String>,
    /// The event as `{type: {fields}}`.
    payload: Value,
    metadata: HashMap<String, String>,
    /// Whether the event was removed behind the program's back.
    pub(super) is_gone: bool,
}

/// What kind of event an entry tells of, in whichever stream.
#[derive(Clone, Copy)]
pub(crate) enum EventKind {
    User(UserEventKind),
    Agreement(AgreementEventKind),
    Instance(InstanceEventKind),
    /// Only a newer program knows it, or its shape: it is listed, and what it says is not shown.
    Unknown,
}

impl EventKind {
    /// The kind of this name; no two streams have one of the same name.
    pub(super) fn of(event_type: &str) -> Self {
        let user = || event_type.parse().map(Self::User);
        let agreement = || event_type.parse().map(Self::Agreement);
        let instance = || event_type.parse().map(Self::Instance);
        user().or_else(|_| agreement()).or_else(|_| instance()).unwrap_or(Self::Unknown)
    }
}

/// Said of an entry in place of what nobody knows any more.
const GONE: &str = "The event of this entry was removed; `countersign verify` says more";

impl StoredEntry {
    pub(super) fn read(row: &Row) -> Result<Self, Problem> {
        let unreadable =
            |error: serde_json::Error| Problem::internal(format!("an event does not read: {error}"));
        let event_type: String = row.get("event_type")?;
        let (payload, metadata): (Option<String>, Option<String>) =
            (row.get("payload")?, row.get("metadata")?);
        // An entry stays where it was recorded, even if somebody removed its event.
        let event = payload.zip(metadata);
        let is_gone = event.is_none();
        let (payload, metadata) = event.unwrap_or_else(|| ("null".to_owned(), "{}".to_owned()));
        let version = row.get::<Option<String>>("event_version")?.unwrap_or_default();
        let written = serde_json::from_str(&payload).map_err(unreadable)?;
        let (kind, payload) = match upcast_payload(&event_type, &version, written) {
            Ok(payload) => (EventKind::of(&event_type), payload),
            Err(_) if is_gone => (EventKind::of(&event_type), Value::Null),
            Err(UnreadableEvent::Newer { .. }) => (EventKind::Unknown, Value::Null),
            Err(error @ (UnreadableEvent::NoVersion | UnreadableEvent::Payload(_))) => {
                return Err(Problem::internal(format!("an event {error}")));
            }
        };
        Ok(Self {
            position: row.get("position")?,
            event_id: row.get::<Option<String>>("event_id")?.unwrap_or_default(),
            recorded_at: row.get("recorded_at")?,
            event_type,
            kind,
            stream_type: row.get("aggregate_type")?,
            user_id: row.get("user_id")?,
            agreement_id: row.get("agreement_id")?,
            payload,
            metadata: serde_json::from_str(&metadata).map_err(unreadable)?,
            is_gone,
        })
    }

    /// The users that it names.
    pub(super) fn people(&self) -> impl Iterator<Item = &str> {
        let actor = self.text("actor_id").filter(|_| self.text("actor_kind") == Some("user"));
        [self.user_id.as_deref(), actor, self.text("on_behalf_of")].into_iter().flatten()
    }

    /// The agreements that it names.
    pub(super) fn agreements(&self) -> impl Iterator<Item = &str> {
        let administered_by = self.payload.pointer("/AdministrationChanged/administered_by");
        [self.agreement_id.as_deref(), administered_by.and_then(Value::as_str)].into_iter().flatten()
    }

    /// What it says; none if that is gone or does not read.
    pub(crate) fn event<Event: DeserializeOwned>(&self) -> Option<Event> {
        Event::deserialize(&self.payload).ok()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(String::as_str)
    }

    /// Whether the reader may know everything of it, where it came from too.
    pub(super) fn is_whole_for(&self, reader: Reader) -> bool {
        match reader {
            Reader::Auditor => true,
            Reader::Person(me) => {
                self.stream_type == "user" && self.user_id == Some(me.to_string())
                    || self.text("actor_id") == Some(&me.to_string())
            }
        }
    }

    pub(crate) fn view(self, app: &App, names: &Names, reader: Reader) -> EntryView {
        let full = self.is_whole_for(reader);
        let request_id = self.text("request_id").unwrap_or_default().to_owned();
        let open = |purpose, name| {
            let sealed = self.text(name).filter(|_| full)?;
            Some(names.open(app, purpose, &request_id, sealed).unwrap_or_else(|| ERASED.to_owned()))
        };
        let address = open(Purpose::Address, "address");
        let user_agent = open(Purpose::UserAgent, "user_agent");
        let actor_kind = self.text("actor_kind").unwrap_or_default();
        let actor_id = self.text("actor_id").map(str::to_owned);
        let actor_name = match actor_kind {
            "user" => actor_id.as_deref().map(|id| names.person(id)),
            _ => self.text("actor_name").map(str::to_owned),
        };
        let actor = EntryActor { kind: actor_kind.to_owned(), id: actor_id, name: actor_name };
        let on_behalf_of =
            self.text("on_behalf_of").map(|id| EntryPerson { id: id.to_owned(), name: names.person(id) });
        let by = actor.name.clone().unwrap_or_else(|| nameless(actor_kind).to_owned());
        let person = self.user_id.as_deref().map(|id| names.person(id));
        let agreement = self.agreement_id.as_deref().map(|id| names.agreement(id));
        let data = readable(self.kind, fields(self.payload), app, names);
        let told = Named {
            by: &by,
            person: person.as_deref().unwrap_or("somebody"),
            agreement: agreement.as_deref().unwrap_or("an agreement"),
            data: &data,
        };
        let summary = match summary(self.kind, &told) {
            _ if self.is_gone => GONE.to_owned(),
            Some(summary) => summary,
            None => self.event_type.clone(),
        };
        EntryView {
            position: self.position,
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
            person,
            agreement,
        }
    }
}

/// What an event says, with its sealed fields opened and without its digests.
fn readable(kind: EventKind, mut fields: Value, app: &App, names: &Names) -> Value {
    let (sealed, digests) = match kind {
        EventKind::User(kind) => (kind.sealed_fields(), kind.digest_fields()),
        EventKind::Agreement(_) => (&[][..], &[][..]),
        EventKind::Instance(kind) => (kind.sealed_fields(), kind.digest_fields()),
        EventKind::Unknown => return Value::Null,
    };
    for digest in digests {
        fields.as_object_mut().map(|fields| fields.remove(*digest));
    }
    for field in sealed {
        if let Some(value) = fields.get_mut(*field) {
            let opened = value.as_str().and_then(|sealed| names.open_field(app, field, sealed));
            *value = opened.map_or_else(|| Value::from(ERASED), Value::from);
        }
    }
    fields
}

/// The fields of an event, without the envelope that names its type.
fn fields(payload: Value) -> Value {
    let Value::Object(envelope) = payload else { return payload };
    envelope.into_iter().next().map_or(Value::Null, |(_, fields)| fields)
}

#[cfg(test)]
mod tests {
    use countersign_domain::context::ActorKind;
    use strum::IntoEnumIterator;

    use super::*;
    use crate::testing::app_in;

    #[tokio::test]
    async fn what_is_sealed_for_the_installation_is_opened_and_digests_are_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let app = app_in(directory.path()).await;
        let names = app.names_in(&[]).await.unwrap();
        let url = app.vault.instance_key().seal(Purpose::WebhookUrl, "", b"https://siem.example/in").unwrap();
        let told = |kind, fields| readable(EventKind::Instance(kind), fields, &app, &names);

        let webhook = serde_json::json!({"url": url, "types": []});
        let opened = serde_json::json!({"url": "https://siem.example/in", "types": []});
        assert_eq!(told(InstanceEventKind::WebhookRegistered, webhook), opened);

        let key = serde_json::json!({"name": "app", "token": "00ff"});
        assert_eq!(told(InstanceEventKind::ApiKeyIssued, key), serde_json::json!({"name": "app"}));
    }

    #[tokio::test]
    async fn what_was_altered_does_not_pass_for_erased() {
        let directory = tempfile::tempdir().unwrap();
        let app = app_in(directory.path()).await;
        let names = app.names_in(&[]).await.unwrap();
        let sealed = app.vault.instance_key().seal(Purpose::Reason, "", b"phone lost").unwrap();
        let sealed = serde_json::to_value(sealed).unwrap().as_str().unwrap().to_owned();
        let (key, _) = sealed.split_once('.').unwrap();
        for (stored, shown) in [
            (sealed.clone(), "phone lost"),
            (sealed.replacen(key, "nobodys", 1), "[erased]"),
            (format!("{key}.bm90aGluZw"), "[altered]"),
        ] {
            let fields = serde_json::json!({ "reason": stored });
            let kind = EventKind::User(UserEventKind::TwoFactorReset);
            assert_eq!(readable(kind, fields, &app, &names)["reason"], shown);
        }
    }

    #[test]
    fn whoever_acts_without_a_name_has_one_in_sentences() {
        for kind in ActorKind::iter() {
            match kind {
                ActorKind::User | ActorKind::ApiKey => {}
                ActorKind::Operator | ActorKind::SignInPage => assert_ne!(nameless(kind.name()), kind.name()),
            }
        }
    }
}
