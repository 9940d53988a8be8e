//! Roles in the installation: who reads the whole trail, and who administers people and agreements.
//!
//! Only the operator's command line grants them. A role stands for scopes as an API key has them, and
//! counts only in a session that has passed the second factor of somebody who still has one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::SessionId;
use crate::instance::Scope;
use crate::user::{User, UserEvent, UserRefusal};

/// What a person may do in the whole installation, beside what they may as a member of agreements.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstallationRole {
    /// Reads the whole audit trail.
    Auditor,
    /// Reads and changes accounts and agreements.
    Operator,
}

impl InstallationRole {
    /// Every role there is.
    pub const ALL: [Self; 2] = [Self::Auditor, Self::Operator];

    /// The name by which it is given and stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }

    /// What it stands for.
    #[must_use]
    pub const fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Auditor => &[Scope::AuditRead],
            Self::Operator => {
                &[Scope::UsersRead, Scope::UsersWrite, Scope::AgreementsRead, Scope::AgreementsWrite]
            }
        }
    }
}

impl fmt::Display for InstallationRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for InstallationRole {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(UnknownRole)
    }
}

/// There is no such role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the roles are auditor, operator")]
pub struct UnknownRole;

/// Giving a person a role. Granting it twice is one grant.
#[derive(Clone, Debug)]
pub struct GrantRole {
    /// Which one.
    pub role: InstallationRole,
    /// Now.
    pub at: Timestamp,
}

/// Taking it away. Revoking it twice is one revocation.
#[derive(Clone, Debug)]
pub struct RevokeRole {
    /// Which one.
    pub role: InstallationRole,
    /// Now.
    pub at: Timestamp,
}

impl User {
    /// The roles that the person has, whether they count at the moment or not.
    #[must_use]
    pub fn roles(&self) -> &[InstallationRole] {
        &self.roles
    }

    /// The roles that count in a session: none unless it has passed a second factor, and the person still
    /// has two-factor.
    #[must_use]
    pub fn roles_in(&self, session_id: SessionId) -> &[InstallationRole] {
        let mut sessions = self.sessions.iter().filter(|session| session.id == session_id);
        let passed = sessions.any(|session| session.second_factor_at.is_some());
        if passed && self.two_factor.is_enabled() { &self.roles } else { &[] }
    }

    pub(super) fn grant_role(&self, command: &GrantRole) -> Result<Vec<UserEvent>, UserRefusal> {
        self.registered()?;
        let GrantRole { role, at } = *command;
        if self.roles.contains(&role) {
            return Ok(Vec::new());
        }
        Ok(vec![UserEvent::RoleGranted { role, at }])
    }

    pub(super) fn revoke_role(&self, command: &RevokeRole) -> Result<Vec<UserEvent>, UserRefusal> {
        self.registered()?;
        let RevokeRole { role, at } = *command;
        if !self.roles.contains(&role) {
            return Ok(Vec::new());
        }
        Ok(vec![UserEvent::RoleRevoked { role, at }])
    }

