//! Adding an authenticator: from the QR code on the screen to its first code.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::{AgreementId, ApiKeyId, AuthenticatorId, EnrolmentId, RecoveryCodeId, SessionId};
use crate::sealed::{Sealed, TokenDigest};
use crate::user::judging::Spent;
use crate::user::proof::{Proof, Proven};
use crate::user::session::NewSession;
use crate::user::two_factor::AUTHENTICATORS_MAX;
use crate::user::{AuthenticatorRemovalReason, LoginMethod, PasswordJudge, User, UserEvent, UserRefusal};

/// How long a pending enrolment lives, and the token that allows one.
pub const ENROLMENT_LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// So many wrong first codes end an enrolment.
pub const CONFIRMATIONS_MAX: u32 = 5;
/// A person can have so many pending; beyond it the oldest gives way.
pub const ENROLMENTS_MAX: usize = 8;

/// So many that have ended are remembered.
const ENDED_ENROLMENTS_MAX: usize = 32;

/// An authenticator that was offered and awaits its first code.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Enrolment {
    /// Its id.
    pub id: EnrolmentId,
    /// The authenticator to be; names the vault row of its secret.
    pub authenticator_id: AuthenticatorId,
    /// What the person calls it, sealed.
    pub label: Sealed,
    /// Whether the other authenticators give way to it.
    pub replace: bool,
    /// Only they may confirm it.
    pub started_by: Starter,
    /// Wrong first codes so far.
    pub failures: u32,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Who started an enrolment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Starter {
    /// The person, in this session.
    Session(SessionId),
    /// An application.
    ApiKey(ApiKeyId),
    /// The person at sign-in, with the token of this digest.
    EnrolmentToken(TokenDigest),
}

/// A token that lets its holder enrol, confirm and say that the emergency code is saved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EnrolmentToken {
    /// Its digest.
    pub digest: TokenDigest,
    /// The agreement that the sign-in is attributed to.
    pub agreement_id: Option<AgreementId>,
    /// Who judged the password: without us there is no session to give.
    pub password_judged_by: PasswordJudge,
    /// Its enrolment was confirmed: it is good for saying that the emergency code is saved, and
    /// for nothing else.
    pub spent: bool,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Offering an authenticator.
#[derive(Clone, Debug)]
pub struct StartEnrolment {
    /// Its id.
    pub enrolment_id: EnrolmentId,
    /// The authenticator to be.
    pub authenticator_id: AuthenticatorId,
    /// What the person calls it, sealed.
    pub label: Sealed,
    /// Whether the other authenticators give way to it.
    pub replace: bool,
    /// Who starts it.
    pub started_by: Starter,
    /// What was shown; nothing with an enrolment token, which stands for the password.
    pub proof: Option<Proof>,
    /// The digest of the operator's pass, if one was given.
    pub pass: Option<TokenDigest>,
    /// Now.
    pub at: Timestamp,
}

/// The first code of an authenticator.
#[derive(Clone, Debug)]
pub struct ConfirmEnrolment {
    /// Which enrolment.
    pub enrolment_id: EnrolmentId,
    /// Who confirms it.
    pub started_by: Starter,
    /// The time step for which the code was right; none when it was wrong.
    pub matched_step: Option<u64>,
    /// Names the vault row of the emergency code, if one is to be issued.
    pub recovery_code_id: RecoveryCodeId,
    /// The session, where an enrolment token stands for a sign-in.
    pub session: NewSession,
    /// Now.
    pub at: Timestamp,
}

impl User {
    /// The pending enrolment of this id, if it may still be confirmed by whoever started it.
    ///
    /// # Errors
    /// [`UserRefusal::EnrolmentExpired`] when it has ended, and [`UserRefusal::EnrolmentNotFound`]
    /// when it never was or somebody else started it.
    pub fn pending_enrolment(
        &self,
        id: EnrolmentId,
        by: &Starter,
        at: Timestamp,
    ) -> Result<&Enrolment, UserRefusal> {
        let Some(enrolment) = self.enrolments.iter().find(|enrolment| enrolment.id == id) else {
            let ended = self.ended_enrolments.contains(&id);
            return Err(if ended { UserRefusal::EnrolmentExpired } else { UserRefusal::EnrolmentNotFound });
        };
        if enrolment.started_by != *by {
            return Err(UserRefusal::EnrolmentNotFound);
        }
        if at >= enrolment.expires_at || enrolment.failures >= CONFIRMATIONS_MAX {
            return Err(UserRefusal::EnrolmentExpired);
        }
        Ok(enrolment)
    }

