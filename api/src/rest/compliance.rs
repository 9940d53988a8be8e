//! What auditors ask: how a person or an agreement was at a moment.
//!
//! Everything is folded from what the ledger's first entries had recorded by then, so the answer for a moment is
//! the same whenever it is asked for. Asking is recorded, like reading the trail.

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};
use countersign_domain::Timestamp;
use countersign_domain::agreement::{Agreement, AgreementRefusal, Role};
use countersign_domain::ids::{AgreementId, SessionId, UserId};
use countersign_domain::instance::{AuditFilter, AuditRoute};
use countersign_domain::user::session::Session;
use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::coverage::{Coverage, CoverageDay, days};
use countersign_projections::replay::as_of::{AgreementAt, UserAt, agreement_at, moment, user_at};
use countersign_projections::replay::streams::Moment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::agreements::AgreementView;
use super::users::{Opener, UserView};
use super::{OneId, Params, Problems, Shared, path_id};
use crate::app::App;
use crate::problem::refusals::busy;
use crate::problem::{Problem, ProblemCode};
use crate::request::Request;
use crate::vault::WrappedKey;

/// What was recorded so long ago has its place in the ledger, unless something is wrong.
const RECENT: TimeDelta = TimeDelta::seconds(10);

/// So many days are shown at once.
const DAYS_MAX: TimeDelta = TimeDelta::days(366);

/// At which moment.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AsOf {
    /// The moment (RFC 3339); what was recorded at it counts. Now, if it is not given.
    #[serde(default, deserialize_with = "crate::time::optional")]
    pub(crate) as_of: Option<DateTime<Utc>>,
}

/// What an answer about a moment rests on.
#[derive(Serialize, ToSchema)]
pub struct Folded {
    /// The moment.
    pub(crate) as_of: DateTime<Utc>,
    /// What had been recorded by then among so many entries of the ledger, from the first on, was folded.
    pub(crate) position: u64,
}

/// A person as they were.
#[derive(Serialize, ToSchema)]
pub struct UserAsOf {
    #[serde(flatten)]
    pub(crate) folded: Folded,
    #[serde(flatten)]
    pub(crate) user: UserView,
    /// The sessions that had neither ended nor expired. When each was last used is no event, so some may
    /// have been idle for too long.
    pub(crate) sessions: Vec<SessionAsOf>,
}

/// A session as it was.
#[derive(Serialize, ToSchema)]
pub struct SessionAsOf {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) id: SessionId,
    /// The agreement that the sign-in was attributed to.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub(crate) agreement_id: Option<AgreementId>,
    /// When it began.
    pub(crate) started_at: DateTime<Utc>,
    /// When it was to end at the latest.
    pub(crate) expires_at: DateTime<Utc>,
    /// When the second factor was passed; null for the password alone.
    pub(crate) second_factor_at: Option<DateTime<Utc>>,
}

/// An agreement as it was.
#[derive(Serialize, ToSchema)]
pub struct AgreementAsOf {
    #[serde(flatten)]
    pub(crate) folded: Folded,
    #[serde(flatten)]
    pub(crate) agreement: AgreementView,
    /// The open agreement that administered it, with what it required of everybody here.
    pub(crate) administrator: Option<Box<AdministratorAsOf>>,
    /// How many people were linked to it.
    pub(crate) members_count: usize,
    /// Who of them were superusers.
    pub(crate) superusers: Vec<MemberAsOf>,
}

/// An administrator agreement as it was.
#[derive(Serialize, ToSchema)]
pub struct AdministratorAsOf {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) id: AgreementId,
    /// Its name.
    pub(crate) name: String,
    /// Whether it required two-factor.
    pub(crate) enforcement: super::enforcement::EnforcementView,
}

/// Somebody who was linked to an agreement.
#[derive(Serialize, ToSchema)]
pub struct MemberAsOf {
    /// Who.
    #[schema(value_type = uuid::Uuid)]
    user_id: UserId,
    /// Since when.
    linked_at: DateTime<Utc>,
}

