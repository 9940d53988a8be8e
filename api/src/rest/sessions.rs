//! Sessions: who is signed in, and signing out.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use countersign_domain::Timestamp;
use countersign_domain::ids::{AgreementId, SessionId, UserId};
use countersign_domain::user::session::{EndSessions, Session};
use countersign_domain::user::{User, UserCommand, UserRefusal};
use serde::Serialize;
use utoipa::ToSchema;

use super::{OneId, Page, Problems, Shared, TwoIds, Written, path_id};
use crate::app::App;
use crate::execute::Plan;
use crate::problem::Problem;
use crate::request::{Caller, Request};

/// A session, without its token: that was shown once.
#[derive(Serialize, ToSchema)]
pub struct SessionDetails {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) id: SessionId,
    /// The agreement that the sign-in was attributed to.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub(crate) agreement_id: Option<AgreementId>,
    /// When it began.
    pub(crate) started_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub(crate) last_used_at: DateTime<Utc>,
    /// When it ends at the latest.
    pub(crate) expires_at: DateTime<Utc>,
    /// When the second factor was passed; null for the password alone.
    pub(crate) second_factor_at: Option<DateTime<Utc>>,
    /// Whether it is the session that asks.
    pub(crate) current: bool,
}

/// Lists a person's live sessions, the latest first.
#[utoipa::path(
    get, path = "/v1/users/{user_id}/sessions", tag = "sessions", security(("bearer" = [])),
    params(("user_id" = uuid::Uuid, Path)),
    responses((status = 200, body = Page<SessionDetails>), Problems)
)]
pub async fn list(
    State(app): Shared,
    request: Request,
    Path(user_id): OneId,
) -> Result<Json<Page<SessionDetails>>, Problem> {
    let items = app.live_sessions(&request, path_id(&user_id, "user")?).await?;
    Ok(Json(Page { items, next_cursor: None }))
}

/// Shows one of a person's live sessions.
#[utoipa::path(
    get, path = "/v1/users/{user_id}/sessions/{session_id}", tag = "sessions", security(("bearer" = [])),
    params(("user_id" = uuid::Uuid, Path), ("session_id" = uuid::Uuid, Path)),
    responses((status = 200, body = SessionDetails), Problems)
)]
pub async fn show(
    State(app): Shared,
    request: Request,
    Path((user_id, session_id)): TwoIds,
) -> Result<Json<SessionDetails>, Problem> {
    let session_id: SessionId = path_id(&session_id, "session")?;
    let sessions = app.live_sessions(&request, path_id(&user_id, "user")?).await?;
    let found = sessions.into_iter().find(|session| session.id == session_id);
    found.map(Json).ok_or_else(|| Problem::not_found("session"))
}

/// Signs a person out everywhere.
#[utoipa::path(
    delete, path = "/v1/users/{user_id}/sessions", tag = "sessions", security(("bearer" = [])),
    params(("user_id" = uuid::Uuid, Path)),
    responses((status = 204), Problems)
)]
pub async fn end_all(
    State(app): Shared,
    request: Request,
    Path(user_id): OneId,
) -> Result<Response, Problem> {
    Ok(Written::nothing(app.end_sessions(&request, path_id(&user_id, "user")?, None).await?))
}

/// Ends one session.
#[utoipa::path(
    delete, path = "/v1/users/{user_id}/sessions/{session_id}", tag = "sessions", security(("bearer" = [])),
    params(("user_id" = uuid::Uuid, Path), ("session_id" = uuid::Uuid, Path)),
    responses((status = 204), Problems)
)]
pub async fn end(
    State(app): Shared,
    request: Request,
    Path((user_id, session_id)): TwoIds,
) -> Result<Response, Problem> {
    let session_id = path_id(&session_id, "session")?;
    Ok(Written::nothing(app.end_sessions(&request, path_id(&user_id, "user")?, Some(session_id)).await?))
}

impl App {
    pub(crate) async fn live_sessions(
        &self,
        request: &Request,
        user_id: UserId,
    ) -> Result<Vec<SessionDetails>, Problem> {
        let loaded = self.store.load::<User>(user_id, None).await?;
        loaded.state.profile().ok_or(UserRefusal::NotRegistered)?;
        let used = "SELECT session_id, last_used_at FROM session_uses WHERE user_id = $1 \
                    ORDER BY last_used_at DESC LIMIT 500";
        let rows = self.database.read(used, &[user_id.to_string().into()]).await?;
        let last_use = |session: &Session| -> Option<Timestamp> {
            let id = session.id.to_string();
            let row = rows.iter().find(|row| row.get::<String>("session_id").is_ok_and(|other| other == id));
            row.and_then(|row| row.get("last_used_at").ok())
        };
        let required_by = loaded.required_by();
        let now = self.clock.now();
        let asking = match &request.caller {
            Caller::Session { session_id, .. } => Some(*session_id),
            Caller::Nobody
            | Caller::Operator
            | Caller::SignInPage
            | Caller::ApiKey { .. }
            | Caller::Enrolment { .. } => None,
        };
        let mut live = Vec::new();
        for session in loaded.state.sessions().iter().rev() {
            let last_used_at = last_use(session);
            if loaded.state.live_session(&session.token, last_used_at, &required_by, now).is_none() {
                continue;
            }
            let last_used_at = last_used_at.unwrap_or(session.started_at);
            live.push(SessionDetails {
                id: session.id,
                agreement_id: session.agreement_id,
                started_at: session.started_at,
                last_used_at,
                expires_at: session.expires_at,
                second_factor_at: session.second_factor_at,
                current: asking == Some(session.id),
            });
        }
        Ok(live)
    }

    pub(crate) async fn end_sessions(
        &self,
        request: &Request,
        user_id: UserId,
        session_id: Option<SessionId>,
    ) -> Result<String, Problem> {
        let done = self
            .execute_on_user(request, user_id, |_, moment, key| {
                let command = EndSessions { session_id, at: moment.at };
                Ok(Plan::new(UserCommand::EndSessions(command), key))
            })
            .await?;
        Ok(done.written)
    }
}
