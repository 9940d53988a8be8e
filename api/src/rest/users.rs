//! Users: opening accounts, finding and showing them, setting passwords.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use countersign_domain::Timestamp;
use countersign_domain::agreement::Role;
use countersign_domain::ids::{AgreementId, AuthenticatorId, PasswordId, UserId};
use countersign_domain::sealed::Sealed;
use countersign_domain::user::command::Register;
use countersign_domain::user::two_factor::TwoFactor;
use countersign_domain::user::{Factor, InstallationRole, Profile, User, UserCommand, UserRefusal};
use countersign_projections::login_check::{Link, required_by};
use countersign_projections::table::{Change, EMAIL_CLAIMS};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::people::ERASED;
use super::{Body, OneId, Page, Params, Problems, Shared, Written, page_size, path_id};
use crate::app::App;
use crate::email::Email;
use crate::entropy;
use crate::execute::Plan;
use crate::problem::{Problem, ProblemCode};
use crate::request::Request;
use crate::text::one_line_field;
use crate::vault::{DataKey, Purpose};

const DISPLAY_NAME_CHARACTERS_MAX: usize = 200;

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The e-mail address, which nobody else may have.
    email: String,
    /// How the person is called; 1 to 200 characters.
    display_name: String,
    /// The first password, of 15 characters at least; it can also be set later.
    #[schema(value_type = Option<String>)]
    password: Option<Zeroizing<String>>,
}

/// An account that was just opened.
#[derive(Serialize, ToSchema)]
pub struct RegisteredUser {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
    /// The e-mail address.
    email: String,
    /// How the person is called.
    display_name: String,
}

/// An account.
#[derive(Serialize, ToSchema)]
pub struct UserView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) id: UserId,
    /// The e-mail address.
    pub(crate) email: String,
    /// How the person is called.
    pub(crate) display_name: String,
    /// The second factors.
    pub(crate) two_factor: TwoFactorView,
    /// Who requires two-factor of this person.
    pub(crate) required_by: Vec<RequirementView>,
    /// The agreements that the person is linked to.
    pub(crate) agreements: Vec<LinkedAgreement>,
    /// What the person may do in the whole installation: `auditor`, `operator`.
    #[schema(value_type = Vec<String>)]
    pub(crate) roles: Vec<InstallationRole>,
    /// Until when codes are locked, if they are.
    pub(crate) locked_until: Option<DateTime<Utc>>,
}

/// The second factors of a person.
#[derive(Serialize, ToSchema)]
pub struct TwoFactorView {
    /// Whether two-factor is on.
    pub enabled: bool,
    /// Since when.
    pub enabled_at: Option<DateTime<Utc>>,
    /// The authenticators.
    pub authenticators: Vec<AuthenticatorView>,
    /// How many emergency codes are left: one, or none while two-factor is off.
    pub recovery_codes_left: u32,
    /// Whether the person says that the emergency code is stored safely.
    pub recovery_code_saved: bool,
}

/// One authenticator.
#[derive(Serialize, ToSchema)]
pub struct AuthenticatorView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) id: AuthenticatorId,
    /// What the person calls it.
    pub(crate) label: String,
    /// When its first code was given.
    pub(crate) added_at: DateTime<Utc>,
    /// When a code of it was last accepted after that.
    pub(crate) last_used_at: Option<DateTime<Utc>>,
    /// Whether it is disabled after too many wrong codes.
    pub(crate) disabled: bool,
}

/// One agreement that requires two-factor of a person.
#[derive(Clone, Serialize, ToSchema)]
pub struct RequirementView {
    /// The agreement whose tick it is.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) agreement_id: AgreementId,
    /// Its name.
    pub(crate) name: String,
    /// The linked agreement through which it reaches the person; null when linked to it directly.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub(crate) via: Option<AgreementId>,
    /// Until when enrolment may wait.
    pub(crate) deadline: Option<DateTime<Utc>>,
}

