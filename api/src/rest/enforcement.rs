//! Enforcement: one tick, and every user of every agreement it reaches must have two-factor.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use countersign_domain::agreement::command::ToggleEnforcement;
use countersign_domain::agreement::{Agreement, AgreementCommand, AgreementRefusal, Enforcement};
use countersign_domain::context::Actor;
use countersign_domain::ids::{AgreementId, UserId};
use countersign_domain::user::UserCommand;
use countersign_domain::user::proof::ProvePresence;
use countersign_projections::coverage::reach_of;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::proof::ProofBody;
use super::{Body, OneId, Params, Problems, Shared, Written, next_cursor, page_size, path_id};
use crate::app::App;
use crate::execute::{Done, Plan};
use crate::problem::Problem;
use crate::request::{Caller, Request};
use crate::rest::people::Person;
use crate::text::one_line_field;

const REASON_CHARACTERS_MAX: usize = 500;

/// Who did something.
#[derive(Serialize, ToSchema)]
pub struct ActorView {
    /// `user`, `api_key`, `operator` or `sign_in_page`.
    pub(crate) kind: String,
    /// The user's or the API key's id.
    pub(crate) id: Option<String>,
    /// The API key's name.
    pub(crate) name: Option<String>,
}

impl From<&Actor> for ActorView {
    fn from(actor: &Actor) -> Self {
        Self { kind: actor.kind.name().to_owned(), id: actor.id.clone(), name: actor.name.clone() }
    }
}

/// Whether an agreement requires two-factor.
#[derive(Serialize, ToSchema)]
pub struct EnforcementView {
    /// Whether it is ticked.
    pub(crate) enforced: bool,
    /// Since when it is as it is; null while it was never touched.
    pub(crate) since: Option<DateTime<Utc>>,
    /// Who ticked or unticked it.
    pub(crate) by: Option<ActorView>,
    /// Until when enrolment may wait.
    pub(crate) deadline: Option<DateTime<Utc>>,
    /// Why, for the record.
    pub(crate) reason: Option<String>,
}

impl EnforcementView {
    /// How a state looks from outside.
    #[must_use]
    pub fn of(enforcement: &Enforcement) -> Self {
        Self {
            enforced: enforcement.enforced,
            since: enforcement.since,
            by: enforcement.by.as_ref().map(ActorView::from),
            deadline: enforcement.deadline,
            reason: enforcement.reason.clone(),
        }
    }
}

/// What enforcement is to be, with the proof of a superuser flat beside.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnforcementChange {
    /// Whether two-factor is required from now on.
    pub(crate) enforced: bool,
    /// Until when enrolment may wait; now if it is not given.
    #[serde(default, deserialize_with = "crate::time::optional")]
    pub(crate) deadline: Option<DateTime<Utc>>,
    /// Why, for the record; up to 500 characters.
    pub(crate) reason: Option<String>,
    /// The password of the superuser who asks.
    #[schema(value_type = Option<String>)]
    pub(crate) password: Option<Zeroizing<String>>,
    /// A six-digit code, once their two-factor is on.
    #[schema(value_type = Option<String>)]
    pub(crate) code: Option<Zeroizing<String>>,
    /// The emergency code, instead of a six-digit code.
    #[schema(value_type = Option<String>)]
    pub(crate) recovery_code: Option<Zeroizing<String>>,
}

/// What enforcement of an agreement is to be.
struct Toggle {
    id: AgreementId,
    enforced: bool,
    deadline: Option<DateTime<Utc>>,
    reason: Option<String>,
}

/// Enforcement as it is now, and whom it reaches.
#[derive(Serialize, ToSchema)]
pub struct EnforcementAnswer {
    /// What it is now.
    #[serde(flatten)]
    pub(crate) enforcement: EnforcementView,
    /// How many people the agreement and those it administers have, each counted once.
    pub(crate) affected_users: i64,
    /// How many of them have no two-factor.
    pub(crate) without_two_factor: i64,
    /// Where an emergency code was the proof: the one that replaces it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recovery_code: Option<String>,
}

/// Ticks or unticks enforcement, or moves its deadline. Once this has answered, every later login check on
/// every node says so. Unticking only permits removal: it removes nothing.
#[utoipa::path(
    put, path = "/v1/agreements/{agreement_id}/enforcement", tag = "enforcement", security(("bearer" = [])),
    params(("agreement_id" = uuid::Uuid, Path)),
    request_body = EnforcementChange,
    responses((status = 200, body = EnforcementAnswer), Problems)
)]
pub async fn enforce(
    State(app): Shared,
    request: Request,
    Path(id): OneId,
    Body(body): Body<EnforcementChange>,
) -> Result<Response, Problem> {
    let Written { written, answer } = app.enforce(&request, path_id(&id, "agreement")?, body).await?;
    Ok(Written { written, answer: Json(answer) }.into_response())
}