    /// The enrolment token of this digest, if it may be used now.
    #[must_use]
    pub fn live_enrolment_token(&self, digest: &TokenDigest, at: Timestamp) -> Option<&EnrolmentToken> {
        self.unexpired_enrolment_token(digest, at).filter(|token| !token.spent)
    }

    /// The same, also once its enrolment was confirmed.
    #[must_use]
    pub fn unexpired_enrolment_token(&self, digest: &TokenDigest, at: Timestamp) -> Option<&EnrolmentToken> {
        self.enrolment_tokens.iter().find(|token| token.digest == *digest && at < token.expires_at)
    }

    pub(super) fn start_enrolment(&self, command: StartEnrolment) -> Result<Vec<UserEvent>, UserRefusal> {
        self.registered()?;
        let at = command.at;
        if !command.replace && self.two_factor.authenticators.len() >= AUTHENTICATORS_MAX {
            return Err(UserRefusal::TooManyAuthenticators);
        }
        if self.reset_pass.is_some() && self.reset_pass != command.pass {
            return Err(UserRefusal::PassRequired);
        }
        let proven = match (&command.proof, &command.started_by) {
            (Some(proof), _) => self.prove(proof, at)?,
            (None, Starter::EnrolmentToken(digest)) => {
                self.live_enrolment_token(digest, at).ok_or(UserRefusal::EnrolmentExpired)?;
                Proven::Passed(Spent::default())
            }
            (None, Starter::Session(_) | Starter::ApiKey(_)) => return Err(UserRefusal::StepUpRequired),
        };
        Ok(match proven {
            Proven::Failed(events) => events,
            Proven::Passed(spent) => spent.then([UserEvent::TwoFactorEnrolmentStarted {
                enrolment_id: command.enrolment_id,
                authenticator_id: command.authenticator_id,
                label: command.label,
                replace: command.replace,
                started_by: command.started_by,
                expires_at: at + ENROLMENT_LIFETIME,
                at,
            }]),
        })
    }

    pub(super) fn confirm_enrolment(
        &self,
        command: &ConfirmEnrolment,
    ) -> Result<Vec<UserEvent>, UserRefusal> {
        self.registered()?;
        let at = command.at;
        let enrolment = self.pending_enrolment(command.enrolment_id, &command.started_by, at)?;
        let Some(step) = command.matched_step else {
            return Ok(vec![UserEvent::TwoFactorEnrolmentFailed { enrolment_id: enrolment.id, at }]);
        };
        let mut events = Vec::new();
        if enrolment.replace {
            events.extend(self.two_factor.authenticators.iter().map(|authenticator| {
                UserEvent::AuthenticatorRemoved {
                    authenticator_id: authenticator.id,
                    reason: AuthenticatorRemovalReason::Replaced,
                    at,
                }
            }));
        }
        events.push(UserEvent::AuthenticatorAdded {
            enrolment_id: enrolment.id,
            authenticator_id: enrolment.authenticator_id,
            label: enrolment.label.clone(),
            step,
            at,
        });
        if !self.two_factor.is_enabled() {
            events.push(UserEvent::TwoFactorEnabled { at });
        }
        if self.two_factor.recovery_code.is_none() {
            let recovery_code_id = command.recovery_code_id;
            events.push(UserEvent::RecoveryCodeIssued { recovery_code_id, replaces: None, at });
        }
        if let Starter::EnrolmentToken(digest) = &command.started_by {
            let token = self.live_enrolment_token(digest, at).ok_or(UserRefusal::EnrolmentExpired)?;
            let agreement_id = token.agreement_id;
            events.push(UserEvent::LoginSucceeded {
                challenge: None,
                agreement_id,
                method: LoginMethod::Totp,
                at,
            });
            match token.password_judged_by {
                PasswordJudge::Countersign => {
                    events.extend(self.start_session(&command.session, agreement_id, Some(at), at));
                }
                PasswordJudge::Application => {}
            }
        }
        Ok(events)
    }

