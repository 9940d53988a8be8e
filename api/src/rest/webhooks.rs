//! Webhooks: where entries of the audit trail are sent as they come. How they are sent is in
//! [`crate::webhooks`].

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use countersign_domain::context::Actor;
use countersign_domain::ids::WebhookId;
use countersign_domain::instance::{DeleteWebhook, Instance, InstanceCommand, RegisterWebhook};
use countersign_projections::database::{DatabaseError, Row};
use countersign_projections::ledger::store::LedgerError;
use countersign_projections::table::{Change, WEBHOOK_CURSORS};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::audit::entry::EntryActor;
use super::audit::feed::check_types;
use super::{Body, OneId, Page, Problems, Shared, Written, path_id};
use crate::app::App;
use crate::entropy;
use crate::execute::Plan;
use crate::problem::{Problem, ProblemCode};
use crate::request::Request;
use crate::vault::Purpose;
use crate::webhooks::signature::Secret;
use crate::webhooks::target::{self, Reach};

/// So many webhooks there may be. Registrations that several nodes take at the same moment may add
/// one more each.
const WEBHOOKS_MAX: i64 = 50;

/// What is read of each webhook.
const COLUMNS: &str = "w.webhook_id, w.url, w.types, w.registered_at, CAST(e.metadata AS text) AS metadata";

/// The rows of webhooks, each with the event that registered it, the first of its stream.
const WEBHOOKS_WITH_REGISTRATION: &str = "webhooks w LEFT JOIN events e ON e.aggregate_type = 'instance' \
    AND e.aggregate_id = w.webhook_id AND e.sequence = 1";

/// A new webhook.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// Where to send: https, without user name and fragment, 2,048 bytes at most, and not into a
    /// private network.
    url: String,
    /// Which types of entries to send; all if none is named.
    types: Option<Vec<String>>,
}

/// A webhook that was just registered.
#[derive(Serialize, ToSchema)]
pub struct RegisteredWebhook {
    #[serde(flatten)]
    webhook: WebhookView,
    /// What its messages are signed with (Standard Webhooks), shown this once: `whsec_` and base64.
    #[schema(value_type = String)]
    secret: Zeroizing<String>,
}

/// A webhook.
#[derive(Serialize, ToSchema)]
pub struct WebhookView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) id: WebhookId,
    /// Where it is sent.
    pub(crate) url: String,
    /// Which types of entries are sent; all if none is named.
    pub(crate) types: Vec<String>,
    /// When it was registered.
    pub(crate) registered_at: DateTime<Utc>,
    /// Who registered it. Revoking that API key does not end it. Null if the event that says so was removed or
    /// altered.
    pub(crate) registered_by: Option<EntryActor>,
}

/// Who registered a webhook, as it is stored with the event.
#[derive(Deserialize)]
struct Registration {
    #[serde(rename = "actor_kind")]
    kind: String,
    #[serde(rename = "actor_id")]
    id: Option<String>,
    #[serde(rename = "actor_name")]
    name: Option<String>,
}

/// A webhook, with how its deliveries fare.
#[derive(Serialize, ToSchema)]
pub struct WebhookDetails {
    #[serde(flatten)]
    webhook: WebhookView,
    /// How its deliveries fare.
    delivery: Delivery,
}

/// How deliveries fare.
#[derive(Serialize, ToSchema)]
pub struct Delivery {
    /// The place in the ledger of the next entry to be sent, if it is of a type that is sent.
    next_position: i64,
    /// How often in a row sending it has failed.
    attempts: i64,
    /// Why it failed the last time.
    last_error: Option<String>,
    /// When an entry was last delivered.
    delivered_at: Option<DateTime<Utc>>,
    /// When it is tried again; null if nothing failed.
    next_attempt_at: Option<DateTime<Utc>>,
}

