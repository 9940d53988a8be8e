//! What an operator does on the command line, also while a server runs on the same database.

use std::sync::Arc;

use countersign_domain::Timestamp;
use countersign_domain::context::ActorKind;
use countersign_domain::ids::{ApiKeyId, UserId, WebhookId};
use countersign_domain::instance::{
    Instance, InstanceCommand, IssueApiKey, RevokeApiKey, Scope, UnknownScope,
};
use countersign_domain::user::role::{GrantRole, RevokeRole, UnknownRole};
use countersign_domain::user::two_factor::ResetTwoFactor;
use countersign_domain::user::{InstallationRole, User, UserCommand};
use countersign_projections::table::{DATA_KEYS, EMAIL_CLAIMS, LOGIN_CHECK_USERS};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::app::{App, StartError};
use crate::clock::Clock;
use crate::config::Config;
use crate::entropy::{self, NoEntropy};
use crate::erasure::Erased;
use crate::event_store::Loaded;
use crate::execute::Plan;
use crate::problem::Problem;
use crate::request::Request;
use crate::rest::webhooks::WebhookView;
use crate::text::one_line;
use crate::token::{DrawnToken, TokenKind};
use crate::vault::{DataKey, Purpose, VaultError};

const NAME_CHARACTERS_MAX: usize = 100;
const REASON_CHARACTERS_MAX: usize = 500;

/// Why an operator's command did not do.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The program does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is no such scope.
    #[error("{given:?} is no scope: {unknown}")]
    Scope {
        /// What was given.
        given: String,
        /// Which there are.
        unknown: UnknownScope,
    },
    /// There is no such role.
    #[error("{given:?} is no role: {unknown}")]
    Role {
        /// What was given.
        given: String,
        /// Which there are.
        unknown: UnknownRole,
    },
    /// A key without a scope could do nothing.
    #[error("give at least one --scope: {UnknownScope}")]
    NoScope,
    /// The command was refused.
    #[error("{0}")]
    Refused(String),
    /// The operating system gives no randomness.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

impl From<Problem> for OperatorError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem.for_operator())
    }
}

/// An API key as it is listed: without its token, which was shown once.
#[derive(Clone, Debug, Serialize)]
pub struct ListedKey {
    /// Its id.
    pub id: String,
    /// What the operator calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Opens the program for this configuration and issues an API key.
///
/// # Errors
/// Says why not.
pub async fn create_api_key(
    config: &Config,
    clock: &Clock,
    name: &str,
    scopes: &[&str],
) -> Result<String, OperatorError> {
    let app = App::open(config.clone(), clock.clone()).await?;
    Ok(issue_api_key(&app, name, scopes, None).await?.as_str().to_owned())
}

/// Issues an API key. Its token is returned this once.
///
/// # Errors
/// Says why not.
pub async fn issue_api_key(
    app: &Arc<App>,
    name: &str,
    scopes: &[&str],
    expires_at: Option<Timestamp>,
) -> Result<Zeroizing<String>, OperatorError> {
    let name = option("--name", name, NAME_CHARACTERS_MAX)?;
    let mut read = Vec::with_capacity(scopes.len());
    for given in scopes {
        let unknown = |unknown| OperatorError::Scope { given: (*given).to_owned(), unknown };
        read.push(given.parse::<Scope>().map_err(unknown)?);
    }
    read.sort_unstable();
    read.dedup();
    if read.is_empty() {
        return Err(OperatorError::NoScope);
    }
    let id = ApiKeyId::from_uuid(entropy::id(app.clock.now())?);
    let token = DrawnToken::draw(TokenKind::ApiKey, id.as_uuid())?;
    app.execute::<Instance>(&request(app)?, id.into(), None, |_, moment| {
        let command = IssueApiKey {
            id,
            name: name.clone(),
            scopes: read.clone(),
            token: token.digest.clone(),
            expires_at,
            at: moment.at,
        };
        Ok(Plan::new(InstanceCommand::IssueApiKey(command), app.vault.instance_key().clone()))
    })
    .await?;
    Ok(token.text)
}

/// Lists all API keys, the newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list_api_keys(app: &Arc<App>) -> Result<Vec<ListedKey>, OperatorError> {
    let sql = "SELECT key_id, name, scopes, created_at, expires_at, revoked_at FROM api_keys \
               ORDER BY created_at DESC, key_id DESC";
    let rows = app.database.read(sql, &[]).await.map_err(Problem::from)?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in &rows {
        let read = || -> Result<ListedKey, Problem> {
            let scopes: String = row.get("scopes")?;
            Ok(ListedKey {
                id: row.get("key_id")?,
                name: row.get("name")?,
                scopes: scopes.split(' ').map(str::to_owned).collect(),
                created_at: row.get("created_at")?,
                expires_at: row.get("expires_at")?,
                revoked_at: row.get("revoked_at")?,
            })
        };
        keys.push(read()?);
    }
    Ok(keys)
}

