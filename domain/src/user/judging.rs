//! Judging a second factor that somebody showed: accepted once, counted when wrong, not judged
//! while locked.

use crate::Timestamp;
use crate::ids::{AuthenticatorId, RecoveryCodeId};
use crate::user::totp::MatchedStep;
use crate::user::two_factor::TwoFactor;
use crate::user::{Factor, FailureReason, LoginMethod, UserEvent, UserRefusal};

/// A second factor that somebody showed, compared with the vault but not yet judged: whether it
/// is spent, locked or counted is for the [`User`](crate::user::User) to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shown {
    /// A six-digit code.
    Code {
        /// Every authenticator for which it is right, at which time step.
        matches: Vec<CodeMatch>,
    },
    /// An emergency code.
    RecoveryCode {
        /// The issued code that it equals.
        matches: Option<RecoveryCodeId>,
        /// The code that takes its place if it is accepted.
        replacement: RecoveryCodeId,
    },
}

impl Shown {
    pub(super) const fn factor(&self) -> Factor {
        match self {
            Self::Code { .. } => Factor::Totp,
            Self::RecoveryCode { .. } => Factor::RecoveryCode,
        }
    }
}

/// A code was right for this authenticator at this time step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodeMatch {
    /// For which authenticator.
    pub authenticator_id: AuthenticatorId,
    /// At which time step.
    pub matched: MatchedStep,
}

/// What an accepted proof spends: a time step, an emergency code (which another replaces), or
/// nothing where none was needed.
#[derive(Default)]
pub(super) struct Spent {
    spent: Vec<UserEvent>,
    replacement: Vec<UserEvent>,
}

impl Spent {
    /// The events, where two-factor stays on: a spent emergency code is replaced at once.
    pub(super) fn then(self, events: impl IntoIterator<Item = UserEvent>) -> Vec<UserEvent> {
        self.spent.into_iter().chain(self.replacement).chain(events).collect()
    }

    /// The events, where one of those that follow replaces or voids the emergency code.
    pub(super) fn then_void(self, events: impl IntoIterator<Item = UserEvent>) -> Vec<UserEvent> {
        self.spent.into_iter().chain(events).collect()
    }
}

pub(super) enum Judged {
    Passed(Spent, LoginMethod),
    /// A failed attempt is history too: it is stored, and it counts towards the lock.
    Failed(Vec<UserEvent>),
}

impl TwoFactor {
    /// Why a factor is not judged now.
    fn locked(&self, factor: Factor, at: Timestamp) -> Option<UserRefusal> {
        let until = self.failures(factor).locked_at(at);
        let disabled = factor == Factor::Totp && !self.has_usable_authenticator();
        (until.is_some() || disabled).then_some(UserRefusal::Locked { until })
    }

    pub(super) fn judge(&self, shown: &Shown, at: Timestamp) -> Result<Judged, UserRefusal> {
        let factor = shown.factor();
        if let Some(locked) = self.locked(factor, at) {
            if self.failures(factor).refusal_recorded() {
                return Err(locked);
            }
            return Ok(Judged::Failed(vec![UserEvent::SecondFactorRefused { factor, at }]));
        }
        Ok(match shown {
            Shown::Code { matches } => self.judge_code(matches, at),
            Shown::RecoveryCode { matches, replacement } => {
                self.judge_recovery_code(*matches, *replacement, at)
            }
        })
    }

    fn judge_code(&self, matches: &[CodeMatch], at: Timestamp) -> Judged {
        let fresh = matches.iter().find(|right| {
            self.authenticators.iter().any(|authenticator| {
                authenticator.id == right.authenticator_id
                    && !authenticator.disabled
                    // A later step that has spent digits too does not make them fresh again.
                    && authenticator.last_step < right.matched.same_since
            })
        });
        match fresh {
            Some(CodeMatch { authenticator_id, matched: MatchedStep { step, .. } }) => {
                let (authenticator_id, step) = (*authenticator_id, *step);
                let spent = vec![UserEvent::SecondFactorPassed { authenticator_id, step, at }];
                Judged::Passed(Spent { spent, replacement: Vec::new() }, LoginMethod::Totp)
            }
            None if matches.is_empty() => self.failed(Factor::Totp, FailureReason::Wrong, at),
            None => self.failed(Factor::Totp, FailureReason::AlreadyUsed, at),
        }
    }

    fn judge_recovery_code(
        &self,
        matches: Option<RecoveryCodeId>,
        replacement: RecoveryCodeId,
        at: Timestamp,
    ) -> Judged {
        match &self.recovery_code {
            Some(issued) if matches == Some(issued.id) => {
                let (used, replaces) = (issued.id, Some(issued.id));
                let spent = vec![UserEvent::RecoveryCodeUsed { recovery_code_id: used, at }];
                let replacement =
                    vec![UserEvent::RecoveryCodeIssued { recovery_code_id: replacement, replaces, at }];
                Judged::Passed(Spent { spent, replacement }, LoginMethod::RecoveryCode)
            }
            Some(_) | None => self.failed(Factor::RecoveryCode, FailureReason::Wrong, at),
        }
    }

