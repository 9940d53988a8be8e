//! The password, of which the domain knows only which vault row holds its hash.

use crate::Timestamp;
use crate::ids::{PasswordId, SessionId};
use crate::user::proof::{Proof, Proven};
use crate::user::{SessionEndReason, User, UserEvent, UserRefusal};

/// A first password, set by an application for a person who has none.
#[derive(Clone, Debug)]
pub struct SetFirstPassword {
    /// Names the vault row of its hash.
    pub password_id: PasswordId,
    /// Now.
    pub at: Timestamp,
}

/// A new password in place of the old one. Every other session ends.
#[derive(Clone, Debug)]
pub struct ChangePassword {
    /// Names the vault row of its hash.
    pub password_id: PasswordId,
    /// What the person showed, the old password among it.
    pub proof: Proof,
    /// The session that asks, which goes on.
    pub session_id: SessionId,
    /// Now.
    pub at: Timestamp,
}

impl User {
    pub(super) fn set_first_password(
        &self,
        command: &SetFirstPassword,
    ) -> Result<Vec<UserEvent>, UserRefusal> {
        self.registered()?;
        match self.password {
            None => Ok(vec![UserEvent::PasswordSet { password_id: command.password_id, at: command.at }]),
            Some(_) => Err(UserRefusal::PasswordAlreadySet),
        }
    }

    pub(super) fn change_password(&self, command: &ChangePassword) -> Result<Vec<UserEvent>, UserRefusal> {
        self.registered()?;
        let at = command.at;
        let others = self.end_sessions(
            |session| session.id != command.session_id,
            SessionEndReason::PasswordChanged,
            at,
        );
        Ok(match self.prove(&command.proof, at)? {
            Proven::Failed(events) => events,
            Proven::Passed(spent) => spent.then(
                std::iter::once(UserEvent::PasswordSet { password_id: command.password_id, at })
                    .chain(others),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use crate::user::UserCommand;

    #[test]
    fn a_first_password_is_set_once() {
        let set = || {
            UserCommand::SetFirstPassword(SetFirstPassword { password_id: password_id(2), at: at_minute(1) })
        };
        let event = UserEvent::PasswordSet { password_id: password_id(2), at: at_minute(1) };
        given([user_registered()]).when(set()).then([event]);
        given(registered_user()).when(set()).refused(&UserRefusal::PasswordAlreadySet);
    }

    #[test]
    fn a_new_password_ends_the_other_sessions_and_every_pending_enrolment() {
        let events = registered_user().into_iter().chain([
            session_started(1, 50, None),
            session_started(2, 50, None),
            enrolment_started(1, false),
        ]);
        let change = UserCommand::ChangePassword(ChangePassword {
            password_id: password_id(2),
            proof: proof_with_password(),
            session_id: session_id(1),
            at: at_minute(60),
        });
        let after = given(events).when(change).then([
            UserEvent::PasswordSet { password_id: password_id(2), at: at_minute(60) },
            UserEvent::SessionEnded {
                session_id: session_id(2),
                reason: SessionEndReason::PasswordChanged,
                at: at_minute(60),
            },
        ]);
        assert_eq!(
            after.pending_enrolment(enrolment_id(1), &starter(), at_minute(1)),
            Err(UserRefusal::EnrolmentExpired)
        );
    }
}
