//! Stepping up: before an account's security changes, its owner proves to be there.
//!
//! The password, and once two-factor is on a second factor too; or a session that passed the
//! second factor a moment ago.

use chrono::TimeDelta;

use crate::Timestamp;
use crate::ids::{PasswordId, SessionId};
use crate::user::judging::{Judged, Shown, Spent};
use crate::user::{User, UserEvent, UserRefusal};

/// How long a session's second factor stands for a proof.
pub const FRESH_SECOND_FACTOR: TimeDelta = TimeDelta::minutes(10);
/// So many wrong passwords are recorded one by one in an hour; the rest as a count in the next.
pub const PASSWORD_FAILURES_RECORDED_PER_HOUR: usize = 20;

/// What was shown to prove that the owner is there.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Who asks.
    pub asked_by: Asker,
    /// The password, judged already: hashing is slow, so it is done before the command.
    pub password: PasswordShown,
    /// The second factor.
    pub second_factor: Option<Shown>,
}

/// Who asks for a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asker {
    /// The person, in this session.
    Session(SessionId),
    /// An application on the person's behalf. It need not give a password of somebody who has none.
    Application,
}

/// What was shown as the password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PasswordShown {
    /// Nothing.
    Nothing,
    /// The right one: the hash of this id matched.
    Right(PasswordId),
    /// A wrong one; so many more were not recorded since the last that was.
    Wrong {
        /// Wrong passwords given since, beyond what is recorded in an hour.
        unrecorded: u64,
    },
}

pub(super) enum Proven {
    Passed(Spent),
    /// With what is recorded of it; nothing where enough is on record.
    Failed(Vec<UserEvent>),
}

/// A wrong password at sign-in.
#[derive(Clone, Debug)]
pub struct RecordPasswordFailure {
    /// Wrong passwords given since the last recorded one.
    pub unrecorded: u64,
    /// Now.
    pub at: Timestamp,
}

/// Proving to be there for something outside this account, such as a change of enforcement.
#[derive(Clone, Debug)]
pub struct ProvePresence {
    /// What the person showed.
    pub proof: Proof,
    /// Now.
    pub at: Timestamp,
}

impl User {
    /// The password is judged first: after a wrong one no code is judged, and none is spent.
    pub(super) fn prove(&self, proof: &Proof, at: Timestamp) -> Result<Proven, UserRefusal> {
        if self.passed_second_factor_recently(proof.asked_by, at) {
            return Ok(Proven::Passed(Spent::default()));
        }
        match proof.password {
            PasswordShown::Nothing if self.password.is_none() && proof.asked_by == Asker::Application => {}
            PasswordShown::Nothing => return Err(UserRefusal::StepUpRequired),
            PasswordShown::Right(judged) if self.password != Some(judged) => {
                return Err(UserRefusal::PasswordChanged);
            }
            PasswordShown::Right(_) => {}
            PasswordShown::Wrong { unrecorded } => {
                return self
                    .record_password_failure(&RecordPasswordFailure { unrecorded, at })
                    .map(Proven::Failed);
            }
        }
        if !self.two_factor.is_enabled() {
            return Ok(Proven::Passed(Spent::default()));
        }
        let shown = proof.second_factor.as_ref().ok_or(UserRefusal::StepUpRequired)?;
        Ok(match self.two_factor.judge(shown, at)? {
            Judged::Passed(spent, _) => Proven::Passed(spent),
            Judged::Failed(events) => Proven::Failed(events),
        })
    }

    /// Whether this asker need show nothing, since the session passed a second factor a moment ago.
    #[must_use]
    pub fn passed_second_factor_recently(&self, asker: Asker, at: Timestamp) -> bool {
        let Asker::Session(session_id) = asker else { return false };
        self.second_factor_is_fresh_in(session_id, at)
    }