    pub(super) fn apply_to_enrolments(&mut self, event: &UserEvent) {
        if let UserEvent::EnrolmentDemanded {
            token, agreement_id, password_judged_by, expires_at, at, ..
        } = event
        {
            self.enrolment_tokens.retain(|other| *at < other.expires_at);
            let token = EnrolmentToken {
                digest: token.clone(),
                agreement_id: *agreement_id,
                password_judged_by: *password_judged_by,
                spent: false,
                expires_at: *expires_at,
            };
            push_bounded(&mut self.enrolment_tokens, token, ENROLMENTS_MAX);
        }
        if let UserEvent::TwoFactorEnrolmentStarted {
            enrolment_id,
            authenticator_id,
            label,
            replace,
            started_by,
            expires_at,
            at,
        } = event
        {
            self.end_enrolments(|other| *at >= other.expires_at || other.failures >= CONFIRMATIONS_MAX);
            if self.enrolments.len() >= ENROLMENTS_MAX {
                let oldest = self.enrolments.first().map(|oldest| oldest.id);
                self.end_enrolments(|other| Some(other.id) == oldest);
            }
            let enrolment = Enrolment {
                id: *enrolment_id,
                authenticator_id: *authenticator_id,
                label: label.clone(),
                replace: *replace,
                started_by: started_by.clone(),
                failures: 0,
                expires_at: *expires_at,
            };
            self.enrolments.push(enrolment);
        }
        if let UserEvent::TwoFactorEnrolmentFailed { enrolment_id, .. } = event
            && let Some(enrolment) = self.enrolments.iter_mut().find(|other| other.id == *enrolment_id)
        {
            enrolment.failures = enrolment.failures.saturating_add(1);
        }
        self.end_enrolments_after(event);
    }

    fn end_enrolments(&mut self, which: impl Fn(&Enrolment) -> bool) {
        let (ended, pending): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.enrolments).into_iter().partition(which);
        self.enrolments = pending;
        for enrolment in ended {
            push_bounded(&mut self.ended_enrolments, enrolment.id, ENDED_ENROLMENTS_MAX);
        }
    }

    /// Every pending enrolment and every token for one ends when the account's factors or its
    /// password change: what was offered before must not be confirmed after.
    fn end_enrolments_after(&mut self, event: &UserEvent) {
        if matches!(
            event,
            UserEvent::TwoFactorDisabled { .. }
                | UserEvent::TwoFactorReset { .. }
                | UserEvent::PasswordSet { .. }
        ) {
            self.end_enrolments(|_| true);
            self.enrolment_tokens.clear();
        }
        if let UserEvent::AuthenticatorAdded { enrolment_id, .. } = event {
            let confirmed = self.enrolments.iter().find(|other| other.id == *enrolment_id);
            let starter = confirmed.map(|enrolment| enrolment.started_by.clone());
            self.enrolment_tokens
                .retain(|token| starter.as_ref() == Some(&Starter::EnrolmentToken(token.digest.clone())));
            for token in &mut self.enrolment_tokens {
                token.spent = true;
            }
            self.end_enrolments(|_| true);
            self.reset_pass = None;
        }
        if let UserEvent::TwoFactorReset { pass, .. } = event {
            self.reset_pass = Some(pass.clone());
        }
    }
}