    pub(super) fn apply_to_roles(&mut self, event: &UserEvent) {
        if let UserEvent::RoleGranted { role, .. } = event {
            self.roles.push(*role);
            self.roles.sort_unstable();
            self.roles.dedup();
        }
        if let UserEvent::RoleRevoked { role, .. } = event {
            self.roles.retain(|other| other != role);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::InstallationRole::{Auditor, Operator};
    use super::*;
    use crate::testing::*;
    use crate::user::UserCommand;

    fn granted(role: InstallationRole) -> UserEvent {
        UserEvent::RoleGranted { role, at: at_minute(100) }
    }

    fn revoked(role: InstallationRole) -> UserEvent {
        UserEvent::RoleRevoked { role, at: at_minute(100) }
    }

    fn grant(role: InstallationRole) -> UserCommand {
        UserCommand::GrantRole(GrantRole { role, at: at_minute(100) })
    }

    fn revoke(role: InstallationRole) -> UserCommand {
        UserCommand::RevokeRole(RevokeRole { role, at: at_minute(100) })
    }

    fn enrolled_with(events: impl IntoIterator<Item = UserEvent>) -> Vec<UserEvent> {
        enrolled_user().into_iter().chain(events).collect()
    }

    #[test]
    fn a_role_is_granted_once_and_revoked_once() {
        let after = given([user_registered()]).when(grant(Operator)).then([granted(Operator)]);
        assert_eq!(after.roles(), [Operator]);
        given([user_registered(), granted(Operator)]).when(grant(Operator)).then([]);
        let after = given([user_registered(), granted(Operator)]).when(revoke(Operator));
        assert_eq!(after.then([revoked(Operator)]).roles(), []);
        given([user_registered()]).when(revoke(Operator)).then([]);
    }

    #[test]
    fn one_role_says_nothing_of_the_other() {
        let both = [user_registered(), granted(Operator), granted(Auditor)];
        assert_eq!(replay(both.clone()).roles(), [Auditor, Operator]);
        let after = given(both).when(revoke(Operator)).then([revoked(Operator)]);
        assert_eq!(after.roles(), [Auditor]);
        given([user_registered(), granted(Operator)]).when(revoke(Auditor)).then([]);
    }

    #[test]
    fn nobody_unknown_or_erased_has_a_role() {
        let erased = [user_registered(), granted(Operator), UserEvent::UserErased { at: at_minute(100) }];
        for command in [grant(Auditor), revoke(Operator)] {
            given([]).when(command.clone()).refused(&UserRefusal::NotRegistered);
            given(erased.clone()).when(command).refused(&UserRefusal::NotRegistered);
        }
        assert_eq!(replay(erased).roles(), []);
    }

    #[test]
    fn s26_a_role_counts_only_in_a_session_with_a_second_factor() {
        let with = replay(enrolled_with([session_started(1, 100, Some(at_minute(100))), granted(Auditor)]));
        assert_eq!(with.roles_in(session_id(1)), [Auditor]);
        assert_eq!(with.roles_in(session_id(2)), [], "no session of theirs");
        let without = replay(enrolled_with([session_started(1, 100, None), granted(Auditor)]));
        assert_eq!(without.roles_in(session_id(1)), []);
        let revoked = replay(enrolled_with([
            session_started(1, 100, Some(at_minute(100))),
            granted(Auditor),
            revoked(Auditor),
        ]));
        assert_eq!(revoked.roles_in(session_id(1)), []);
    }

    #[test]
    fn s26_a_role_counts_no_more_once_two_factor_is_off() {
        let passed = session_started(1, 100, Some(at_minute(100)));
        let off = UserEvent::TwoFactorDisabled { at: at_minute(101) };
        let user = replay(enrolled_with([passed.clone(), granted(Auditor), off.clone()]));
        assert_eq!(user.roles_in(session_id(1)), []);
        assert_eq!(user.roles(), [Auditor], "it is theirs all the same");
        // The session began with a factor that is no more; another one does not bring it back.
        let on_again = UserEvent::TwoFactorEnabled { at: at_minute(102) };
        let user = replay(enrolled_with([passed, granted(Auditor), off, on_again]));
        assert_eq!(user.roles_in(session_id(1)), []);
    }

    #[test]
    fn the_error_for_an_unknown_role_lists_them_all() {
        let told = "admin".parse::<InstallationRole>().unwrap_err().to_string();
        for role in InstallationRole::ALL {
            assert!(told.contains(role.name()), "{told}");
            assert_eq!(role.name().parse(), Ok(role));
        }
    }

    /// A snapshot of somebody without a role reads as before there were any.
    #[test]
    fn the_snapshot_says_of_roles_only_where_there_are_some() {
        let spelled = |user: &User| serde_json::to_value(user).unwrap().get("roles").cloned();
        assert_eq!(spelled(&replay([user_registered()])), None);
        let operator = replay([user_registered(), granted(Operator)]);
        assert_eq!(spelled(&operator), Some(serde_json::json!(["operator"])));
        let read: User = serde_json::from_value(serde_json::to_value(&operator).unwrap()).unwrap();
        assert_eq!(read, operator);
    }
}
