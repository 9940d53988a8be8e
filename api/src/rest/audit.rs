//! The audit trail, as the ledger orders it.
//!
//! Applications with `audit:read` see everything. A person sees their own entries; a superuser
//! also sees their agreements' entries, and what their members did with their second factors
//! since they were linked, without addresses and user agents; of the members of closed ones, nothing.

pub(crate) mod entry;
pub mod export;
pub(crate) mod feed;
mod meant;
pub(crate) mod names;
pub(crate) mod pages;
pub mod proofs;
pub(crate) mod query;
pub mod stream;
mod summary;

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use countersign_domain::Timestamp;
use countersign_domain::ids::{AgreementId, UserId};
use countersign_domain::instance::{AuditFilter, AuditRoute};
use countersign_projections::table::timestamp_text;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{OneId, Page, Params, Problems, Shared, next_cursor, page_size, path_id};
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
#[derive(Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EntryFilter {
    /// About this user.
    #[param(value_type = Option<uuid::Uuid>)]
    pub(crate) user: Option<UserId>,
    /// About this agreement, or attributed to it.
    #[param(value_type = Option<uuid::Uuid>)]
    pub(crate) agreement: Option<AgreementId>,
    /// Done by this user or API key.
    #[param(value_type = Option<uuid::Uuid>)]
    pub(crate) actor: Option<uuid::Uuid>,
    /// Of this type; repeat it for several.
    #[serde(default)]
    pub(crate) r#type: Vec<String>,
    /// Recorded at this time or later.
    #[serde(default, deserialize_with = "crate::time::optional")]
    pub(crate) from: Option<DateTime<Utc>>,
    /// Recorded before this time.
    #[serde(default, deserialize_with = "crate::time::optional")]
    pub(crate) to: Option<DateTime<Utc>>,
    /// So many entries at most, 500 at most; 100 if it is not given.
    pub(crate) limit: Option<u32>,
    /// Where the page before ended.
    pub(crate) cursor: Option<String>,
    /// What a write answered as `Countersign-Write`: the answer waits until it shows that write.
    pub(crate) after_write: Option<String>,
}

impl EntryFilter {
    /// What is asked for, as it is recorded: without the page and its size.
    fn recorded(&self) -> AuditFilter {
        AuditFilter {
            user: self.user,
            agreement: self.agreement,
            actor: self.actor,
            types: self.r#type.clone(),
            from: self.from,
            to: self.to,
            ..AuditFilter::of(AuditRoute::Entries)
        }
    }
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
    Ok(Json(app.audit_entries(&request, filter).await?))
}

impl App {
    /// A page of the entries that somebody may see; that they look is recorded.
    pub(crate) async fn audit_entries(
        &self,
        request: &Request,
        filter: EntryFilter,
    ) -> Result<Page<EntryView>, Problem> {
        let limit = page_size(filter.limit)?;
        let reader = Reader::of(request)?;
        let mut conditions = Conditions::default();
        narrow(&mut conditions, &filter)?;
        self.record_audit_read(request, filter.recorded()).await?;
        if let Some(write) = &filter.after_write {
            self.wait_for_write(write, reader).await?;
        }
        let sql = conditions.select(reader, filter.agreement.is_some(), limit + 1);
        let rows = self.database.scan(&sql, &conditions.params).await?;
        let mut stored = rows.iter().map(StoredEntry::read).collect::<Result<Vec<_>, _>>()?;
        let next_cursor = next_cursor(&mut stored, limit, |entry| {
            URL_SAFE_NO_PAD.encode(format!("{}|{}", timestamp_text(entry.recorded_at), entry.position))
        });
        let names = self.names_in(&stored).await?;
        let items = stored.into_iter().map(|entry| entry.view(self, &names, reader)).collect();
        Ok(Page { items, next_cursor })
    }
}

/// One entry, with the text that the ledger hashes, for those who may see all of it.
#[derive(Serialize, ToSchema)]
pub struct OneEntry {
    #[serde(flatten)]
    pub(crate) entry: EntryView,
    /// The leaf: what a proof of this entry proves, byte for byte.
    pub(crate) leaf: Option<String>,
}

