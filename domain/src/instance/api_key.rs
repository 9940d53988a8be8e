//! API keys: what an application shows to be let in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::ApiKeyId;
use crate::instance::{Instance, InstanceEvent, InstanceRefusal};
use crate::sealed::TokenDigest;

/// An API key of an application.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What the operator calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The digest of its token.
    pub token: TokenDigest,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What an API key may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "a scope's name says what it allows")]
pub enum Scope {
    #[serde(rename = "users:read")]
    UsersRead,
    #[serde(rename = "users:write")]
    UsersWrite,
    #[serde(rename = "agreements:read")]
    AgreementsRead,
    #[serde(rename = "agreements:write")]
    AgreementsWrite,
    #[serde(rename = "login")]
    Login,
    #[serde(rename = "audit:read")]
    AuditRead,
    #[serde(rename = "webhooks:write")]
    WebhooksWrite,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 7] = [
        Self::UsersRead,
        Self::UsersWrite,
        Self::AgreementsRead,
        Self::AgreementsWrite,
        Self::Login,
        Self::AuditRead,
        Self::WebhooksWrite,
    ];

    /// The name by which it is given and stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::AgreementsRead => "agreements:read",
            Self::AgreementsWrite => "agreements:write",
            Self::Login => "login",
            Self::AuditRead => "audit:read",
            Self::WebhooksWrite => "webhooks:write",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or(UnknownScope)
    }
}

/// There is no such scope.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the scopes are users:read, users:write, agreements:read, agreements:write, login, audit:read, webhooks:write"
)]
pub struct UnknownScope;

/// Issuing an API key.
#[derive(Clone, Debug)]
pub struct IssueApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What the operator calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The digest of its token.
    pub token: TokenDigest,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Now.
    pub at: Timestamp,
}

/// Revoking it. Revoking twice is one revocation.
#[derive(Clone, Debug)]
pub struct RevokeApiKey {
    /// Now.
    pub at: Timestamp,
}

impl Instance {
    pub(super) fn issue_api_key(&self, command: IssueApiKey) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        if self.api_key.is_some() {
            return Err(InstanceRefusal::AlreadyIssued);
        }
        let IssueApiKey { id, name, scopes, token, expires_at, at } = command;
        Ok(vec![InstanceEvent::ApiKeyIssued { id, name, scopes, token, expires_at, at }])
    }

    pub(super) fn revoke_api_key(
        &self,
        command: &RevokeApiKey,
    ) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        let key = self.api_key.as_ref().ok_or(InstanceRefusal::NotIssued)?;
        let revoked = InstanceEvent::ApiKeyRevoked { id: key.id, name: key.name.clone(), at: command.at };
        Ok(if key.revoked_at.is_some() { Vec::new() } else { vec![revoked] })
    }

    pub(super) fn apply_to_api_key(&mut self, event: &InstanceEvent) {
        if let InstanceEvent::ApiKeyIssued { id, name, scopes, token, expires_at, at } = event {
            self.api_key = Some(ApiKey {
                id: *id,
                name: name.clone(),
                scopes: scopes.clone(),
                token: token.clone(),
                issued_at: *at,
                expires_at: *expires_at,
                revoked_at: None,
            });
        }
        if let (InstanceEvent::ApiKeyRevoked { at, .. }, Some(key)) = (event, &mut self.api_key) {
            key.revoked_at = Some(*at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::InstanceCommand;
    use crate::testing::*;

    fn issue(number: u128, minute: i64) -> InstanceCommand {
        InstanceCommand::IssueApiKey(IssueApiKey {
            id: api_key_id(number),
            name: "webshop".to_owned(),
            scopes: vec![Scope::Login, Scope::UsersRead],
            token: token_digest(number),
            expires_at: Some(at_minute(500)),
            at: at_minute(minute),
        })
    }

    fn issued() -> InstanceEvent {
        InstanceEvent::ApiKeyIssued {
            id: api_key_id(1),
            name: "webshop".to_owned(),
            scopes: vec![Scope::Login, Scope::UsersRead],
            token: token_digest(1),
            expires_at: Some(at_minute(500)),
            at: at_minute(0),
        }
    }

    fn revoke(minute: i64) -> InstanceCommand {
        InstanceCommand::RevokeApiKey(RevokeApiKey { at: at_minute(minute) })
    }

    fn revoked(minute: i64) -> InstanceEvent {
        InstanceEvent::ApiKeyRevoked { id: api_key_id(1), name: "webshop".to_owned(), at: at_minute(minute) }
    }

    #[test]
    fn a_key_is_issued_as_it_was_asked_for() {
        let after = given_instance([]).when(issue(1, 0)).then([issued()]);
        let expected = ApiKey {
            id: api_key_id(1),
            name: "webshop".to_owned(),
            scopes: vec![Scope::Login, Scope::UsersRead],
            token: token_digest(1),
            issued_at: at_minute(0),
            expires_at: Some(at_minute(500)),
            revoked_at: None,
        };
        assert_eq!(after.api_key(), Some(&expected));
        assert_eq!(after.latest_at(), Some(at_minute(0)));
    }

    #[test]
    fn a_key_is_issued_once() {
        given_instance([issued()]).when(issue(1, 5)).refused(&InstanceRefusal::AlreadyIssued);
        given_instance([issued()]).when(issue(2, 5)).refused(&InstanceRefusal::AlreadyIssued);
    }

    #[test]
    fn a_key_is_revoked() {
        let after = given_instance([issued()]).when(revoke(10)).then([revoked(10)]);
        assert_eq!(after.api_key().unwrap().revoked_at, Some(at_minute(10)));
        assert_eq!(after.latest_at(), Some(at_minute(10)));
    }

    #[test]
    fn revoking_twice_is_one_revocation() {
        let after = given_instance([issued(), revoked(10)]).when(revoke(20)).then([]);
        assert_eq!(after.api_key().unwrap().revoked_at, Some(at_minute(10)));
    }

    #[test]
    fn a_key_that_never_was_is_not_revoked() {
        given_instance([]).when(revoke(10)).refused(&InstanceRefusal::NotIssued);
    }

    #[test]
    fn a_revoked_key_is_not_issued_anew() {
        given_instance([issued(), revoked(10)]).when(issue(1, 20)).refused(&InstanceRefusal::AlreadyIssued);
    }

    #[test]
    fn a_scope_reads_as_it_is_named_and_nothing_else_is_one() {
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.name());
        }
        for other in ["", "login ", "Login", "users", "users:*"] {
            assert_eq!(other.parse::<Scope>(), Err(UnknownScope), "{other}");
        }
    }
}