/// Registers a webhook: entries that are recorded from now on are sent there.
#[utoipa::path(
    post, path = "/v1/webhooks", tag = "webhooks", security(("bearer" = [])), request_body = NewWebhook,
    responses((status = 201, body = RegisteredWebhook), Problems)
)]
pub async fn register(
    State(app): Shared,
    request: Request,
    Body(new): Body<NewWebhook>,
) -> Result<Written<(StatusCode, Json<RegisteredWebhook>)>, Problem> {
    let url = target::parse(&new.url, Reach::of(&app.config));
    let url = String::from(url.map_err(|refusal| {
        let mut detail = refusal.to_string();
        detail.push('.');
        Problem::invalid_field("url", detail)
    })?);
    let mut types = new.types.unwrap_or_default();
    check_types(&types)?;
    types.sort_unstable();
    types.dedup();
    app.register_webhook(&request, url, types).await
}

/// Lists all webhooks, the oldest first.
#[utoipa::path(
    get, path = "/v1/webhooks", tag = "webhooks", security(("bearer" = [])),
    responses((status = 200, body = Page<WebhookView>), Problems)
)]
pub async fn list(State(app): Shared, _request: Request) -> Result<Json<Page<WebhookView>>, Problem> {
    Ok(Json(Page { items: app.list_webhooks().await?, next_cursor: None }))
}

/// Shows a webhook, and how its deliveries fare.
#[utoipa::path(
    get, path = "/v1/webhooks/{webhook_id}", tag = "webhooks", security(("bearer" = [])),
    params(("webhook_id" = uuid::Uuid, Path)), responses((status = 200, body = WebhookDetails), Problems)
)]
pub async fn show(
    State(app): Shared,
    _request: Request,
    Path(webhook_id): OneId,
) -> Result<Json<WebhookDetails>, Problem> {
    let id: WebhookId = path_id(&webhook_id, "webhook")?;
    let sql = format!(
        "SELECT {COLUMNS}, c.position, c.attempts, c.last_error, c.delivered_at, c.next_attempt_at \
         FROM {WEBHOOKS_WITH_REGISTRATION} JOIN webhook_cursors c ON c.webhook_id = w.webhook_id \
         WHERE w.webhook_id = $1"
    );
    let rows = app.database.read(&sql, &[id.to_string().into()]).await?;
    let row = rows.first().ok_or_else(|| Problem::not_found("webhook"))?;
    Ok(Json(WebhookDetails { webhook: app.webhook(row)?, delivery: Delivery::read(row)? }))
}

/// Deletes a webhook: nothing more is sent there, but what is under way may still arrive.
#[utoipa::path(
    delete, path = "/v1/webhooks/{webhook_id}", tag = "webhooks", security(("bearer" = [])),
    params(("webhook_id" = uuid::Uuid, Path)), responses((status = 204), Problems)
)]
pub async fn delete(
    State(app): Shared,
    request: Request,
    Path(webhook_id): OneId,
) -> Result<Response, Problem> {
    let id: WebhookId = path_id(&webhook_id, "webhook")?;
    Ok(Written::nothing(app.delete_webhook(&request, id).await?))
}

impl App {
    /// All webhooks, the oldest first.
    pub(crate) async fn list_webhooks(&self) -> Result<Vec<WebhookView>, Problem> {
        let sql = format!(
            "SELECT {COLUMNS} FROM {WEBHOOKS_WITH_REGISTRATION} ORDER BY w.registered_at, w.webhook_id"
        );
        let rows = self.database.read(&sql, &[]).await?;
        rows.iter().map(|row| self.webhook(row)).collect()
    }

    /// Deletes one; where that is recorded.
    pub(crate) async fn delete_webhook(&self, request: &Request, id: WebhookId) -> Result<String, Problem> {
        let done = self.execute::<Instance>(request, id.into(), None, |_, moment| {
            let command = InstanceCommand::DeleteWebhook(DeleteWebhook { at: moment.at });
            Ok(Plan::new(command, self.vault.instance_key().clone()))
        });
        Ok(done.await?.written)
    }