/// Shows a person as they were at a moment.
#[utoipa::path(
    get, path = "/v1/compliance/users/{user_id}", tag = "compliance", security(("bearer" = [])),
    params(("user_id" = uuid::Uuid, Path), AsOf), responses((status = 200, body = UserAsOf), Problems)
)]
pub async fn user(
    State(app): Shared,
    request: Request,
    Path(id): OneId,
    Params(asked): Params<AsOf>,
) -> Result<Json<UserAsOf>, Problem> {
    let id: UserId = path_id(&id, "user")?;
    let as_of = app.moment_asked(asked.as_of)?;
    let filter = AuditFilter { user: Some(id), to: asked.as_of, ..AuditFilter::of(AuditRoute::AsOf) };
    app.record_audit_read(&request, filter).await?;
    let moment = app.moment_of(as_of).await?;
    let not_there = || Problem::not_found("user at that time");
    let UserAt { state, links } = user_at(&app.database, id, moment).await?.ok_or_else(not_there)?;
    let profile = state.profile().ok_or_else(not_there)?;
    let user = UserView::of(id, profile, &state, &links, &app.opener_of(id).await?, as_of)?;
    let live = state.sessions().iter().rev().filter(|session| as_of < session.expires_at);
    Ok(Json(UserAsOf { folded: moment.into(), user, sessions: live.map(SessionAsOf::of).collect() }))
}

/// Shows an agreement as it was at a moment.
#[utoipa::path(
    get, path = "/v1/compliance/agreements/{agreement_id}", tag = "compliance", security(("bearer" = [])),
    params(("agreement_id" = uuid::Uuid, Path), AsOf), responses((status = 200, body = AgreementAsOf), Problems)
)]
pub async fn agreement(
    State(app): Shared,
    request: Request,
    Path(id): OneId,
    Params(asked): Params<AsOf>,
) -> Result<Json<AgreementAsOf>, Problem> {
    let id: AgreementId = path_id(&id, "agreement")?;
    let as_of = app.moment_asked(asked.as_of)?;
    let filter = AuditFilter { agreement: Some(id), to: asked.as_of, ..AuditFilter::of(AuditRoute::AsOf) };
    app.record_audit_read(&request, filter).await?;
    let moment = app.moment_of(as_of).await?;
    let AgreementAt { state, members, administrator, administers_count } =
        agreement_at(&app.database, id, moment)
            .await?
            .ok_or_else(|| Problem::not_found("agreement at that time"))?;
    let superusers = members.iter().filter(|(_, member)| member.role == Role::Superuser);
    let superusers = superusers
        .map(|(user_id, member)| MemberAsOf { user_id: *user_id, linked_at: member.linked_at })
        .collect();
    let administrator = administrator.map(|(id, administrator)| {
        Box::new(AdministratorAsOf {
            id,
            name: administrator.details().map(|details| details.name.clone()).unwrap_or_default(),
            enforcement: super::enforcement::EnforcementView::of(administrator.enforcement()),
        })
    });
    let administers_count = i64::try_from(administers_count).unwrap_or(i64::MAX);
    let agreement = AgreementView::of(id, &state, administers_count)?;
    let members_count = members.iter().count();
    Ok(Json(AgreementAsOf { folded: moment.into(), agreement, administrator, members_count, superusers }))
}

/// Which days.
#[derive(Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Period {
    /// From this day on (2027-03-01, in UTC); thirty days back if it is not given.
    pub(crate) from: Option<NaiveDate>,
    /// Before this day; up to today if it is not given.
    pub(crate) to: Option<NaiveDate>,
}

/// How many people of an agreement had two-factor, day by day.
#[derive(Serialize, ToSchema)]
pub struct CoverageView {
    /// The days, oldest first. Days before the agreement was opened are left out, and so are days to come;
    /// today is as it is by now.
    pub(crate) items: Vec<CoverageDayView>,
}

/// How an agreement was at the end of a day.
#[derive(Serialize, ToSchema)]
pub struct CoverageDayView {
    /// The day, in UTC.
    #[schema(value_type = String, format = Date)]
    pub(crate) date: NaiveDate,
    /// How many people were linked to it.
    pub(crate) members: i64,
    /// How many of them had two-factor.
    pub(crate) with_two_factor: i64,
    /// How many of the members were superusers.
    pub(crate) superusers: i64,
    /// How many of these had two-factor.
    pub(crate) superusers_with_two_factor: i64,
    /// Of how many members the agreement, or the one that administers it, required it.
    pub(crate) required: i64,
    /// How many of these had none, although it was due.
    pub(crate) overdue: i64,
}

/// Shows how many people of an agreement had two-factor, day by day.
#[utoipa::path(
    get, path = "/v1/compliance/agreements/{agreement_id}/coverage", tag = "compliance",
    security(("bearer" = [])), params(("agreement_id" = uuid::Uuid, Path), Period),
    responses((status = 200, body = CoverageView), Problems)
)]
pub async fn coverage(
    State(app): Shared,
    request: Request,
    Path(id): OneId,
    Params(asked): Params<Period>,
) -> Result<Json<CoverageView>, Problem> {
    Ok(Json(app.coverage_of(&request, path_id(&id, "agreement")?, asked).await?))
}

