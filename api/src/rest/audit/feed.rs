//! Entries of the trail in the ledger's order, as webhooks send them: each as the trail shows it to
//! those who may see everything.

use countersign_domain::agreement::AgreementEvent;
use countersign_domain::instance::InstanceEvent;
use countersign_domain::user::UserEvent;
use countersign_projections::database::Row;
use serde::Serialize;
use strum::VariantNames;

use super::entry::{EntryView, StoredEntry};
use super::pages::{Obstacle, Shown, forwards};
use super::query::Conditions;
use crate::app::App;
use crate::problem::{Problem, ProblemCode};

/// An entry that is to be sent.
pub(crate) struct Message {
    /// Its place in the ledger.
    pub(crate) position: i64,
    /// The event's id.
    pub(crate) event_id: String,
    /// What is sent, as JSON.
    pub(crate) body: Vec<u8>,
}

/// Entries that are to be sent, in the ledger's order.
pub(crate) struct Feed {
    /// They come first.
    pub(crate) messages: Vec<Message>,
    /// The entry before which they end, since nobody can be sent it.
    pub(crate) obstacle: Option<Obstacle>,
}

/// The body of a message, as Standard Webhooks asks for it.
#[derive(Serialize)]
struct Envelope<'e> {
    r#type: &'e str,
    timestamp: chrono::DateTime<chrono::Utc>,
    data: &'e EntryView,
}

/// Whether there are events of all these types.
///
/// # Errors
/// `malformed-request` for a type that no event has.
pub(crate) fn check_types(types: &[String]) -> Result<(), Problem> {
    let known = [UserEvent::VARIANTS, AgreementEvent::VARIANTS, InstanceEvent::VARIANTS].concat();
    if types.iter().all(|name| known.contains(&name.as_str())) {
        return Ok(());
    }
    let detail = "There is no event of this type; see /openapi.json.";
    Err(Problem::new(ProblemCode::MalformedRequest, detail))
}

impl App {
    /// The first so many entries of these types (of all, if none is named) from one position to before
    /// another, up to one that cannot be sent. The trail must have taken in all of these positions.
    pub(crate) async fn messages(
        &self,
        types: &[String],
        from: i64,
        to: i64,
        limit: i64,
    ) -> Result<Feed, Problem> {
        let mut conditions = Conditions::default();
        conditions.compare("t.position", ">=", from);
        conditions.compare("t.position", "<", to);
        if !types.is_empty() {
            let types: Vec<&str> = types.iter().map(String::as_str).collect();
            let types = conditions.list(&types);
            conditions.texts.push(format!("t.event_type IN ({types})"));
        }
        let sql = forwards(&conditions, &["position"], limit);
        let rows = self.database.read_bulk(&sql, &conditions.params).await?;
        let Shown { entries, obstacle } = self.shown_entries(&rows, read_whole).await?;
        let messages = entries.into_iter().map(message).collect::<Result<Vec<_>, _>>()?;
        Ok(Feed { messages, obstacle })
    }
}

/// Nobody can be sent what is gone: it must stop what follows, not be left out.
fn read_whole(row: &Row) -> Result<StoredEntry, Problem> {
    let entry = StoredEntry::read(row)?;
    if entry.is_gone {
        return Err(Problem::internal(format!("the event of entry {} is gone", entry.position)));
    }
    Ok(entry)
}

fn message(entry: EntryView) -> Result<Message, Problem> {
    let envelope = Envelope { r#type: &entry.event_type, timestamp: entry.recorded_at, data: &entry };
    let body = serde_json::to_vec(&envelope)
        .map_err(|error| Problem::internal(format!("an entry does not write as JSON: {error}")))?;
    Ok(Message { position: entry.position, event_id: entry.event_id, body })
}
