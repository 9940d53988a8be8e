//! Setting passwords: one's own, or a first one.

use std::sync::OnceLock;

use axum::extract::{Path, State};
use axum::response::Response;
use countersign_domain::ids::{PasswordId, UserId};
use countersign_domain::user::password::{ChangePassword, SetFirstPassword};
use countersign_domain::user::{User, UserCommand, UserRefusal};
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::proof::ProofBody;
use super::{Body, OneId, Problems, Shared, Written, path_id};
use crate::app::App;
use crate::entropy;
use crate::event_store::Loaded;
use crate::execute::{Moment, Plan};
use crate::problem::Problem;
use crate::request::{Caller, Request, forbidden};
use crate::vault::{DataKey, Purpose};

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password so far; an application that sets a first one gives none.
    #[schema(value_type = Option<String>)]
    current_password: Option<Zeroizing<String>>,
    /// A six-digit code, once two-factor is on.
    #[schema(value_type = Option<String>)]
    code: Option<Zeroizing<String>>,
    /// The emergency code, instead of a six-digit code.
    #[schema(value_type = Option<String>)]
    recovery_code: Option<Zeroizing<String>>,
    /// The password from now on, of 15 characters at least.
    #[schema(value_type = String)]
    new_password: Zeroizing<String>,
}

/// Changes one's own password, or sets a first one. Every other session ends.
#[utoipa::path(
    put, path = "/v1/users/{user_id}/password", tag = "users", security(("bearer" = [])),
    params(("user_id" = uuid::Uuid, Path)),
    request_body = PasswordChange,
    responses(
        (status = 200, description = "An emergency code was the proof", body = super::two_factor::NewRecoveryCode),
        (status = 204),
        Problems
    )
)]
pub async fn set(
    State(app): Shared,
    request: Request,
    Path(user_id): OneId,
    Body(body): Body<PasswordChange>,
) -> Result<Response, Problem> {
    let user_id: UserId = path_id(&user_id, "user")?;
    let loaded = app.store.load::<User>(user_id, None).await?;
    let profile = loaded.state.profile().ok_or(UserRefusal::NotRegistered)?;
    let key = loaded.data_key(&app.vault)?;
    let email = key.open_text(Purpose::Email, "", profile.email.as_str())?;
    let name = key.open_text(Purpose::DisplayName, "", profile.display_name.as_str())?;
    match &request.caller {
        Caller::ApiKey { .. } => first_password(&app, &request, &loaded, body, &[&email, &name]).await,
        Caller::Session { session_id, .. } => {
            let proof = ProofBody {
                password: body.current_password,
                code: body.code,
                recovery_code: body.recovery_code,
            };
            let session_id = *session_id;
            let password_id = PasswordId::from_uuid(entropy::id(app.clock.now())?);
            let hashed = OnceLock::<Zeroizing<String>>::new();
            let plan =
                |_: &Loaded<User>, moment: Moment, key: &DataKey, proof| -> Result<Plan<User>, Problem> {
                    let command = ChangePassword { password_id, proof, session_id, at: moment.at };
                    let mut plan = Plan::new(UserCommand::ChangePassword(command), key.clone());
                    if let Some(phc) = hashed.get() {
                        let row_id = password_id.as_uuid();
                        let row = key.vault_row(Purpose::PasswordHash, row_id, phc.as_bytes(), moment.at)?;
                        plan.secrets.push((row_id, row));
                    }
                    Ok(plan)
                };
            // The new password is looked at only once the old one was right.
            let judged = app.judge_proof(&request, user_id, &proof, plan).await?;
            if !judged.has_wrong_password() {
                app.passwords.check_new("new_password", &body.new_password, &[&email, &name]).await?;
                let phc = app.passwords.hash(body.new_password).await?;
                hashed.get_or_init(|| phc);
            }
            let proven = app.execute_judged(&request, user_id, judged, plan).await?;
            Ok(super::two_factor::after_proof(proven))
        }
        Caller::Nobody | Caller::Operator | Caller::SignInPage | Caller::Enrolment { .. } => Err(forbidden()),
    }
}

async fn first_password(
    app: &App,
    request: &Request,
    loaded: &Loaded<User>,
    body: PasswordChange,
    known: &[&str],
) -> Result<Response, Problem> {
    if loaded.state.password().is_some() {
        return Err(UserRefusal::PasswordAlreadySet.into());
    }
    app.passwords.check_new("new_password", &body.new_password, known).await?;
    let password_id = PasswordId::from_uuid(entropy::id(app.clock.now())?);
    let phc = app.passwords.hash(body.new_password).await?;
    let done = app
        .execute_on_user(request, loaded.id, |_, moment, key| {
            let command = SetFirstPassword { password_id, at: moment.at };
            let row_id = password_id.as_uuid();
            let row = key.vault_row(Purpose::PasswordHash, row_id, phc.as_bytes(), moment.at)?;
            let mut plan = Plan::new(UserCommand::SetFirstPassword(command), key);
            plan.secrets.push((row_id, row));
            Ok(plan)
        })
        .await?;
    Ok(Written::nothing(done.written))
}
