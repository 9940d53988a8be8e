//! Signing in: the password, then the challenge, then the second factor.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::{AgreementId, PasswordId};
use crate::requirement::{Requirement, Standing, earliest_deadline, standing};
use crate::sealed::TokenDigest;
use crate::user::judging::{Judged, Shown};
use crate::user::session::NewSession;
use crate::user::{LoginMethod, PasswordJudge, User, UserEvent, UserRefusal};

/// How long a login challenge lives.
pub const CHALLENGE_LIFETIME: TimeDelta = TimeDelta::minutes(5);
/// A person can have so many open; beyond it the oldest gives way.
pub const CHALLENGES_MAX: usize = 32;

/// The second step of one sign-in. It authorises nothing but giving the second factor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Challenge {
    /// The digest of its id, which is a secret.
    pub digest: TokenDigest,
    /// The agreement that the sign-in is attributed to.
    pub agreement_id: Option<AgreementId>,
    /// Who judged the password: without us there is no session to give.
    pub password_judged_by: PasswordJudge,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A sign-in whose password was right.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The hash that matched.
    pub password_id: PasswordId,
    /// What is common to both ways of signing in.
    pub attempt: SignInAttempt,
    /// The session, if no second step is needed.
    pub session: NewSession,
}

/// A sign-in at an application that judges passwords itself.
#[derive(Clone, Debug)]
pub struct OpenChallenge {
    /// What is common to both ways of signing in.
    pub attempt: SignInAttempt,
}

/// What the edge has drawn and looked up for a sign-in.
#[derive(Clone, Debug)]
pub struct SignInAttempt {
    /// The digest of the challenge's id, if there is to be one.
    pub challenge: TokenDigest,
    /// The digest of the enrolment token, if there is to be one.
    pub enrolment_token: TokenDigest,
    /// The agreement that it is attributed to. It never narrows the requirement.
    pub agreement_id: Option<AgreementId>,
    /// Looked up in the same moment.
    pub required_by: Vec<Requirement>,
    /// Now.
    pub at: Timestamp,
}

/// The second step.
#[derive(Clone, Debug)]
pub struct VerifySecondFactor {
    /// The digest of the challenge's id.
    pub challenge: TokenDigest,
    /// What the person showed.
    pub shown: Shown,
    /// The session, if it passes.
    pub session: NewSession,
    /// Now.
    pub at: Timestamp,
}

