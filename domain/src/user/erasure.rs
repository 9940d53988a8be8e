//! Erasing a person: the account ends for good, and nothing of it is kept but that it was erased.
//!
//! Events stay, as the ledger proves them. What is sealed in them was sealed under the person's
//! data key, which goes with the append of the one event that this brings about.

use crate::Timestamp;
use crate::user::{User, UserEvent, UserRefusal};

/// Erasing a person.
#[derive(Clone, Debug)]
pub struct EraseUser {
    /// Whether the person is linked to an agreement that is open. Looked up in the same moment.
    pub is_linked: bool,
    /// Now.
    pub at: Timestamp,
}

impl User {
    /// When the person was erased, if they were.
    #[must_use]
    pub const fn erased_at(&self) -> Option<Timestamp> {
        self.erased_at
    }

    /// Nobody may stay a member who is not there: whoever asks unlinks the person first, where
    /// each agreement can refuse to lose its last superuser.
    pub(super) fn erase(&self, command: &EraseUser) -> Result<Vec<UserEvent>, UserRefusal> {
        if let Some(at) = self.erased_at {
            return Err(UserRefusal::AlreadyErased { at });
        }
        self.registered()?;
        if command.is_linked {
            return Err(UserRefusal::StillLinked);
        }
        Ok(vec![UserEvent::UserErased { at: command.at }])
    }

    /// Everything goes that an account holds, and what it may come to hold later.
    pub(super) fn apply_erasure(&mut self, event: &UserEvent) {
        if let UserEvent::UserErased { at } = event {
            *self = Self { erased_at: Some(*at), ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use crate::user::command::Register;
    use crate::user::enrolment::{ConfirmEnrolment, Starter};
    use crate::user::session::EndSessions;
    use crate::user::sign_in::{SignIn, SignInAttempt, VerifySecondFactor};
    use crate::user::two_factor::ResetTwoFactor;
    use crate::user::{PasswordJudge, UserCommand};

    fn erase(is_linked: bool) -> UserCommand {
        UserCommand::Erase(EraseUser { is_linked, at: at_minute(101) })
    }

    fn erased() -> UserEvent {
        UserEvent::UserErased { at: at_minute(101) }
    }

    /// Somebody with one of everything that an account can hold.
    fn busy_user() -> Vec<UserEvent> {
        let reset =
            UserEvent::TwoFactorReset { pass: token_digest(5), reason: sealed("lost"), at: at_minute(0) };
        let demanded = UserEvent::EnrolmentDemanded {
            token: token_digest(3),
            agreement_id: None,
            password_judged_by: PasswordJudge::Countersign,
            required_by: vec![agreement_id(1)],
            deadline: None,
            expires_at: at_minute(110),
            at: at_minute(100),
        };
        let more = [
            reset,
            authenticator_added(2, ENROLMENT_STEP, 0),
            UserEvent::TwoFactorEnabled { at: at_minute(0) },
            demanded,
            enrolment_started_by(3, Starter::EnrolmentToken(token_digest(3))),
            challenged(1, PasswordJudge::Countersign),
            session_started(1, 100, Some(at_minute(100))),
            UserEvent::PasswordFailed { unrecorded: 0, at: at_minute(100) },
            failed_code(crate::user::FailureReason::Wrong, 100),
            UserEvent::RoleGranted { role: crate::user::InstallationRole::Operator, at: at_minute(100) },
        ];
        enrolled_user().into_iter().chain(more).collect()
    }

    #[test]
    fn s14_an_erased_person_keeps_nothing() {
        let after = given(busy_user()).when(erase(false)).then([erased()]);
        let nothing =
            User { erased_at: Some(at_minute(101)), latest_at: Some(at_minute(101)), ..User::default() };
        assert_eq!(after, nothing);
        assert!(after.vault_rows().is_empty(), "the vault's rows go with what named them");
    }

    #[test]
    fn s14_whoever_is_linked_is_unlinked_before_they_are_erased() {
        given(busy_user()).when(erase(true)).refused(&UserRefusal::StillLinked);
    }

    #[test]
    fn s14_a_person_is_erased_once() {
        let again = UserRefusal::AlreadyErased { at: at_minute(101) };
        given(busy_user().into_iter().chain([erased()])).when(erase(false)).refused(&again);
        given([]).when(erase(false)).refused(&UserRefusal::NotRegistered);
    }

    #[test]
    fn s14_tokens_of_an_erased_person_are_good_for_nothing() {
        let after = replay(busy_user().into_iter().chain([erased()]));
        let now = at_minute(101);
        assert_eq!(after.live_session(&token_digest(1), None, &[], now), None);
        assert_eq!(after.unexpired_enrolment_token(&token_digest(3), now), None);
        assert_eq!(after.open_challenge(&token_digest(1), now), None);
    }

    #[test]
    fn s14_nothing_more_happens_to_an_erased_person() {
        let at = at_minute(102);
        let refused = |command, refusal| {
            given(busy_user().into_iter().chain([erased()])).when(command).refused(&refusal);
        };
        let attempt = SignInAttempt {
            challenge: token_digest(8),
            enrolment_token: token_digest(9),
            agreement_id: None,
            required_by: vec![],
            at,
        };
        let sign_in = SignIn { password_id: password_id(1), attempt, session: new_session(7) };
        refused(UserCommand::SignIn(sign_in), UserRefusal::NotRegistered);
        let confirm = ConfirmEnrolment {
            enrolment_id: enrolment_id(3),
            started_by: Starter::EnrolmentToken(token_digest(3)),
            matched_step: Some(40),
            recovery_code_id: recovery_code_id(5),
            session: new_session(7),
            at,
        };
        refused(UserCommand::ConfirmEnrolment(confirm), UserRefusal::NotRegistered);
        let reset = ResetTwoFactor { pass: token_digest(6), reason: sealed("lost"), at };
        refused(UserCommand::ResetTwoFactor(reset), UserRefusal::NotRegistered);
        refused(UserCommand::EndSessions(EndSessions { session_id: None, at }), UserRefusal::NotRegistered);
        let verify = VerifySecondFactor {
            challenge: token_digest(1),
            shown: code_at_step(200),
            session: new_session(7),
            at,
        };
        refused(UserCommand::VerifySecondFactor(verify), UserRefusal::ChallengeExpired);
        let register = Register {
            user_id: user_id(1),
            email: sealed("e-mail"),
            display_name: sealed("name"),
            password_id: None,
            at,
        };
        refused(UserCommand::Register(register), UserRefusal::AlreadyRegistered);
    }

    /// A snapshot of somebody who is there reads as before there was anything to say of erasures.
    #[test]
    fn the_snapshot_says_of_an_erasure_only_where_there_was_one() {
        let spelled = |user: &User| serde_json::to_value(user).unwrap().get("erased_at").is_some();
        let before = replay(busy_user());
        assert!(!spelled(&before));
        let read: User = serde_json::from_value(serde_json::to_value(&before).unwrap()).unwrap();
        assert_eq!(read, before);
        assert!(spelled(&replay(busy_user().into_iter().chain([erased()]))));
    }
}
