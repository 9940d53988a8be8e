//! Agreements: opening, finding and showing them, who administers them, and their people.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use countersign_domain::Timestamp;
use countersign_domain::agreement::command::{
    ChangeAdministration, CloseAgreement, LinkUser, OpenAgreement, UnlinkUser,
};
use countersign_domain::agreement::{
    Administrator, Agreement, AgreementCommand, AgreementEvent, AgreementKind, AgreementRefusal, Role,
};
use countersign_domain::ids::{AgreementId, UserId};
use countersign_projections::table::{AGREEMENT_NUMBER_CLAIMS, Change};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::enforcement::EnforcementView;
use super::{Body, OneId, Page, Params, Problems, Shared, TwoIds, Written, next_cursor, page_size, path_id};
use crate::app::App;
use crate::entropy;
use crate::event_store::Loaded;
use crate::execute::{Done, Plan};
use crate::problem::Problem;
use crate::request::{Caller, Request};
use crate::text::one_line_field;
use crate::vault::DataKey;

const NUMBER_CHARACTERS_MAX: usize = 50;
const NAME_CHARACTERS_MAX: usize = 200;

/// A new agreement.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAgreement {
    /// Its number, which no other agreement may have; 1 to 50 characters.
    number: String,
    /// Its name; 1 to 200 characters.
    name: String,
    /// `administrator` if it is to administer others, otherwise `standard`.
    #[schema(value_type = String)]
    kind: AgreementKind,
    /// The agreement of the kind `administrator` that administers it.
    #[schema(value_type = Option<uuid::Uuid>)]
    administered_by: Option<AgreementId>,
}

/// An agreement.
#[derive(Serialize, ToSchema)]
pub struct AgreementView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) id: AgreementId,
    /// Its number.
    pub(crate) number: String,
    /// Its name.
    pub(crate) name: String,
    /// `administrator` or `standard`.
    #[schema(value_type = String)]
    pub(crate) kind: AgreementKind,
    /// The agreement that administers it.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub(crate) administered_by: Option<AgreementId>,
    /// How many open agreements it administers.
    pub(crate) administers_count: i64,
    /// Whether it requires two-factor.
    pub(crate) enforcement: EnforcementView,
    /// Whether it is closed.
    pub(crate) closed: bool,
}

impl AgreementView {
    pub(super) fn of(
        id: AgreementId,
        agreement: &Agreement,
        administers_count: i64,
    ) -> Result<Self, Problem> {
        let details = agreement.details().ok_or(AgreementRefusal::NotOpened)?;
        Ok(Self {
            id,
            number: details.number.clone(),
            name: details.name.clone(),
            kind: details.kind,
            administered_by: agreement.administered_by(),
            administers_count,
            enforcement: EnforcementView::of(agreement.enforcement()),
            closed: agreement.closed_at().is_some(),
        })
    }
}

impl App {
    /// Seals what is recorded of the caller in another stream than their own.
    pub(crate) fn callers_key(&self, request: &Request) -> DataKey {
        match &request.caller {
            Caller::Session { key, .. } => key.clone(),
            Caller::Nobody
            | Caller::Operator
            | Caller::SignInPage
            | Caller::ApiKey { .. }
            | Caller::Enrolment { .. } => self.vault.instance_key().clone(),
        }
    }

    pub(crate) async fn execute_on_agreement(
        &self,
        request: &Request,
        id: AgreementId,
        subject: Option<String>,
        about: Option<UserId>,
        command: impl Fn(&Loaded<Agreement>, Timestamp) -> AgreementCommand,
    ) -> Result<Done<Agreement>, Problem> {
        self.execute::<Agreement>(request, id, subject, |loaded, moment| {
            let mut plan = Plan::new(command(loaded, moment.at), self.callers_key(request));
            plan.agreement_id = Some(id);
            plan.on_behalf_of = about;
            Ok(plan)
        })
        .await
    }
}

/// Opens an agreement.
#[utoipa::path(
    post, path = "/v1/agreements", tag = "agreements", security(("bearer" = [])),
    request_body = NewAgreement,
    responses((status = 201, body = AgreementView), Problems)
)]
pub async fn open(
    State(app): Shared,
    request: Request,
    Body(body): Body<NewAgreement>,
) -> Result<Response, Problem> {
    app.run_to_the_end(|app| async move {
        let number = one_line_field("number", &body.number, NUMBER_CHARACTERS_MAX)?;
        let name = one_line_field("name", &body.name, NAME_CHARACTERS_MAX)?;
        let id = AgreementId::from_uuid(entropy::id(app.clock.now())?);
        let claim =
            Change::Insert(&AGREEMENT_NUMBER_CLAIMS, vec![number.clone().into(), id.to_string().into()]);
        let subject = body.administered_by.map(|id| id.to_string());
        let done = app
            .execute::<Agreement>(&request, id, subject, |loaded, moment| {
                let command = OpenAgreement {
                    agreement_id: id,
                    number: number.clone(),
                    name: name.clone(),
                    kind: body.kind,
                    administered_by: administrator(body.administered_by, loaded),
                    at: moment.at,
                };
                let mut plan = Plan::new(AgreementCommand::Open(command), app.callers_key(&request));
                plan.changes = vec![claim.clone()];
                plan.agreement_id = Some(id);
                Ok(plan)
            })
            .await?;
        // The agreement is open all the same, with nobody who administers it; the answer says so.
        let state = app.release_if_closed(&request, id, body.administered_by).await?.unwrap_or(done.state);
        let view = AgreementView::of(id, &state, 0)?;
        Ok(Written { written: done.written, answer: (StatusCode::CREATED, Json(view)) }.into_response())
    })
    .await
}