/// Revokes an API key; revoking it again changes nothing.
///
/// # Errors
/// Says why not.
pub async fn revoke_api_key(app: &Arc<App>, id: &str) -> Result<(), OperatorError> {
    let id = api_key_id(id)?;
    app.execute::<Instance>(&request(app)?, id.into(), None, |_, moment| {
        let command = InstanceCommand::RevokeApiKey(RevokeApiKey { at: moment.at });
        Ok(Plan::new(command, app.vault.instance_key().clone()))
    })
    .await?;
    Ok(())
}

fn api_key_id(text: &str) -> Result<ApiKeyId, OperatorError> {
    text.parse().map_err(|_| OperatorError::Refused(format!("{text:?} is not the id of an API key")))
}

/// Lists all webhooks, the oldest first.
///
/// # Errors
/// When the database does not answer, or an address does not open.
pub async fn list_webhooks(app: &Arc<App>) -> Result<Vec<WebhookView>, OperatorError> {
    Ok(app.list_webhooks().await?)
}

/// The webhooks that an API key registered and that are still there: revoking the key ends none of them.
///
/// # Errors
/// As for [`list_webhooks`], or it is no id of an API key.
pub async fn webhooks_of_api_key(app: &Arc<App>, id: &str) -> Result<Vec<WebhookView>, OperatorError> {
    let id = api_key_id(id)?.to_string();
    let mut webhooks = list_webhooks(app).await?;
    webhooks.retain(|webhook| {
        let by = webhook.registered_by.as_ref();
        by.is_some_and(|by| by.kind == ActorKind::ApiKey.name() && by.id.as_deref() == Some(&*id))
    });
    Ok(webhooks)
}

/// Deletes a webhook, whoever registered it.
///
/// # Errors
/// Says why not.
pub async fn delete_webhook(app: &Arc<App>, id: &str) -> Result<(), OperatorError> {
    let id: WebhookId =
        id.parse().map_err(|_| OperatorError::Refused(format!("{id:?} is not the id of a webhook")))?;
    app.delete_webhook(&request(app)?, id).await?;
    Ok(())
}

/// Takes two-factor away from somebody who lost everything, ends their sessions, and gives the
/// one-time pass that their next enrolment must give.
///
/// # Errors
/// Says why not.
pub async fn reset_two_factor(
    app: &Arc<App>,
    user_id: &str,
    reason: &str,
) -> Result<Zeroizing<String>, OperatorError> {
    let reason = self::reason(reason)?;
    let user_id = self::user_id(user_id)?;
    let pass = DrawnToken::draw(TokenKind::Pass, user_id.as_uuid())?;
    app.execute::<User>(&request(app)?, user_id, None, |loaded, moment| {
        let key = key_of(app, loaded)?;
        let reason = key.seal(Purpose::Reason, "", reason.as_bytes())?;
        let command = ResetTwoFactor { pass: pass.digest.clone(), reason, at: moment.at };
        Ok(Plan::new(UserCommand::ResetTwoFactor(command), key))
    })
    .await?;
    Ok(pass.text)
}

