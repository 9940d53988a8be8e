//! What can be asked of a user.

use crate::Timestamp;
use crate::ids::{PasswordId, UserId};
use crate::sealed::Sealed;
use crate::user::enrolment::{ConfirmEnrolment, StartEnrolment};
use crate::user::erasure::EraseUser;
use crate::user::password::{ChangePassword, SetFirstPassword};
use crate::user::proof::{ProvePresence, RecordPasswordFailure};
use crate::user::role::{GrantRole, RevokeRole};
use crate::user::session::EndSessions;
use crate::user::sign_in::{OpenChallenge, SignIn, VerifySecondFactor};
use crate::user::two_factor::{
    DisableTwoFactor, IssueRecoveryCode, RemoveAuthenticator, ResetTwoFactor, SaveRecoveryCode,
};
use crate::user::{User, UserEvent, UserRefusal};

/// What can be asked of a user.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each variant holds the command of its name, documented there")]
pub enum UserCommand {
    Register(Register),
    SetFirstPassword(SetFirstPassword),
    ChangePassword(ChangePassword),
    RecordPasswordFailure(RecordPasswordFailure),
    SignIn(SignIn),
    OpenChallenge(OpenChallenge),
    VerifySecondFactor(VerifySecondFactor),
    ProvePresence(ProvePresence),
    StartEnrolment(StartEnrolment),
    ConfirmEnrolment(ConfirmEnrolment),
    SaveRecoveryCode(SaveRecoveryCode),
    IssueRecoveryCode(IssueRecoveryCode),
    RemoveAuthenticator(RemoveAuthenticator),
    DisableTwoFactor(DisableTwoFactor),
    ResetTwoFactor(ResetTwoFactor),
    EndSessions(EndSessions),
    GrantRole(GrantRole),
    RevokeRole(RevokeRole),
    Erase(EraseUser),
}

/// Opening an account.
#[derive(Clone, Debug)]
pub struct Register {
    /// Its id.
    pub user_id: UserId,
    /// The e-mail address; that nobody else has it is claimed in the same append.
    pub email: Sealed,
    /// How the person is called.
    pub display_name: Sealed,
    /// Names the vault row of the password's hash, if there is a password.
    pub password_id: Option<PasswordId>,
    /// Now.
    pub at: Timestamp,
}

impl User {
    /// Decides what a command brings about. It changes nothing: the events do, once applied.
    ///
    /// # Errors
    /// A [`UserRefusal`] says why nothing happens.
    pub fn decide(&self, command: UserCommand) -> Result<Vec<UserEvent>, UserRefusal> {
        match command {
            UserCommand::Register(command) => self.register(command),
            UserCommand::SetFirstPassword(command) => self.set_first_password(&command),
            UserCommand::ChangePassword(command) => self.change_password(&command),
            UserCommand::RecordPasswordFailure(command) => self.record_password_failure(&command),
            UserCommand::SignIn(command) => self.sign_in(&command),
            UserCommand::OpenChallenge(command) => self.open_challenge_for_application(&command),
            UserCommand::VerifySecondFactor(command) => self.verify_second_factor(&command),
            UserCommand::ProvePresence(command) => self.prove_presence(&command),
            UserCommand::StartEnrolment(command) => self.start_enrolment(command),
            UserCommand::ConfirmEnrolment(command) => self.confirm_enrolment(&command),
            UserCommand::SaveRecoveryCode(command) => self.save_recovery_code(&command),
            UserCommand::IssueRecoveryCode(command) => self.issue_recovery_code(&command),
            UserCommand::RemoveAuthenticator(command) => self.remove_authenticator(&command),
            UserCommand::DisableTwoFactor(command) => self.disable_two_factor(&command),
            UserCommand::ResetTwoFactor(command) => self.reset_two_factor(&command),
            UserCommand::EndSessions(command) => self.end_sessions_as_told(&command),
            UserCommand::GrantRole(command) => self.grant_role(&command),
            UserCommand::RevokeRole(command) => self.revoke_role(&command),
            UserCommand::Erase(command) => self.erase(&command),
        }
    }

    fn register(&self, command: Register) -> Result<Vec<UserEvent>, UserRefusal> {
        // Whose id it was stays on record: it never becomes somebody else's.
        if self.profile.is_some() || self.erased_at.is_some() {
            return Err(UserRefusal::AlreadyRegistered);
        }
        let at = command.at;
        let registered = UserEvent::UserRegistered {
            user_id: command.user_id,
            email: command.email,
            display_name: command.display_name,
            at,
        };
        let password = command.password_id.map(|password_id| UserEvent::PasswordSet { password_id, at });
        Ok(std::iter::once(registered).chain(password).collect())
    }
}