fn administrator(id: Option<AgreementId>, loaded: &Loaded<Agreement>) -> Option<Administrator> {
    id.map(|agreement_id| Administrator {
        agreement_id,
        exists: loaded.facts.subject_is_agreement,
        may_administer: loaded.facts.subject_kind == Some(AgreementKind::Administrator),
    })
}

/// How to find agreements.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FindAgreements {
    /// Only the agreement with this number.
    number: Option<String>,
    /// So many agreements at most, 500 at most; 100 if it is not given.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Lists agreements, in the order of their ids, or finds the one with a number.
#[utoipa::path(
    get, path = "/v1/agreements", tag = "agreements", security(("bearer" = [])), params(FindAgreements),
    responses((status = 200, body = Page<AgreementView>), Problems)
)]
pub async fn find(
    State(app): Shared,
    _: Request,
    Params(params): Params<FindAgreements>,
) -> Result<Json<Page<AgreementView>>, Problem> {
    let limit = page_size(params.limit)?;
    let rows = match params.number {
        Some(number) => {
            let sql = "SELECT agreement_id FROM agreement_number_claims WHERE number = $1 LIMIT 1";
            app.database.read(sql, &[number.trim().to_owned().into()]).await?
        }
        None => {
            let after = params.cursor.unwrap_or_default();
            let sql = "SELECT agreement_id FROM login_check_agreements WHERE agreement_id > $1 \
                       ORDER BY agreement_id LIMIT $2";
            app.database.read(sql, &[after.into(), (limit + 1).into()]).await?
        }
    };
    let mut ids = rows.iter().map(|row| row.get("agreement_id")).collect::<Result<Vec<String>, _>>()?;
    let next_cursor = next_cursor(&mut ids, limit, Clone::clone);
    let mut items = Vec::with_capacity(ids.len());
    for id in ids {
        items.push(app.agreement_view(path_id(&id, "agreement")?).await?);
    }
    Ok(Json(Page { items, next_cursor }))
}

/// Shows an agreement.
#[utoipa::path(
    get, path = "/v1/agreements/{agreement_id}", tag = "agreements", security(("bearer" = [])),
    params(("agreement_id" = uuid::Uuid, Path)),
    responses((status = 200, body = AgreementView), Problems)
)]
pub async fn show(State(app): Shared, _: Request, Path(id): OneId) -> Result<Json<AgreementView>, Problem> {
    Ok(Json(app.agreement_view(path_id(&id, "agreement")?).await?))
}

impl App {
    /// An agreement as it is now.
    pub(crate) async fn agreement_view(&self, id: AgreementId) -> Result<AgreementView, Problem> {
        let loaded = self.store.load::<Agreement>(id, None).await?;
        AgreementView::of(id, &loaded.state, loaded.facts.administers_count)
    }
}

/// Who administers an agreement from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Administration {
    /// An agreement of the kind `administrator`, or null for none.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(deserialize_with = "Option::deserialize")]
    administered_by: Option<AgreementId>,
}

/// Changes who administers an agreement.
#[utoipa::path(
    put, path = "/v1/agreements/{agreement_id}/administration", tag = "agreements",
    security(("bearer" = [])),
    params(("agreement_id" = uuid::Uuid, Path)),
    request_body = Administration,
    responses((status = 204), Problems)
)]
pub async fn change_administration(
    State(app): Shared,
    request: Request,
    Path(id): OneId,
    Body(body): Body<Administration>,
) -> Result<Response, Problem> {
    app.run_to_the_end(|app| async move {
        let id: AgreementId = path_id(&id, "agreement")?;
        let subject = body.administered_by.map(|id| id.to_string());
        let done = app
            .execute_on_agreement(&request, id, subject, None, |loaded, at| {
                let administered_by = administrator(body.administered_by, loaded);
                AgreementCommand::ChangeAdministration(ChangeAdministration { administered_by, at })
            })
            .await?;
        if app.release_if_closed(&request, id, body.administered_by).await?.is_some() {
            return Err(AgreementRefusal::NotAnAdministrator.into());
        }
        Ok(Written::nothing(done.written))
    })
    .await
}