/// How to page through a preview.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PreviewParams {
    /// So many people at most, 500 at most; 100 if it is not given.
    pub(crate) limit: Option<u32>,
    /// Where the page before ended.
    pub(crate) cursor: Option<String>,
}

/// Whom enforcement would reach.
#[derive(Serialize, ToSchema)]
pub struct Preview {
    /// How many people the agreement and those it administers have, each counted once.
    pub(crate) affected_users: i64,
    /// How many of them have no two-factor.
    pub(crate) without_two_factor: i64,
    /// Who they are, each once, in the order of their ids.
    pub(crate) users: Vec<PreviewedUser>,
    /// Give this as `cursor` for more of them.
    pub(crate) next_cursor: Option<String>,
}

/// A person whom enforcement would reach.
#[derive(Serialize, ToSchema)]
pub struct PreviewedUser {
    /// The person.
    #[serde(flatten)]
    pub(crate) person: Person,
    /// Whether two-factor is on.
    pub(crate) two_factor_enabled: bool,
}

/// Says whom enforcement would reach, before it is ticked.
#[utoipa::path(
    get, path = "/v1/agreements/{agreement_id}/enforcement/preview", tag = "enforcement",
    security(("bearer" = [])),
    params(("agreement_id" = uuid::Uuid, Path), PreviewParams),
    responses((status = 200, body = Preview), Problems)
)]
pub async fn preview(
    State(app): Shared,
    _: Request,
    Path(id): OneId,
    Params(params): Params<PreviewParams>,
) -> Result<Json<Preview>, Problem> {
    Ok(Json(app.enforcement_preview(path_id(&id, "agreement")?, params).await?))
}

/// The links of the agreement `$1` and of the open ones that it administers.
macro_rules! reached_links {
    () => {
        "login_check_agreements a JOIN login_check_links l ON l.agreement_id = a.agreement_id \
         WHERE NOT a.closed AND (a.agreement_id = $1 OR a.administered_by = $1)"
    };
}

const REACH: &str = concat!(
    "SELECT count(*) AS affected, coalesce(sum(CASE WHEN u.two_factor_enabled THEN 0 ELSE 1 END), 0) AS without \
     FROM login_check_users u WHERE u.user_id IN (SELECT l.user_id FROM ",
    reached_links!(),
    ")"
);

/// The people that those links are of, each once.
const REACHED_USERS: &str = concat!(
    "SELECT u.user_id, u.email, u.display_name, u.two_factor_enabled, k.key_id, k.wrapped, k.master_key_id \
     FROM (SELECT DISTINCT l.user_id FROM ",
    reached_links!(),
    " AND l.user_id > $2 ORDER BY l.user_id LIMIT $3) AS reached \
     JOIN login_check_users u ON u.user_id = reached.user_id \
     LEFT JOIN data_keys k ON k.owner_id = u.user_id ORDER BY u.user_id"
);

/// The proof stands, so the emergency code that replaced it must reach its owner whatever follows.
fn with_code(problem: Problem, recovery_code: Option<&str>) -> Problem {
    match recovery_code {
        Some(code) => problem.with_member("recovery_code", code.into()),
        None => problem,
    }
}

impl App {
    /// Ticks or unticks enforcement.
    pub(crate) async fn enforce(
        self: &Arc<Self>,
        request: &Request,
        id: AgreementId,
        body: EnforcementChange,
    ) -> Result<Written<EnforcementAnswer>, Problem> {
        let deadline = body.deadline;
        if deadline.is_some() && !body.enforced {
            return Err(Problem::invalid_field("deadline", "A deadline goes with enforcement only."));
        }
        let reason = body.reason.as_deref();
        let reason = reason.map(|reason| one_line_field("reason", reason, REASON_CHARACTERS_MAX));
        let change = Toggle { id, enforced: body.enforced, deadline, reason: reason.transpose()? };
        let proof = ProofBody { password: body.password, code: body.code, recovery_code: body.recovery_code };
        let person = match &request.caller {
            Caller::Session { user_id, .. } => {
                // What is refused whatever is shown is refused before a code is judged and spent.
                self.can_be_changed(id).await?;
                Some((*user_id, proof))
            }
            Caller::Nobody
            | Caller::Operator
            | Caller::SignInPage
            | Caller::ApiKey { .. }
            | Caller::Enrolment { .. } => None,
        };
        // Whom it reaches does not hang on the tick. Counting can take long, so it comes first; that it failed is said
        // once the tick stands.
        let reach = self.reach(id).await;
        let request = request.clone();
        let toggling = |app: Arc<Self>| async move { app.prove_and_toggle(&request, person, change).await };
        let (done, recovery_code) = self.run_to_the_end(toggling).await?;
        let (affected_users, without_two_factor) =
            reach.map_err(|problem| with_code(problem, recovery_code.as_deref()))?;
        let enforcement = EnforcementView::of(done.state.enforcement());
        let answer = EnforcementAnswer { enforcement, affected_users, without_two_factor, recovery_code };
        Ok(Written { written: done.written, answer })
    }