impl From<countersign_domain::requirement::Requirement> for RequirementView {
    fn from(requirement: countersign_domain::requirement::Requirement) -> Self {
        Self {
            agreement_id: requirement.agreement_id,
            name: requirement.name,
            via: requirement.via,
            deadline: requirement.deadline,
        }
    }
}

/// One agreement that a person is linked to.
#[derive(Serialize, ToSchema)]
pub struct LinkedAgreement {
    /// The agreement.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) agreement_id: AgreementId,
    /// Its number.
    pub(crate) number: String,
    /// Its name.
    pub(crate) name: String,
    /// `superuser` or `user`.
    #[schema(value_type = String)]
    pub(crate) role: Role,
}

impl TwoFactorView {
    /// How a state looks from outside, opened by its person.
    ///
    /// # Errors
    /// When it does not open.
    pub fn of(two_factor: &TwoFactor, opener: &Opener) -> Result<Self, Problem> {
        let mut authenticators = Vec::new();
        for authenticator in two_factor.authenticators() {
            authenticators.push(AuthenticatorView {
                id: authenticator.id,
                label: opener.open(Purpose::Label, &authenticator.label)?,
                added_at: authenticator.added_at,
                last_used_at: authenticator.last_used_at,
                disabled: authenticator.disabled,
            });
        }
        Ok(Self {
            enabled: two_factor.is_enabled(),
            enabled_at: two_factor.enabled_at(),
            authenticators,
            recovery_codes_left: u32::from(two_factor.recovery_code().is_some()),
            recovery_code_saved: two_factor.recovery_code().is_some_and(|issued| issued.saved),
        })
    }
}

/// Opens an account.
#[utoipa::path(
    post, path = "/v1/users", tag = "users", security(("bearer" = [])),
    request_body = NewUser,
    responses((status = 201, body = RegisteredUser), Problems)
)]
pub async fn register(
    State(app): Shared,
    request: Request,
    Body(body): Body<NewUser>,
) -> Result<Response, Problem> {
    let email = Email::parse("email", &body.email)?;
    let display_name = one_line_field("display_name", &body.display_name, DISPLAY_NAME_CHARACTERS_MAX)?;
    let user_id = UserId::from_uuid(entropy::id(app.clock.now())?);
    let password = match body.password {
        Some(password) => {
            app.passwords.check_new("password", &password, &[email.as_str(), &display_name]).await?;
            let id = PasswordId::from_uuid(entropy::id(app.clock.now())?);
            Some((id, app.passwords.hash(password).await?))
        }
        None => None,
    };
    let (key, key_row) = app.vault.new_data_key(user_id.as_uuid(), app.clock.now())?;
    let digest = app.vault.email_digest(&email.normalised());
    let claim = Change::Insert(&EMAIL_CLAIMS, vec![digest.into(), user_id.to_string().into()]);
    let sealed_email = key.seal(Purpose::Email, "", email.as_str().as_bytes())?;
    let sealed_name = key.seal(Purpose::DisplayName, "", display_name.as_bytes())?;
    let done = app
        .execute::<User>(&request, user_id, None, |_, moment| {
            let command = Register {
                user_id,
                email: sealed_email.clone(),
                display_name: sealed_name.clone(),
                password_id: password.as_ref().map(|(id, _)| *id),
                at: moment.at,
            };
            let mut plan = Plan::new(UserCommand::Register(command), key.clone());
            plan.changes = vec![claim.clone(), key_row.clone()];
            plan.on_behalf_of = Some(user_id);
            if let Some((id, phc)) = &password {
                let row = key.vault_row(Purpose::PasswordHash, id.as_uuid(), phc.as_bytes(), moment.at)?;
                plan.secrets.push((id.as_uuid(), row));
            }
            Ok(plan)
        })
        .await?;
    let view = RegisteredUser { id: user_id, email: email.as_str().to_owned(), display_name };
    Ok(Written { written: done.written, answer: (StatusCode::CREATED, Json(view)) }.into_response())
}

/// How to find users.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FindUsers {
    /// Only the user with this e-mail address.
    email: Option<String>,
    /// So many users at most, 500 at most; 100 if it is not given.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Lists users, in the order of their ids, or finds the one with an e-mail address.