    /// Whether a session passed the second factor so lately that it stands for a proof.
    #[must_use]
    pub fn second_factor_is_fresh_in(&self, session_id: SessionId, at: Timestamp) -> bool {
        self.two_factor.is_enabled()
            && self
                .sessions
                .iter()
                .find(|session| session.id == session_id)
                .and_then(|session| session.second_factor_at)
                .is_some_and(|passed_at| at < passed_at + FRESH_SECOND_FACTOR)
    }

    pub(super) fn prove_presence(&self, command: &ProvePresence) -> Result<Vec<UserEvent>, UserRefusal> {
        self.registered()?;
        Ok(match self.prove(&command.proof, command.at)? {
            Proven::Passed(spent) => spent.then([]),
            Proven::Failed(events) => events,
        })
    }

    /// An outsider can give wrong passwords without end, so only so many an hour become events.
    pub(super) fn record_password_failure(
        &self,
        command: &RecordPasswordFailure,
    ) -> Result<Vec<UserEvent>, UserRefusal> {
        self.registered()?;
        let hour_ago = command.at - TimeDelta::hours(1);
        let recorded = self.password_failures.iter().filter(|failed_at| **failed_at > hour_ago).count();
        if recorded >= PASSWORD_FAILURES_RECORDED_PER_HOUR {
            return Ok(Vec::new());
        }
        Ok(vec![UserEvent::PasswordFailed { unrecorded: command.unrecorded, at: command.at }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use crate::user::UserCommand;

    fn prove(proof: Proof) -> UserCommand {
        UserCommand::ProvePresence(ProvePresence { proof, at: at_minute(100) })
    }

    #[test]
    fn s09_nothing_shown_asks_for_it() {
        given(enrolled_user()).when(prove(empty_proof())).refused(&UserRefusal::StepUpRequired);
    }

    #[test]
    fn s09_the_password_alone_does_once_two_factor_is_off() {
        given(registered_user()).when(prove(proof_with_password())).then([]);
        given(enrolled_user()).when(prove(proof_with_password())).refused(&UserRefusal::StepUpRequired);
    }

    #[test]
    fn s09_after_a_wrong_password_no_code_is_judged() {
        let proof = Proof {
            password: PasswordShown::Wrong { unrecorded: 3 },
            second_factor: Some(code_at_step(200)),
            ..empty_proof()
        };
        given(enrolled_user())
            .when(prove(proof))
            .then([UserEvent::PasswordFailed { unrecorded: 3, at: at_minute(100) }]);
    }

    #[test]
    fn s09_a_fresh_second_factor_suffices_for_ten_minutes() {
        let fresh = enrolled_user().into_iter().chain([session_with_second_factor(91)]);
        given(fresh).when(prove(empty_proof())).then([]);
        let stale = enrolled_user().into_iter().chain([session_with_second_factor(90)]);
        given(stale).when(prove(empty_proof())).refused(&UserRefusal::StepUpRequired);
    }

    #[test]
    fn s09_an_application_need_not_give_a_password_that_does_not_exist() {
        let proof = Proof { asked_by: Asker::Application, ..empty_proof() };
        given([user_registered()]).when(prove(proof.clone())).then([]);
        given(registered_user()).when(prove(proof)).refused(&UserRefusal::StepUpRequired);
    }

    #[test]
    fn a_password_judged_against_an_old_hash_is_judged_again() {
        let proof = Proof { password: PasswordShown::Right(password_id(9)), ..empty_proof() };
        given(registered_user()).when(prove(proof)).refused(&UserRefusal::PasswordChanged);
    }

    #[test]
    fn s05_at_most_twenty_wrong_passwords_an_hour_are_recorded() {
        let failures =
            (0..20).map(|minute| UserEvent::PasswordFailed { unrecorded: 0, at: at_minute(minute) });
        let command = |minute| {
            UserCommand::RecordPasswordFailure(RecordPasswordFailure { unrecorded: 7, at: at_minute(minute) })
        };
        given(registered_user().into_iter().chain(failures.clone())).when(command(59)).then([]);
        given(registered_user().into_iter().chain(failures))
            .when(command(60))
            .then([UserEvent::PasswordFailed { unrecorded: 7, at: at_minute(60) }]);
    }
}
