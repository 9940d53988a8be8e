//! The one question that applications ask at sign-in.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use countersign_domain::ids::{AgreementId, UserId};
use countersign_domain::requirement::earliest_deadline;
use countersign_projections::database::StatementKind;
use countersign_projections::login_check::{BY_EMAIL, BY_USER_ID, Decision, LoginCheckUser, Method};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::users::RequirementView;
use super::{Body, Problems, Shared};
use crate::app::App;
use crate::email::Email;
use crate::event_store::journal::LoadQuery;
use crate::problem::Problem;
use crate::request::Request;

/// Whom the question is about: `email` or `user_id`, not both.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginCheckQuestion {
    /// The e-mail address.
    email: Option<String>,
    /// The user's id.
    #[schema(value_type = Option<uuid::Uuid>)]
    user_id: Option<UserId>,
    /// The agreement that the sign-in is attributed to. It never narrows the requirement.
    #[schema(value_type = Option<uuid::Uuid>)]
    agreement_id: Option<AgreementId>,
}

/// Whether this person needs a second step, and why.
#[derive(Serialize, ToSchema)]
pub struct LoginCheckAnswer {
    /// Who it is; null when unknown.
    #[schema(value_type = Option<uuid::Uuid>)]
    user_id: Option<UserId>,
    /// `password_only`, `challenge`, `enrol`, `enrol_by`, `locked` or `unknown`.
    #[schema(value_type = String)]
    decision: Decision,
    /// What can pass the second step now: `totp`, `recovery_code`.
    #[schema(value_type = Vec<String>)]
    methods: Vec<Method>,
    /// Who requires two-factor.
    required_by: Vec<RequirementView>,
    /// Until when enrolment may wait; the earliest of all requirements.
    deadline: Option<DateTime<Utc>>,
    /// Until when codes are locked.
    locked_until: Option<DateTime<Utc>>,
}

static LOAD_BY_EMAIL: LoadQuery =
    LoadQuery { name: "login check by e-mail", kind: StatementKind::Load, sql: BY_EMAIL };
static LOAD_BY_USER_ID: LoadQuery =
    LoadQuery { name: "login check by user id", kind: StatementKind::Load, sql: BY_USER_ID };

/// Answers whether a person needs a second step at sign-in, and why. Never stale.
#[utoipa::path(
    post, path = "/v1/login-checks", tag = "sign-in", security(("bearer" = [])),
    request_body = LoginCheckQuestion,
    responses((status = 200, body = LoginCheckAnswer), Problems)
)]
pub async fn check(
    State(app): Shared,
    _: Request,
    Body(question): Body<LoginCheckQuestion>,
) -> Result<Json<LoginCheckAnswer>, Problem> {
    let user = match (&question.email, question.user_id) {
        (Some(email), None) => {
            let digest = app.vault.email_digest(&Email::parse("email", email)?.normalised());
            app.login_check(&LOAD_BY_EMAIL, &digest).await?
        }
        (None, Some(user_id)) => app.login_check(&LOAD_BY_USER_ID, &user_id.to_string()).await?,
        (None, None) | (Some(_), Some(_)) => {
            return Err(Problem::invalid_field("email", "Give either an e-mail address or a user id."));
        }
    };
    let Some(user) = user else { return Ok(Json(LoginCheckAnswer::unknown())) };
    if let Some(agreement_id) = question.agreement_id
        && !user.is_linked_to(agreement_id)
    {
        return Err(Problem::not_found("agreement among those that the person is linked to"));
    }
    let check = user.check(app.clock.now());
    Ok(Json(LoginCheckAnswer {
        user_id: Some(user.user_id),
        decision: check.decision,
        methods: check.methods,
        deadline: earliest_deadline(&check.required_by),
        required_by: check.required_by.into_iter().map(RequirementView::from).collect(),
        locked_until: check.locked_until,
    }))
}

impl LoginCheckAnswer {
    const fn unknown() -> Self {
        Self {
            user_id: None,
            decision: Decision::Unknown,
            methods: Vec::new(),
            required_by: Vec::new(),
            deadline: None,
            locked_until: None,
        }
    }
}

impl App {
    async fn login_check(
        &self,
        query: &'static LoadQuery,
        id: &str,
    ) -> Result<Option<LoginCheckUser>, Problem> {
        let row = self.store.journal().load(query, id, None).await?;
        let Some(facts) = row.facts else { return Ok(None) };
        let user = serde_json::from_str(&facts)
            .map_err(|error| Problem::internal(format!("a login-check row does not read: {error}")))?;
        Ok(Some(user))
    }
}
