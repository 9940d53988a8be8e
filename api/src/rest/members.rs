//! The members of an agreement, and who of them is without two-factor.

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use countersign_domain::Timestamp;
use countersign_domain::agreement::{Agreement, AgreementRefusal, Role};
use countersign_domain::ids::AgreementId;
use countersign_domain::requirement::{Standing, standing};
use countersign_projections::login_check::{Link, required_by};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::people::Person;
use super::{OneId, Page, Params, Problems, Shared, next_cursor, page_size, path_id};
use crate::app::App;
use crate::problem::Problem;
use crate::request::Request;

/// Which members to list.
#[derive(Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FindMembers {
    /// Only those without two-factor (true), or only those with it (false).
    pub(crate) without_two_factor: Option<bool>,
    /// So many members at most, 500 at most; 100 if it is not given.
    pub(crate) limit: Option<u32>,
    /// Where the page before ended.
    pub(crate) cursor: Option<String>,
}

/// A member of an agreement.
#[derive(Serialize, ToSchema)]
pub struct MemberView {
    /// The person.
    #[serde(flatten)]
    pub(crate) person: Person,
    /// `superuser` or `user`.
    #[schema(value_type = String)]
    pub(crate) role: Role,
    /// Whether two-factor is on.
    pub(crate) two_factor_enabled: bool,
    /// Since when an agreement requires two-factor of this person; null while none does.
    pub(crate) required_since: Option<DateTime<Utc>>,
    /// Whether two-factor is due and not on.
    pub(crate) overdue: bool,
}

/// Lists the members of an agreement, in the order of their ids. Superusers of one that is closed see none.
#[utoipa::path(
    get, path = "/v1/agreements/{agreement_id}/users", tag = "agreements", security(("bearer" = [])),
    params(("agreement_id" = uuid::Uuid, Path), FindMembers),
    responses((status = 200, body = Page<MemberView>), Problems)
)]
pub async fn list(
    State(app): Shared,
    request: Request,
    Path(id): OneId,
    Params(params): Params<FindMembers>,
) -> Result<Json<Page<MemberView>>, Problem> {
    Ok(Json(app.members(&request, path_id(&id, "agreement")?, params).await?))
}

impl App {
    /// A page of an agreement's members.
    pub(crate) async fn members(
        &self,
        request: &Request,
        id: AgreementId,
        params: FindMembers,
    ) -> Result<Page<MemberView>, Problem> {
        let loaded = self.store.load::<Agreement>(id, None).await?;
        loaded.state.details().ok_or(AgreementRefusal::NotOpened)?;
        let limit = page_size(params.limit)?;
        // Nobody can leave it any more, so its superusers would watch their accounts for ever.
        if loaded.state.closed_at().is_some() && !request.caller.has_the_scopes() {
            return Ok(Page { items: Vec::new(), next_cursor: None });
        }
        let with = params.without_two_factor.map(|without| !without);
        let rows = self
            .database
            .scan(
                MEMBERS,
                &[
                    id.to_string().into(),
                    params.cursor.unwrap_or_default().into(),
                    (with != Some(false)).into(),
                    (with != Some(true)).into(),
                    (limit + 1).into(),
                ],
            )
            .await?;
        let now = self.clock.now();
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            let links: String = row.get("links")?;
            let mut links: Vec<Link> = serde_json::from_str(&links)
                .map_err(|error| Problem::internal(format!("a link does not read: {error}")))?;
            // What other agreements require of a member is not for this one's superusers to know.
            if !request.caller.has_the_scopes() {
                links.retain(|link| link.agreement_id == id);
            }
            let required_by = required_by(&links);
            let two_factor_enabled: bool = row.get("two_factor_enabled")?;
            let due = standing(&required_by, now) == Standing::Due;
            items.push(MemberView {
                person: self.person(row)?,
                role: role(&row.get::<String>("role")?)?,
                two_factor_enabled,
                required_since: required_since(&links),
                overdue: due && !two_factor_enabled,
            });
        }
        let next_cursor = next_cursor(&mut items, limit, |member| member.person.user_id.to_string());
        Ok(Page { items, next_cursor })
    }
}

const MEMBERS: &str = concat!(
    "SELECT u.user_id, u.email, u.display_name, u.two_factor_enabled, m.role, \
     k.key_id, k.wrapped, k.master_key_id, CAST(",
    countersign_projections::links_of!("u.user_id"),
    " AS text) AS links \
     FROM login_check_links m JOIN login_check_users u ON u.user_id = m.user_id \
     LEFT JOIN data_keys k ON k.owner_id = u.user_id \
     WHERE m.agreement_id = $1 AND m.user_id > $2 \
     AND (u.two_factor_enabled = $3 OR u.two_factor_enabled <> $4) \
     ORDER BY m.user_id LIMIT $5"
);

fn role(name: &str) -> Result<Role, Problem> {
    [Role::Superuser, Role::User]
        .into_iter()
        .find(|role| role.name() == name)
        .ok_or_else(|| Problem::internal("a stored role is no role"))
}

fn required_since(links: &[Link]) -> Option<Timestamp> {
    links.iter().filter_map(Link::required_since).min()
}