    fn failed(&self, factor: Factor, reason: FailureReason, at: Timestamp) -> Judged {
        let consequence = self.failures(factor).next(at);
        let mut events = vec![UserEvent::SecondFactorFailed { factor, reason, at }];
        events.extend(consequence.lock_until.map(|until| UserEvent::SecondFactorLocked {
            factor,
            until,
            at,
        }));
        if consequence.disable && factor == Factor::Totp {
            events.extend(self.authenticators.iter().filter(|authenticator| !authenticator.disabled).map(
                |authenticator| UserEvent::AuthenticatorDisabled { authenticator_id: authenticator.id, at },
            ));
        }
        Judged::Failed(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use crate::user::UserCommand;
    use crate::user::proof::Proof;
    use crate::user::two_factor::DisableTwoFactor;

    #[test]
    fn s01_an_accepted_step_and_older_ones_are_refused() {
        let used = enrolled_user().into_iter().chain([second_factor_passed(200, 100)]);
        for step in [198, 199, 200] {
            given(used.clone())
                .when(disable(proof_with(code_at_step(step))))
                .then([failed_code(FailureReason::AlreadyUsed, 100)]);
        }
    }

    #[test]
    fn s01_spent_digits_stay_spent_where_a_later_step_has_them_too() {
        let repeated = disable(proof_with(code_with_digits_of(200, 202)));
        for spent in [200, 201, 202] {
            given(enrolled_user().into_iter().chain([second_factor_passed(spent, 100)]))
                .when(repeated.clone())
                .then([failed_code(FailureReason::AlreadyUsed, 100)]);
        }
        let earlier = enrolled_user().into_iter().chain([second_factor_passed(199, 100)]);
        given(earlier)
            .when(repeated)
            .then([second_factor_passed(202, 100), UserEvent::TwoFactorDisabled { at: at_minute(100) }]);
    }

    #[test]
    fn s01_the_step_that_confirmed_enrolment_is_spent() {
        given(enrolled_user())
            .when(disable(proof_with(code_at_step(ENROLMENT_STEP))))
            .then([failed_code(FailureReason::AlreadyUsed, 100)]);
    }

    #[test]
    fn s04_the_tenth_failure_locks_codes_for_half_an_hour() {
        given(enrolled_user().into_iter().chain(failures(9))).when(disable(proof_with(wrong_code()))).then([
            failed_code(FailureReason::Wrong, 100),
            UserEvent::SecondFactorLocked { factor: Factor::Totp, until: at_minute(130), at: at_minute(100) },
        ]);
    }

    #[test]
    fn s04_fifty_failures_disable_the_authenticators() {
        given(enrolled_user().into_iter().chain(failures(49))).when(disable(proof_with(wrong_code()))).then(
            [
                failed_code(FailureReason::Wrong, 100),
                UserEvent::SecondFactorLocked {
                    factor: Factor::Totp,
                    until: at_minute(130),
                    at: at_minute(100),
                },
                UserEvent::AuthenticatorDisabled {
                    authenticator_id: authenticator_id(1),
                    at: at_minute(100),
                },
            ],
        );
    }

    #[test]
    fn s04_the_emergency_code_works_while_codes_are_locked() {
        let locked = enrolled_user().into_iter().chain([lock_until(130)]);
        given(locked.clone()).when(disable(proof_with(right_recovery_code()))).then([
            UserEvent::RecoveryCodeUsed { recovery_code_id: recovery_code_id(1), at: at_minute(100) },
            UserEvent::TwoFactorDisabled { at: at_minute(100) },
        ]);
        given(locked)
            .when(disable(proof_with(code_at_step(200))))
            .then([UserEvent::SecondFactorRefused { factor: Factor::Totp, at: at_minute(100) }]);
    }

    #[test]
    fn s06_a_lock_records_one_refusal() {
        let refused = UserEvent::SecondFactorRefused { factor: Factor::Totp, at: at_minute(100) };
        given(enrolled_user().into_iter().chain([lock_until(130), refused]))
            .when(disable(proof_with(code_at_step(200))))
            .refused(&UserRefusal::Locked { until: Some(at_minute(130)) });
    }

    #[test]
    fn the_lock_ends_when_it_said() {
        given(enrolled_user().into_iter().chain([lock_until(100)]))
            .when(disable(proof_with(code_at_step(200))))
            .then([second_factor_passed(200, 100), UserEvent::TwoFactorDisabled { at: at_minute(100) }]);
    }

    fn disable(proof: Proof) -> UserCommand {
        UserCommand::DisableTwoFactor(DisableTwoFactor { proof, required_by: vec![], at: at_minute(100) })
    }
}