impl User {
    /// The challenge with this digest, if it is open.
    #[must_use]
    pub fn open_challenge(&self, digest: &TokenDigest, at: Timestamp) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.digest == *digest && at < challenge.expires_at)
    }

    pub(super) fn sign_in(&self, command: &SignIn) -> Result<Vec<UserEvent>, UserRefusal> {
        self.registered()?;
        if self.password != Some(command.password_id) {
            return Err(UserRefusal::PasswordChanged);
        }
        let attempt = &command.attempt;
        if self.two_factor.is_enabled() {
            return Ok(vec![attempt.challenged(PasswordJudge::Countersign)]);
        }
        let mut events = match standing(&attempt.required_by, attempt.at) {
            Standing::Due => return Ok(vec![attempt.enrolment_demanded(PasswordJudge::Countersign)]),
            Standing::RequiredBy(_) => vec![attempt.enrolment_demanded(PasswordJudge::Countersign)],
            Standing::NotRequired => Vec::new(),
        };
        events.push(UserEvent::LoginSucceeded {
            challenge: None,
            agreement_id: attempt.agreement_id,
            method: LoginMethod::Password,
            at: attempt.at,
        });
        events.extend(self.start_session(&command.session, attempt.agreement_id, None, attempt.at));
        Ok(events)
    }

    pub(super) fn open_challenge_for_application(
        &self,
        command: &OpenChallenge,
    ) -> Result<Vec<UserEvent>, UserRefusal> {
        self.registered()?;
        let attempt = &command.attempt;
        if self.two_factor.is_enabled() {
            return Ok(vec![attempt.challenged(PasswordJudge::Application)]);
        }
        match standing(&attempt.required_by, attempt.at) {
            Standing::Due => Ok(vec![attempt.enrolment_demanded(PasswordJudge::Application)]),
            Standing::RequiredBy(_) | Standing::NotRequired => Err(UserRefusal::TwoFactorNotEnabled),
        }
    }

    /// A wrong code leaves the challenge open; the right one spends it.
    pub(super) fn verify_second_factor(
        &self,
        command: &VerifySecondFactor,
    ) -> Result<Vec<UserEvent>, UserRefusal> {
        let at = command.at;
        let two_factor = self.enabled_two_factor().map_err(|_| UserRefusal::ChallengeExpired)?;
        let Some(challenge) = self.open_challenge(&command.challenge, at) else {
            // A lock is told before an ended challenge is: the way on is not a new challenge.
            let until = two_factor.failures(command.shown.factor()).locked_at(at);
            return Err(match until {
                Some(_) => UserRefusal::Locked { until },
                None => UserRefusal::ChallengeExpired,
            });
        };
        let (mut events, method) = match two_factor.judge(&command.shown, at)? {
            Judged::Passed(spent, method) => (spent.then([]), method),
            Judged::Failed(events) => return Ok(events),
        };
        events.push(UserEvent::LoginSucceeded {
            challenge: Some(challenge.digest.clone()),
            agreement_id: challenge.agreement_id,
            method,
            at,
        });
        match challenge.password_judged_by {
            PasswordJudge::Countersign => {
                events.extend(self.start_session(&command.session, challenge.agreement_id, Some(at), at));
            }
            PasswordJudge::Application => {}
        }
        Ok(events)
    }

    pub(super) fn apply_to_challenges(&mut self, event: &UserEvent) {
        if let UserEvent::LoginChallenged { challenge, agreement_id, password_judged_by, expires_at, at } =
            event
        {
            self.challenges.retain(|other| *at < other.expires_at);
            if self.challenges.len() >= CHALLENGES_MAX {
                self.challenges.remove(0);
            }
            self.challenges.push(Challenge {
                digest: challenge.clone(),
                agreement_id: *agreement_id,
                password_judged_by: *password_judged_by,
                expires_at: *expires_at,
            });
        }
        if let UserEvent::LoginSucceeded { challenge: Some(answered), .. } = event {
            self.challenges.retain(|open| open.digest != *answered);
        }
        // A challenge that was opened before must not be answered after.
        if matches!(
            event,
            UserEvent::PasswordSet { .. }
                | UserEvent::TwoFactorDisabled { .. }
                | UserEvent::TwoFactorReset { .. }
        ) {
            self.challenges.clear();
        }
    }
}

impl SignInAttempt {
    fn challenged(&self, password_judged_by: PasswordJudge) -> UserEvent {
        UserEvent::LoginChallenged {
            challenge: self.challenge.clone(),
            agreement_id: self.agreement_id,
            password_judged_by,
            expires_at: self.at + CHALLENGE_LIFETIME,
            at: self.at,
        }
    }