/// Shows one entry of the audit trail.
#[utoipa::path(
    get, path = "/v1/audit/entries/{position}", tag = "audit", security(("bearer" = [])),
    params(("position" = u64, Path)), responses((status = 200, body = OneEntry), Problems)
)]
pub async fn entry(
    State(app): Shared,
    request: Request,
    Path(position): OneId,
) -> Result<Json<OneEntry>, Problem> {
    Ok(Json(app.audit_entry(&request, entry_position(&position)?).await?))
}

fn narrow(conditions: &mut Conditions, filter: &EntryFilter) -> Result<(), Problem> {
    let malformed = |detail: &str| Problem::new(ProblemCode::MalformedRequest, detail);
    conditions.equal("t.user_id", filter.user.map(|id| id.to_string()));
    conditions.equal("t.agreement_id", filter.agreement.map(|id| id.to_string()));
    conditions.equal("t.actor_id", filter.actor.map(|id| id.to_string()));
    if !filter.r#type.is_empty() {
        feed::check_types(&filter.r#type)?;
        // Naming a type twice asks for nothing else.
        let types: BTreeSet<&str> = filter.r#type.iter().map(String::as_str).collect();
        let types: Vec<&str> = types.into_iter().collect();
        conditions.of_types(&types);
    }
    check_period(filter.from, filter.to)?;
    conditions.between(filter.from, filter.to);
    if let Some(cursor) = &filter.cursor {
        let (recorded_at, position) = read_cursor(cursor)
            .ok_or_else(|| malformed("cursor must be what the page before gave as next_cursor."))?;
        let (recorded_at, position) = (conditions.param(recorded_at), conditions.param(position));
        conditions.texts.push(format!("(t.recorded_at, t.position) < ({recorded_at}, {position})"));
    }
    Ok(())
}

fn read_cursor(cursor: &str) -> Option<(Timestamp, i64)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (recorded_at, position) = text.split_once('|')?;
    Some((crate::time::parse(recorded_at).ok()?, position.parse().ok()?))
}

/// Whether a period begins before it ends.
pub(crate) fn check_period(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<(), Problem> {
    match (from, to) {
        (Some(from), Some(to)) if from > to => {
            Err(Problem::new(ProblemCode::MalformedRequest, "from must not be after to."))
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// What the path of a single entry names.
const ENTRY: &str = "entry of the audit trail";

/// That somebody asked for an entry is recorded as JSON, whose numbers are exact below this. No ledger is that long.
const POSITIONS_END: u64 = 1 << 53;

/// The position in a path; one that no ledger has is none.
pub(crate) fn entry_position(text: &str) -> Result<u64, Problem> {
    let position = path_id(text, ENTRY)?;
    if position < POSITIONS_END { Ok(position) } else { Err(Problem::not_found(ENTRY)) }
}

impl App {
    /// One entry that somebody may see; that they look is recorded.
    pub(crate) async fn audit_entry(&self, request: &Request, position: u64) -> Result<OneEntry, Problem> {
        let reader = Reader::of(request)?;
        self.record_audit_read(request, AuditFilter::of_entry(AuditRoute::Entry, position)).await?;
        let stored = self.entry_at(position, reader).await?;
        let leaf = self.ledger.store.leaves(position, position.saturating_add(1)).await?.pop();
        let leaf = leaf.filter(|_| stored.is_whole_for(reader)).map(|leaf| leaf.leaf);
        let names = self.names_in(std::slice::from_ref(&stored)).await?;
        Ok(OneEntry { entry: stored.view(self, &names, reader), leaf })
    }

    /// The entry at a position, if the reader may see it; another is never there.
    async fn entry_at(&self, position: u64, reader: Reader) -> Result<StoredEntry, Problem> {
        let not_found = || Problem::not_found(ENTRY);
        let mut conditions = Conditions::default();
        let at = conditions.param(i64::try_from(position).map_err(|_| not_found())?);
        conditions.texts.push(format!("t.position = {at}"));
        let sql = conditions.select(reader, false, 1);
        let rows = self.database.scan(&sql, &conditions.params).await?;
        StoredEntry::read(rows.first().ok_or_else(not_found)?)
    }

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
        let stream_type = conditions.param(stream_type.to_owned());
        let (stream_id, sequence) = (conditions.param(stream_id.to_owned()), conditions.param(sequence));
        conditions.texts.push(format!(
            "t.position = (SELECT l.position FROM events e JOIN ledger_entries l ON {{entry_of_event}} \
             WHERE e.aggregate_type = {stream_type} AND e.aggregate_id = {stream_id} AND e.sequence = {sequence})"
        ));
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