/// The oldest gives way.
fn push_bounded<T>(items: &mut Vec<T>, next: T, max: usize) {
    if items.len() >= max {
        items.remove(0);
    }
    items.push(next);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use crate::user::UserCommand;

    fn confirm(matched_step: Option<u64>, started_by: Starter, minute: i64) -> UserCommand {
        UserCommand::ConfirmEnrolment(ConfirmEnrolment {
            enrolment_id: enrolment_id(1),
            started_by,
            matched_step,
            recovery_code_id: recovery_code_id(1),
            session: new_session(7),
            at: at_minute(minute),
        })
    }

    fn pending() -> Vec<UserEvent> {
        registered_user().into_iter().chain([enrolment_started(1, false)]).collect()
    }

    #[test]
    fn the_first_code_turns_two_factor_on_and_brings_the_emergency_code() {
        given(pending()).when(confirm(Some(40), starter(), 5)).then([
            authenticator_added(1, 40, 5),
            UserEvent::TwoFactorEnabled { at: at_minute(5) },
            UserEvent::RecoveryCodeIssued {
                recovery_code_id: recovery_code_id(1),
                replaces: None,
                at: at_minute(5),
            },
        ]);
    }

    #[test]
    fn s09_an_enrolment_lives_ten_minutes() {
        given(pending()).when(confirm(Some(40), starter(), 10)).refused(&UserRefusal::EnrolmentExpired);
    }

    #[test]
    fn s09_only_who_started_it_may_confirm() {
        given(pending())
            .when(confirm(Some(40), Starter::Session(session_id(99)), 5))
            .refused(&UserRefusal::EnrolmentNotFound);
    }

    #[test]
    fn five_wrong_first_codes_end_it_and_lock_nothing() {
        let failed = UserEvent::TwoFactorEnrolmentFailed { enrolment_id: enrolment_id(1), at: at_minute(5) };
        let after = |failures| pending().into_iter().chain(vec![failed.clone(); failures]);
        given(after(4)).when(confirm(None, starter(), 5)).then([failed.clone()]);
        given(after(5)).when(confirm(Some(40), starter(), 5)).refused(&UserRefusal::EnrolmentExpired);
    }

    #[test]
    fn a_second_authenticator_keeps_the_emergency_code_and_ends_other_enrolments() {
        let two_pending =
            enrolled_user().into_iter().chain([enrolment_started(1, false), enrolment_started(2, false)]);
        let after =
            given(two_pending).when(confirm(Some(40), starter(), 5)).then([authenticator_added(1, 40, 5)]);
        assert_eq!(
            after.pending_enrolment(enrolment_id(2), &starter(), at_minute(5)),
            Err(UserRefusal::EnrolmentExpired)
        );
    }

    #[test]
    fn a_replacement_voids_the_others_only_when_confirmed() {
        let offered = enrolled_user().into_iter().chain([enrolment_started(2, true)]);
        assert!(replay(offered.clone()).two_factor().has_usable_authenticator());
        let command = UserCommand::ConfirmEnrolment(ConfirmEnrolment {
            enrolment_id: enrolment_id(2),
            started_by: starter(),
            matched_step: Some(40),
            recovery_code_id: recovery_code_id(5),
            session: new_session(7),
            at: at_minute(5),
        });
        given(offered).when(command).then([
            UserEvent::AuthenticatorRemoved {
                authenticator_id: authenticator_id(1),
                reason: AuthenticatorRemovalReason::Replaced,
                at: at_minute(5),
            },
            authenticator_added(2, 40, 5),
        ]);
    }

    #[test]
    fn s26_after_a_reset_the_next_enrolment_needs_the_pass() {
        let reset = enrolled_user().into_iter().chain([UserEvent::TwoFactorReset {
            pass: token_digest(5),
            reason: sealed("phone and emergency code lost"),
            at: at_minute(3),
        }]);
        let start = |pass| {
            UserCommand::StartEnrolment(StartEnrolment {
                enrolment_id: enrolment_id(2),
                authenticator_id: authenticator_id(2),
                label: sealed("phone"),
                replace: false,
                started_by: starter(),
                proof: Some(proof_with_password()),
                pass,
                at: at_minute(0),
            })
        };
        given(reset.clone()).when(start(None)).refused(&UserRefusal::PassRequired);
        given(reset.clone()).when(start(Some(token_digest(6)))).refused(&UserRefusal::PassRequired);
        given(reset).when(start(Some(token_digest(5)))).then([enrolment_started(2, false)]);
    }

    fn demanded(password_judged_by: PasswordJudge) -> Vec<UserEvent> {
        let demanded = UserEvent::EnrolmentDemanded {
            token: token_digest(3),
            agreement_id: None,
            password_judged_by,
            required_by: vec![agreement_id(1)],
            deadline: None,
            expires_at: at_minute(10),
            at: at_minute(0),
        };
        let started = enrolment_started_by(1, Starter::EnrolmentToken(token_digest(3)));
        registered_user().into_iter().chain([demanded, started]).collect()
    }

    fn turned_on() -> Vec<UserEvent> {
        vec![
            authenticator_added(1, 40, 5),
            UserEvent::TwoFactorEnabled { at: at_minute(5) },
            UserEvent::RecoveryCodeIssued {
                recovery_code_id: recovery_code_id(1),
                replaces: None,
                at: at_minute(5),
            },
            UserEvent::LoginSucceeded {
                challenge: None,
                agreement_id: None,
                method: LoginMethod::Totp,
                at: at_minute(5),
            },
        ]
    }

    #[test]
    fn an_enrolment_token_signs_in_when_its_enrolment_is_confirmed() {
        let token = Starter::EnrolmentToken(token_digest(3));
        let user = replay(demanded(PasswordJudge::Countersign));
        let events = user.decide(confirm(Some(40), token, 5)).unwrap();
        let session = session_started(7, 5, Some(at_minute(5)));
        assert_eq!(events, turned_on().into_iter().chain([session]).collect::<Vec<_>>());
        let after = replay(demanded(PasswordJudge::Countersign).into_iter().chain(events));
        assert_eq!(after.live_enrolment_token(&token_digest(3), at_minute(5)), None, "it enrols no more");
        assert!(
            after.unexpired_enrolment_token(&token_digest(3), at_minute(5)).is_some(),
            "it may say saved"
        );
    }

    #[test]
    fn s08_where_an_application_judged_the_password_no_session_is_given() {
        let token = Starter::EnrolmentToken(token_digest(3));
        let user = replay(demanded(PasswordJudge::Application));
        assert_eq!(user.decide(confirm(Some(40), token, 5)), Ok(turned_on()));
    }
}
