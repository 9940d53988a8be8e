//! The audit trail, read straight from the events.
//!
//! Applications with `audit:read` see everything. A person sees their own entries; a superuser
//! also sees their agreements' entries, and what their members did with their second factors
//! since they were linked, without addresses and user agents.

mod entry;
mod names;
mod query;
mod summary;

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use countersign_domain::Timestamp;
use countersign_domain::agreement::AgreementEvent;
use countersign_domain::ids::{AgreementId, UserId};
use countersign_domain::instance::InstanceEvent;
use countersign_domain::user::UserEvent;
use countersign_projections::table::timestamp_text;
use serde::Deserialize;
use strum::VariantNames;
use tokio::time::Instant;

use super::{Page, Params, Problems, Shared, next_cursor, page_size};
use crate::app::App;
use crate::problem::refusals::busy;
use crate::problem::{Problem, ProblemCode};
use crate::request::Request;
use entry::{EntryView, StoredEntry};
use query::{Conditions, Reader};

/// So long an answer waits for the write that it should show.
const AFTER_WRITE_WAIT: Duration = Duration::from_secs(2);
const AFTER_WRITE_POLL: Duration = Duration::from_millis(20);

/// Which entries to list. All that is given must hold.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EntryFilter {
    /// About this user.
    #[param(value_type = Option<uuid::Uuid>)]
    user: Option<UserId>,
    /// About this agreement, or attributed to it.
    #[param(value_type = Option<uuid::Uuid>)]
    agreement: Option<AgreementId>,
    /// Done by this user or API key.
    #[param(value_type = Option<uuid::Uuid>)]
    actor: Option<uuid::Uuid>,
    /// Of this type; repeat it for several.
    #[serde(default)]
    r#type: Vec<String>,
    /// Recorded at this time or later.
    #[serde(default, deserialize_with = "crate::time::optional")]
    from: Option<DateTime<Utc>>,
    /// Recorded before this time.
    #[serde(default, deserialize_with = "crate::time::optional")]
    to: Option<DateTime<Utc>>,
    /// So many entries at most, 500 at most; 100 if it is not given.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
    /// What a write answered as `Countersign-Write`: the answer waits until it shows that write.
    after_write: Option<String>,
}

/// Lists entries of the audit trail, the newest first. Pages stay stable while more is recorded.
#[utoipa::path(
    get, path = "/v1/audit/entries", tag = "audit", security(("bearer" = [])), params(EntryFilter),
    responses((status = 200, body = Page<EntryView>), Problems)
)]
pub async fn entries(
    State(app): Shared,
    request: Request,
    Params(filter): Params<EntryFilter>,
) -> Result<Json<Page<EntryView>>, Problem> {
    let limit = page_size(filter.limit)?;
    let reader = Reader::of(&request)?;
    if let Some(write) = &filter.after_write {
        app.wait_for_write(write, reader).await?;
    }
    let mut conditions = Conditions::default();
    narrow(&mut conditions, &filter)?;
    let sql = conditions.select(reader, filter.agreement.is_some(), limit + 1);
    let rows = app.database.scan(&sql, &conditions.params).await?;
    let mut stored = rows.iter().map(StoredEntry::read).collect::<Result<Vec<_>, _>>()?;
    let next_cursor = next_cursor(&mut stored, limit, |entry| {
        URL_SAFE_NO_PAD.encode(format!("{}|{}", timestamp_text(entry.recorded_at), entry.event_id))
    });
    let names = app.names_in(&stored).await?;
    let items = stored.into_iter().map(|entry| entry.view(&app, &names, reader)).collect();
    Ok(Json(Page { items, next_cursor }))
}

fn narrow(conditions: &mut Conditions, filter: &EntryFilter) -> Result<(), Problem> {
    let malformed = |detail: &str| Problem::new(ProblemCode::MalformedRequest, detail);
    conditions.equal("e.user_id", filter.user.map(|id| id.to_string()));
    conditions.equal("e.agreement_id", filter.agreement.map(|id| id.to_string()));
    conditions.equal("e.actor_id", filter.actor.map(|id| id.to_string()));
    if !filter.r#type.is_empty() {
        let known = [UserEvent::VARIANTS, AgreementEvent::VARIANTS, InstanceEvent::VARIANTS].concat();
        let types: Vec<&str> = filter.r#type.iter().map(String::as_str).collect();
        if types.iter().any(|name| !known.contains(name)) {
            return Err(malformed("There is no event of this type; see /openapi.json."));
        }
        let types = conditions.list(&types);
        conditions.texts.push(format!("e.event_type IN ({types})"));
    }
    if let (Some(from), Some(to)) = (filter.from, filter.to)
        && from > to
    {
        return Err(malformed("from must not be after to."));
    }
    for (comparison, at) in [(">=", filter.from), ("<", filter.to)] {
        if let Some(at) = at {
            let at = conditions.param(at);
            conditions.texts.push(format!("e.recorded_at {comparison} {at}"));
        }
    }
    if let Some(cursor) = &filter.cursor {
        let (recorded_at, event_id) = read_cursor(cursor)
            .ok_or_else(|| malformed("cursor must be what the page before gave as next_cursor."))?;
        let (recorded_at, event_id) = (conditions.param(recorded_at), conditions.param(event_id));
        conditions.texts.push(format!("(e.recorded_at, e.event_id) < ({recorded_at}, {event_id})"));
    }
    Ok(())
}

fn read_cursor(cursor: &str) -> Option<(Timestamp, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (recorded_at, event_id) = text.split_once('|')?;
    let recorded_at = crate::time::parse(recorded_at).ok()?;
    event_id.parse::<uuid::Uuid>().ok()?;
    Some((recorded_at, event_id.to_owned()))
}

impl App {
    /// Waits for a write that the reader may see; another is never there.
    async fn wait_for_write(&self, write: &str, reader: Reader) -> Result<(), Problem> {
        let malformed = || {
            Problem::new(
                ProblemCode::MalformedRequest,
                "after_write must be what a write answered as Countersign-Write.",
            )
        };
        let (stream, sequence) = write.rsplit_once('/').ok_or_else(malformed)?;
        let (stream_type, stream_id) = stream.split_once('/').ok_or_else(malformed)?;
        let sequence: i64 = sequence.parse().map_err(|_| malformed())?;
        stream_id.parse::<uuid::Uuid>().map_err(|_| malformed())?;
        if !["user", "agreement", "instance"].contains(&stream_type) {
            return Err(malformed());
        }
        let mut conditions = Conditions::default();
        conditions.equal("e.aggregate_type", Some(stream_type.to_owned()));
        conditions.equal("e.aggregate_id", Some(stream_id.to_owned()));
        let sequence = conditions.param(sequence);
        conditions.texts.push(format!("e.sequence = {sequence}"));
        let sql = conditions.select(reader, false, 1);
        let deadline = Instant::now() + AFTER_WRITE_WAIT;
        while self.database.scan(&sql, &conditions.params).await?.is_empty() {
            if Instant::now() >= deadline {
                return Err(busy("The trail does not show that write yet."));
            }
            tokio::time::sleep(AFTER_WRITE_POLL).await;
        }
        Ok(())
    }
}