/// What is done with a person's role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleChange {
    /// They have it from now on.
    Grant,
    /// They have it no more.
    Revoke,
}

/// Grants or revokes a role, and says in a sentence what is so now; what is so already changes nothing.
///
/// # Errors
/// Says why not.
pub async fn change_role(
    app: &Arc<App>,
    change: RoleChange,
    user_id: &str,
    role: &str,
) -> Result<String, OperatorError> {
    let unknown = |unknown| OperatorError::Role { given: role.to_owned(), unknown };
    let role: InstallationRole = role.parse().map_err(unknown)?;
    let user_id = self::user_id(user_id)?;
    let done = app
        .execute::<User>(&request(app)?, user_id, None, |loaded, moment| {
            let at = moment.at;
            let command = match change {
                RoleChange::Grant => UserCommand::GrantRole(GrantRole { role, at }),
                RoleChange::Revoke => UserCommand::RevokeRole(RevokeRole { role, at }),
            };
            Ok(Plan::new(command, key_of(app, loaded)?))
        })
        .await?;
    Ok(match (change, done.events.is_empty()) {
        (RoleChange::Grant, false) if done.state.two_factor().is_enabled() => {
            format!("{user_id} has the role {role} from now on; it counts in sessions with a second factor")
        }
        (RoleChange::Grant, false) => {
            format!("{user_id} has the role {role} from now on; it counts for nothing until two-factor is on")
        }
        (RoleChange::Grant, true) => format!("{user_id} has the role {role} already"),
        (RoleChange::Revoke, false) => format!("{user_id} has the role {role} no more"),
        (RoleChange::Revoke, true) => format!("{user_id} does not have the role {role}; nothing was changed"),
    })
}

/// The person's data key; whoever has none is nobody.
fn key_of(app: &App, loaded: &Loaded<User>) -> Result<DataKey, Problem> {
    loaded.data_key(&app.vault).map_err(|error| match error {
        VaultError::KeyGone => Problem::not_found(&format!("user as {}", loaded.id)),
        VaultError::OtherMasterKey { .. } | VaultError::DoesNotOpen { .. } | VaultError::NoEntropy(_) => {
            Problem::from(error)
        }
    })
}

/// From where an erasure removes rows, as nothing else ever does.
const REMOVED_BY_ERASURE: [&str; 3] = [EMAIL_CLAIMS.name, DATA_KEYS.name, LOGIN_CHECK_USERS.name];

/// Erases a person for good.
///
/// # Errors
/// Says why not.
pub async fn erase_user(app: &Arc<App>, user_id: &str) -> Result<Erased, OperatorError> {
    let user_id = self::user_id(user_id)?;
    // Asked first: later the person would be unlinked and not erased.
    let forbidden = app.database.cannot_delete_from(&REMOVED_BY_ERASURE).await.map_err(Problem::from)?;
    if let Some(table) = forbidden {
        return Err(OperatorError::Refused(format!(
            "nothing was changed: the database's role may not delete from {table}; run this as the owner, or grant it \
             (docs/operations.md)"
        )));
    }
    Ok(app.erase_user(&request(app)?, user_id).await?)
}

fn user_id(text: &str) -> Result<UserId, OperatorError> {
    text.parse().map_err(|_| OperatorError::Refused(format!("{text:?} is not the id of a user")))
}

/// A run of the command line, as events name it.
///
/// # Errors
/// [`NoEntropy`].
pub fn request(app: &App) -> Result<Request, NoEntropy> {
    Ok(Request::operator(entropy::id(app.clock.now())?.to_string()))
}

/// Why an operator does something, as it is recorded.
///
/// # Errors
/// It is no line of 1 to 500 characters.
pub fn reason(text: &str) -> Result<String, OperatorError> {
    option("--reason", text, REASON_CHARACTERS_MAX)
}

fn option(name: &str, text: &str, characters_max: usize) -> Result<String, OperatorError> {
    one_line(text, characters_max).ok_or_else(|| {
        OperatorError::Refused(format!("{name} must have 1 to {characters_max} characters, on one line"))
    })
}