    fn enrolment_demanded(&self, password_judged_by: PasswordJudge) -> UserEvent {
        UserEvent::EnrolmentDemanded {
            token: self.enrolment_token.clone(),
            agreement_id: self.agreement_id,
            password_judged_by,
            required_by: self.required_by.iter().map(|requirement| requirement.agreement_id).collect(),
            deadline: earliest_deadline(&self.required_by),
            expires_at: self.at + crate::user::enrolment::ENROLMENT_LIFETIME,
            at: self.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use crate::user::{FailureReason, UserCommand};

    fn attempt(required_by: Vec<Requirement>) -> SignInAttempt {
        SignInAttempt {
            challenge: token_digest(1),
            enrolment_token: token_digest(2),
            agreement_id: None,
            required_by,
            at: at_minute(100),
        }
    }

    fn sign_in(required_by: Vec<Requirement>) -> UserCommand {
        UserCommand::SignIn(SignIn {
            password_id: password_id(1),
            attempt: attempt(required_by),
            session: new_session(7),
        })
    }

    fn verify(shown: Shown, minute: i64) -> UserCommand {
        UserCommand::VerifySecondFactor(VerifySecondFactor {
            challenge: token_digest(1),
            shown,
            session: new_session(7),
            at: at_minute(minute),
        })
    }

    fn challenged_user(judge: PasswordJudge) -> Vec<UserEvent> {
        enrolled_user().into_iter().chain([challenged(1, judge)]).collect()
    }

    fn succeeded(challenge: Option<TokenDigest>, method: LoginMethod, minute: i64) -> UserEvent {
        UserEvent::LoginSucceeded { challenge, agreement_id: None, method, at: at_minute(minute) }
    }

    #[test]
    fn without_two_factor_the_password_suffices() {
        given(registered_user())
            .when(sign_in(vec![]))
            .then([succeeded(None, LoginMethod::Password, 100), session_started(7, 100, None)]);
    }

    #[test]
    fn with_two_factor_the_password_leads_to_a_challenge() {
        given(enrolled_user()).when(sign_in(vec![])).then([challenged(1, PasswordJudge::Countersign)]);
    }

    #[test]
    fn s11_when_enrolment_is_due_the_password_leads_to_an_enrolment_token_and_no_session() {
        given(registered_user())
            .when(sign_in(vec![requirement()]))
            .then([attempt(vec![requirement()]).enrolment_demanded(PasswordJudge::Countersign)]);
    }

    #[test]
    fn while_the_deadline_is_ahead_both_a_session_and_an_enrolment_token_are_given() {
        let later = requirement_with_deadline(Some(at_minute(101)));
        given(registered_user()).when(sign_in(vec![later.clone()])).then([
            attempt(vec![later]).enrolment_demanded(PasswordJudge::Countersign),
            succeeded(None, LoginMethod::Password, 100),
            session_started(7, 100, None),
        ]);
    }

    #[test]
    fn the_code_completes_the_sign_in_and_spends_the_challenge() {
        let after =
            given(challenged_user(PasswordJudge::Countersign)).when(verify(code_at_step(200), 101)).then([
                second_factor_passed(200, 101),
                succeeded(Some(token_digest(1)), LoginMethod::Totp, 101),
                session_started(7, 101, Some(at_minute(101))),
            ]);
        assert_eq!(after.open_challenge(&token_digest(1), at_minute(101)), None);
    }

    #[test]
    fn the_emergency_code_completes_the_sign_in_and_is_replaced() {
        given(challenged_user(PasswordJudge::Countersign)).when(verify(right_recovery_code(), 101)).then([
            UserEvent::RecoveryCodeUsed { recovery_code_id: recovery_code_id(1), at: at_minute(101) },
            UserEvent::RecoveryCodeIssued {
                recovery_code_id: recovery_code_id(2),
                replaces: Some(recovery_code_id(1)),
                at: at_minute(101),
            },
            succeeded(Some(token_digest(1)), LoginMethod::RecoveryCode, 101),
            session_started(7, 101, Some(at_minute(101))),
        ]);
    }

    #[test]
    fn a_password_that_an_application_judged_gives_no_session() {
        given(challenged_user(PasswordJudge::Application))
            .when(verify(code_at_step(200), 101))
            .then([second_factor_passed(200, 101), succeeded(Some(token_digest(1)), LoginMethod::Totp, 101)]);
    }

    #[test]
    fn s08_a_wrong_code_leaves_the_challenge_open_until_it_expires() {
        let after = given(challenged_user(PasswordJudge::Countersign))
            .when(verify(wrong_code(), 101))
            .then([failed_code(FailureReason::Wrong, 101)]);
        assert!(after.open_challenge(&token_digest(1), at_minute(104)).is_some());
        given(challenged_user(PasswordJudge::Countersign))
            .when(verify(code_at_step(200), 105))
            .refused(&UserRefusal::ChallengeExpired);
    }

    #[test]
    fn a_lock_is_told_before_an_ended_challenge() {
        given(enrolled_user().into_iter().chain([lock_until(130)]))
            .when(verify(code_at_step(200), 101))
            .refused(&UserRefusal::Locked { until: Some(at_minute(130)) });
    }

    #[test]
    fn an_application_has_nothing_to_ask_of_a_person_without_two_factor() {
        let open = |required_by| UserCommand::OpenChallenge(OpenChallenge { attempt: attempt(required_by) });
        given(registered_user()).when(open(vec![])).refused(&UserRefusal::TwoFactorNotEnabled);
        given(registered_user())
            .when(open(vec![requirement()]))
            .then([attempt(vec![requirement()]).enrolment_demanded(PasswordJudge::Application)]);
        given(enrolled_user()).when(open(vec![])).then([challenged(1, PasswordJudge::Application)]);
    }

    #[test]
    fn at_most_thirty_two_challenges_are_open_and_the_oldest_gives_way() {
        let many = (1..=33).map(|id| challenged(id, PasswordJudge::Countersign));
        let user = replay(enrolled_user().into_iter().chain(many));
        assert!(user.open_challenge(&token_digest(1), at_minute(101)).is_none());
        assert!((2..=33).all(|id| user.open_challenge(&token_digest(id), at_minute(101)).is_some()));
    }
}