#[utoipa::path(
    get, path = "/v1/users", tag = "users", security(("bearer" = [])), params(FindUsers),
    responses((status = 200, body = Page<UserView>), Problems)
)]
pub async fn find(
    State(app): Shared,
    _: Request,
    Params(params): Params<FindUsers>,
) -> Result<Json<Page<UserView>>, Problem> {
    let limit = page_size(params.limit)?;
    let rows = match &params.email {
        Some(email) => {
            let digest = app.vault.email_digest(&Email::parse("email", email)?.normalised());
            let sql = "SELECT user_id FROM email_claims WHERE digest = $1 LIMIT 1";
            app.database.read(sql, &[digest.into()]).await?
        }
        None => {
            let after = params.cursor.unwrap_or_default();
            let sql = "SELECT user_id FROM login_check_users WHERE user_id > $1 ORDER BY user_id LIMIT $2";
            app.database.read(sql, &[after.into(), (limit + 1).into()]).await?
        }
    };
    let mut ids = rows.iter().map(|row| row.get("user_id")).collect::<Result<Vec<String>, _>>()?;
    let next_cursor = super::next_cursor(&mut ids, limit, Clone::clone);
    let mut items = Vec::with_capacity(ids.len());
    for id in ids {
        match app.user_view(path_id(&id, "user")?).await {
            // Erased since the ids were read.
            Err(problem) if problem.code() == ProblemCode::NotFound => {}
            view => items.push(view?),
        }
    }
    Ok(Json(Page { items, next_cursor }))
}

/// Shows an account.
#[utoipa::path(
    get, path = "/v1/users/{user_id}", tag = "users", security(("bearer" = [])),
    params(("user_id" = uuid::Uuid, Path)),
    responses((status = 200, body = UserView), Problems)
)]
pub async fn show(State(app): Shared, _: Request, Path(user_id): OneId) -> Result<Json<UserView>, Problem> {
    Ok(Json(app.user_view(path_id(&user_id, "user")?).await?))
}

impl App {
    pub(crate) async fn user_view(&self, user_id: UserId) -> Result<UserView, Problem> {
        let loaded = self.store.load::<User>(user_id, None).await?;
        let profile = loaded.state.profile().ok_or(UserRefusal::NotRegistered)?;
        let opener = Opener::With(loaded.data_key(&self.vault)?);
        UserView::of(user_id, profile, &loaded.state, &loaded.facts.links, &opener, self.clock.now())
    }
}

impl UserView {
    /// How a person looks from outside at a moment, opened by them.
    ///
    /// # Errors
    /// When it does not open.
    pub(super) fn of(
        id: UserId,
        profile: &Profile,
        user: &User,
        links: &[Link],
        opener: &Opener,
        at: Timestamp,
    ) -> Result<Self, Problem> {
        let two_factor = user.two_factor();
        let agreements = links.iter().map(|link| LinkedAgreement {
            agreement_id: link.agreement_id,
            number: link.number.clone(),
            name: link.name.clone(),
            role: link.role,
        });
        Ok(Self {
            id,
            email: opener.open(Purpose::Email, &profile.email)?,
            display_name: opener.open(Purpose::DisplayName, &profile.display_name)?,
            two_factor: TwoFactorView::of(two_factor, opener)?,
            required_by: required_by(links).into_iter().map(RequirementView::from).collect(),
            agreements: agreements.collect(),
            roles: user.roles().to_vec(),
            locked_until: two_factor.failures(Factor::Totp).locked_at(at),
        })
    }
}

/// Opens what is sealed for a person.
pub enum Opener {
    /// With their data key.
    With(DataKey),
    /// Nobody can any more: the person was erased.
    Erased,
}

impl Opener {
    fn open(&self, purpose: Purpose, sealed: &Sealed) -> Result<String, Problem> {
        match self {
            Self::With(key) => Ok(key.open_text(purpose, "", sealed.as_str())?),
            Self::Erased => Ok(ERASED.to_owned()),
        }
    }
}