    /// The proof and the tick stand in two streams.
    async fn prove_and_toggle(
        &self,
        request: &Request,
        person: Option<(UserId, ProofBody)>,
        Toggle { id, enforced, deadline, reason }: Toggle,
    ) -> Result<(Done<Agreement>, Option<String>), Problem> {
        let by = request.actor()?;
        let recovery_code = match person {
            Some((user_id, proof)) => self.prove_presence(request, user_id, &proof).await?,
            None => None,
        };
        let toggled = self
            .execute_on_agreement(request, id, None, None, |_, at| {
                AgreementCommand::ToggleEnforcement(ToggleEnforcement {
                    enforced,
                    deadline,
                    reason: reason.clone(),
                    by: by.clone(),
                    at,
                })
            })
            .await;
        let done = toggled.map_err(|problem| with_code(problem, recovery_code.as_deref()))?;
        Ok((done, recovery_code))
    }

    /// Whom enforcement would reach, a page of them.
    pub(crate) async fn enforcement_preview(
        &self,
        id: AgreementId,
        params: PreviewParams,
    ) -> Result<Preview, Problem> {
        let loaded = self.store.load::<Agreement>(id, None).await?;
        loaded.state.details().ok_or(AgreementRefusal::NotOpened)?;
        let limit = page_size(params.limit)?;
        let (affected_users, without_two_factor) = self.reach(id).await?;
        let after = params.cursor.unwrap_or_default();
        let rows = self
            .database
            .scan(REACHED_USERS, &[id.to_string().into(), after.into(), (limit + 1).into()])
            .await?;
        let mut users = Vec::with_capacity(rows.len());
        for row in &rows {
            let two_factor_enabled = row.get("two_factor_enabled")?;
            users.push(PreviewedUser { person: self.person(row)?, two_factor_enabled });
        }
        let next_cursor = next_cursor(&mut users, limit, |user| user.person.user_id.to_string());
        Ok(Preview { affected_users, without_two_factor, users, next_cursor })
    }

    /// How many people enforcement reaches, each counted once, and how many of them have no two-factor.
    pub(crate) async fn reach(&self, id: AgreementId) -> Result<(i64, i64), Problem> {
        match reach_of(&self.database, id).await {
            Ok(Some(reach)) => return Ok((reach.people, reach.people - reach.with_two_factor)),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "coverage cannot say whom enforcement reaches: counting"),
        }
        let rows = self.database.scan(REACH, &[id.to_string().into()]).await?;
        let row = rows.first().ok_or_else(|| Problem::internal("a count returned no row"))?;
        Ok((row.get("affected")?, row.get("without")?))
    }

    async fn can_be_changed(&self, id: AgreementId) -> Result<(), Problem> {
        let loaded = self.store.load::<Agreement>(id, None).await?;
        loaded.state.details().ok_or(AgreementRefusal::NotOpened)?;
        match loaded.state.closed_at() {
            Some(_) => Err(AgreementRefusal::Closed.into()),
            None => Ok(()),
        }
    }

    /// The proof stands in the person's own stream, since it may spend a code there.
    async fn prove_presence(
        &self,
        request: &Request,
        user_id: UserId,
        proof: &ProofBody,
    ) -> Result<Option<String>, Problem> {
        let proven = self
            .execute_with_proof(request, user_id, proof, |_, moment, key, proof| {
                let command = ProvePresence { proof, at: moment.at };
                Ok(Plan::new(UserCommand::ProvePresence(command), key.clone()))
            })
            .await?;
        Ok(proven.recovery_code)
    }
}