    async fn register_webhook(
        &self,
        request: &Request,
        url: String,
        types: Vec<String>,
    ) -> Result<Written<(StatusCode, Json<RegisteredWebhook>)>, Problem> {
        // Until it is stored nobody else counts.
        let _turn = self.queues.turn("webhooks".to_owned()).await?;
        self.has_room_for_a_webhook().await?;
        let now = self.clock.now();
        let (id, secret_row) = (WebhookId::from_uuid(entropy::id(now)?), entropy::id(now)?);
        let (key, secret) = (self.vault.instance_key(), Secret::draw()?);
        // Its own registration is recorded after this, so nothing that is recorded later is left out.
        let position = self.ledger_size().await?;
        let done = self.execute::<Instance>(request, id.into(), None, |_, moment| {
            let at = moment.at;
            let sealed = key.seal(Purpose::WebhookUrl, "", url.as_bytes())?;
            let command = RegisterWebhook { id, url: sealed, types: types.clone(), secret: secret_row, at };
            let mut plan = Plan::new(InstanceCommand::RegisterWebhook(command), key.clone());
            let vault_row = key.vault_row(Purpose::WebhookSecret, secret_row, secret.as_bytes(), at)?;
            plan.secrets.push((secret_row, vault_row));
            let cursor = vec![id.to_string().into(), position.into()];
            plan.changes.push(Change::Insert(&WEBHOOK_CURSORS, cursor));
            Ok(plan)
        });
        let done = done.await?;
        let Actor { kind, id: actor_id, name } = request.actor()?;
        let registered_by = Some(EntryActor { kind: kind.name().to_owned(), id: actor_id, name });
        let webhook = WebhookView { id, url, types, registered_at: done.moment.at, registered_by };
        let registered = RegisteredWebhook { webhook, secret: secret.text() };
        Ok(Written { written: done.written, answer: (StatusCode::CREATED, Json(registered)) })
    }

    async fn has_room_for_a_webhook(&self) -> Result<(), Problem> {
        let rows = self.database.read("SELECT count(*) AS found FROM webhooks", &[]).await?;
        let found: i64 = rows.first().map_or(Ok(0), |row| row.get("found"))?;
        if found < WEBHOOKS_MAX {
            return Ok(());
        }
        let detail = format!("There may be {WEBHOOKS_MAX} webhooks; delete one first.");
        Err(Problem::new(ProblemCode::TooManyWebhooks, detail))
    }

    async fn ledger_size(&self) -> Result<i64, Problem> {
        let state = self.ledger.store.state().await?.ok_or(LedgerError::NotThere)?;
        i64::try_from(state.size()).map_err(|_| Problem::internal("the ledger is too long"))
    }

    fn webhook(&self, row: &Row) -> Result<WebhookView, Problem> {
        let (id, url): (String, String) = (row.get("webhook_id")?, row.get("url")?);
        let types: String = row.get("types")?;
        Ok(WebhookView {
            id: id.parse().map_err(|_| Problem::internal("a stored webhook id is no id"))?,
            url: self.vault.instance_key().open_text(Purpose::WebhookUrl, "", &url)?,
            types: types.split_ascii_whitespace().map(str::to_owned).collect(),
            registered_at: row.get("registered_at")?,
            registered_by: registered_by(row)?,
        })
    }
}

/// A webhook whose registration does not read is listed all the same: somebody may want to delete it.
fn registered_by(row: &Row) -> Result<Option<EntryActor>, DatabaseError> {
    let metadata: Option<String> = row.get("metadata")?;
    let registration = metadata.and_then(|metadata| serde_json::from_str::<Registration>(&metadata).ok());
    Ok(registration.map(|Registration { kind, id, name }| EntryActor { kind, id, name }))
}

impl Delivery {
    fn read(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            next_position: row.get("position")?,
            attempts: row.get("attempts")?,
            last_error: row.get("last_error")?,
            delivered_at: row.get("delivered_at")?,
            next_attempt_at: row.get("next_attempt_at")?,
        })
    }
}