/// Closes an agreement. It requires nothing any more, and changes no more.
#[utoipa::path(
    post, path = "/v1/agreements/{agreement_id}/close", tag = "agreements", security(("bearer" = [])),
    params(("agreement_id" = uuid::Uuid, Path)),
    responses((status = 204), Problems)
)]
pub async fn close(State(app): Shared, request: Request, Path(id): OneId) -> Result<Response, Problem> {
    app.run_to_the_end(|app| async move {
        let id: AgreementId = path_id(&id, "agreement")?;
        let done = app
            .execute_on_agreement(&request, id, None, None, |loaded, at| {
                let administers_count = loaded.facts.administers_count;
                AgreementCommand::Close(CloseAgreement { administers_count, at })
            })
            .await?;
        // Another agreement may have named it at the same time, in its own stream. Nobody is left
        // administered by a closed agreement: whichever of the two is later undoes the other's part.
        for administered in app.administered_by(id).await? {
            app.release(&request, administered, id).await?;
        }
        Ok(Written::nothing(done.written))
    })
    .await
}

impl App {
    async fn administered_by(&self, id: AgreementId) -> Result<Vec<AgreementId>, Problem> {
        let sql = "SELECT agreement_id FROM login_check_agreements WHERE administered_by = $1 AND NOT closed";
        let rows = self.database.read(sql, &[id.to_string().into()]).await?;
        rows.iter().map(|row| path_id(&row.get::<String>("agreement_id")?, "agreement")).collect()
    }

    /// Undoes that an administrator was just named which was closed at the same time, in its own
    /// stream; the state after that, if it was.
    async fn release_if_closed(
        &self,
        request: &Request,
        id: AgreementId,
        administrator: Option<AgreementId>,
    ) -> Result<Option<Agreement>, Problem> {
        let Some(administrator) = administrator else { return Ok(None) };
        let named = self.store.load::<Agreement>(administrator, None).await?;
        match named.state.closed_at() {
            Some(_) => self.release(request, id, administrator).await.map(Some),
            None => Ok(None),
        }
    }

    /// Leaves the agreement administered by nobody, unless another administers it by now.
    async fn release(
        &self,
        request: &Request,
        id: AgreementId,
        from: AgreementId,
    ) -> Result<Agreement, Problem> {
        let done = self
            .execute_on_agreement(request, id, None, None, |loaded, at| {
                let other = loaded.state.administered_by().filter(|administrator| *administrator != from);
                let administered_by = other.map(|agreement_id| Administrator {
                    agreement_id,
                    exists: true,
                    may_administer: true,
                });
                AgreementCommand::ChangeAdministration(ChangeAdministration { administered_by, at })
            })
            .await?;
        Ok(done.state)
    }
}

/// What a person may do in an agreement.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkedRole {
    /// `superuser` or `user`.
    #[schema(value_type = String)]
    role: Role,
}

/// Links a person to an agreement, or gives a linked one another role. Superusers can only do the latter.
#[utoipa::path(
    put, path = "/v1/agreements/{agreement_id}/users/{user_id}", tag = "agreements",
    security(("bearer" = [])),
    params(("agreement_id" = uuid::Uuid, Path), ("user_id" = uuid::Uuid, Path)),
    request_body = LinkedRole,
    responses((status = 204), Problems)
)]
pub async fn link_user(
    State(app): Shared,
    request: Request,
    Path((id, user_id)): TwoIds,
    Body(body): Body<LinkedRole>,
) -> Result<Response, Problem> {
    app.run_to_the_end(|app| async move {
        let id: AgreementId = path_id(&id, "agreement")?;
        let user_id: UserId = path_id(&user_id, "user")?;
        // A person unknown to the agreement is unknown to its superusers.
        let may_link_anybody = request.caller.has_the_scopes();
        let by = request.actor()?;
        let done = app
            .execute_on_agreement(&request, id, Some(user_id.to_string()), Some(user_id), |loaded, at| {
                let linked_as = loaded.facts.linked_as;
                let user_exists = loaded.facts.user_exists && (may_link_anybody || linked_as.is_some());
                let by = by.clone();
                AgreementCommand::LinkUser(LinkUser {
                    user_id,
                    role: body.role,
                    linked_as,
                    user_exists,
                    by,
                    at,
                })
            })
            .await?;
        let is_new = done.events.iter().any(|event| matches!(event, AgreementEvent::UserLinked { .. }));
        if is_new && app.unlink_if_erased(&request, id, user_id).await? {
            return Err(AgreementRefusal::UserNotFound.into());
        }
        Ok(Written::nothing(done.written))
    })
    .await
}

/// Unlinks a person from an agreement.
#[utoipa::path(
    delete, path = "/v1/agreements/{agreement_id}/users/{user_id}", tag = "agreements",
    security(("bearer" = [])),
    params(("agreement_id" = uuid::Uuid, Path), ("user_id" = uuid::Uuid, Path)),
    responses((status = 204), Problems)
)]
pub async fn unlink_user(
    State(app): Shared,
    request: Request,
    Path((id, user_id)): TwoIds,
) -> Result<Response, Problem> {
    let id: AgreementId = path_id(&id, "agreement")?;
    let user_id: UserId = path_id(&user_id, "user")?;
    let done = app
        .execute_on_agreement(&request, id, Some(user_id.to_string()), Some(user_id), |loaded, at| {
            let is_linked = loaded.facts.linked_as.is_some();
            AgreementCommand::UnlinkUser(UnlinkUser { user_id, is_linked, at })
        })
        .await?;
    Ok(Written::nothing(done.written))
}