impl From<Moment> for Folded {
    fn from(Moment { at, size }: Moment) -> Self {
        Self { as_of: at, position: size }
    }
}

impl SessionAsOf {
    fn of(session: &Session) -> Self {
        Self {
            id: session.id,
            agreement_id: session.agreement_id,
            started_at: session.started_at,
            expires_at: session.expires_at,
            second_factor_at: session.second_factor_at,
        }
    }
}

impl App {
    /// How an agreement fared day by day; that somebody looks is recorded.
    pub(crate) async fn coverage_of(
        &self,
        request: &Request,
        id: AgreementId,
        asked: Period,
    ) -> Result<CoverageView, Problem> {
        let now = self.clock.now();
        let to = asked.to.unwrap_or_else(|| now.date_naive() + TimeDelta::days(1));
        let from = asked.from.or_else(|| to.checked_sub_signed(TimeDelta::days(30))).unwrap_or(to);
        if from > to || to - from > DAYS_MAX || [from, to].iter().any(|day| !(1..=9999).contains(&day.year()))
        {
            let detail = "from and to must be days such as 2027-03-01, from not after to, and no more than 366 days apart.";
            return Err(Problem::new(ProblemCode::MalformedRequest, detail));
        }
        let loaded = self.store.load::<Agreement>(id, None).await?;
        loaded.state.details().ok_or(AgreementRefusal::NotOpened)?;
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        let filter = AuditFilter {
            agreement: Some(id),
            from: asked.from.map(midnight),
            to: asked.to.map(midnight),
            ..AuditFilter::of(AuditRoute::Coverage)
        };
        self.record_audit_read(request, filter).await?;
        if !self.ledger.has_taken_in_everything::<Coverage>().await? {
            return Err(busy(
                "Coverage has not taken in every entry of the ledger yet; /metrics says how far it is, /readyz what keeps it.",
            ));
        }
        let days = days(&self.database, id, (from, to), now).await?;
        let view = |day: CoverageDay| CoverageDayView {
            date: day.date,
            members: day.members,
            with_two_factor: day.with_two_factor,
            superusers: day.superusers,
            superusers_with_two_factor: day.superusers_with_two_factor,
            required: day.required,
            overdue: day.overdue,
        };
        Ok(CoverageView { items: days.into_iter().map(view).collect() })
    }

    /// Nobody knows how things will be.
    fn moment_asked(&self, as_of: Option<Timestamp>) -> Result<Timestamp, Problem> {
        let now = self.clock.now();
        match as_of {
            Some(as_of) if as_of > now => {
                Err(Problem::new(ProblemCode::MalformedRequest, "as_of must not be in the future."))
            }
            Some(as_of) => Ok(as_of),
            None => Ok(now),
        }
    }

    /// What was recorded long before and waits still is held back, mostly in one stream: answers about the others are
    /// not refused for that.
    async fn moment_of(&self, as_of: Timestamp) -> Result<Moment, Problem> {
        if as_of > self.clock.now() - RECENT {
            self.wait_for_what_was_recorded(as_of).await?;
        } else {
            self.wait_for_the_trail().await?;
        }
        Ok(moment(&self.database, as_of).await?)
    }

    /// Waits until everything recorded at a moment or before has its place, and the trail shows it.
    pub(crate) async fn wait_for_what_was_recorded(&self, as_of: Timestamp) -> Result<(), Problem> {
        if !self.ledger.has_placed_what_was_recorded(as_of).await? {
            return Err(busy(
                "Something that was recorded by then has no place in the ledger yet. Ask again, or for an earlier \
                 moment; if that goes on, /readyz says what is the matter.",
            ));
        }
        self.wait_for_the_trail().await
    }

    /// What the trail has not taken in, however old it is, would be missing.
    async fn wait_for_the_trail(&self) -> Result<(), Problem> {
        if !self.ledger.has_taken_in_everything::<AuditTrail>().await? {
            return Err(busy(
                "The trail has not taken in every entry of the ledger yet; /metrics says how far it is, /readyz what keeps it.",
            ));
        }
        Ok(())
    }

    async fn opener_of(&self, id: UserId) -> Result<Opener, Problem> {
        let sql = "SELECT key_id, wrapped, master_key_id FROM data_keys WHERE owner_id = $1 LIMIT 1";
        let rows = self.database.read(sql, &[id.to_string().into()]).await?;
        let wrapped = rows.first().map(WrappedKey::from_row).transpose()?.flatten();
        Ok(match wrapped {
            Some(wrapped) => Opener::With(self.vault.data_key(id.as_uuid(), Some(&wrapped))?),
            None => Opener::Erased,
        })
    }
}
