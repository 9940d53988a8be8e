//! What holds after any sequence of commands.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::enrolment::{ConfirmEnrolment, StartEnrolment, Starter};
use super::erasure::EraseUser;
use super::judging::{CodeMatch, Shown};
use super::password::ChangePassword;
use super::proof::{PasswordShown, Proof, ProvePresence, RecordPasswordFailure};
use super::role::{GrantRole, RevokeRole};
use super::sign_in::{SignIn, SignInAttempt, VerifySecondFactor};
use super::totp::MatchedStep;
use super::two_factor::{DisableTwoFactor, IssueRecoveryCode, RemoveAuthenticator, ResetTwoFactor};
use super::*;
use crate::ids::RecoveryCodeId;
use crate::requirement::Requirement;
use crate::testing::*;

mod bounds;

/// One step of a generated history. Numbers are small, so that histories collide with themselves.
#[derive(Clone, Debug)]
enum Step {
    SignIn { challenge: u128, required: Required },
    Verify { challenge: u128, shown: Guess },
    WrongPassword,
    Prove { shown: Guess },
    Disable { shown: Guess, enforced: bool },
    NewRecoveryCode { shown: Guess },
    Enrol { shown: Guess, replace: bool },
    EnrolWithToken,
    Confirm { right: bool },
    Remove { shown: Guess, first: bool },
    ChangePassword { shown: Guess },
    Reset,
    Grant(InstallationRole),
    Revoke(InstallationRole),
    Wait { minutes: i64 },
}

/// Whether an agreement requires two-factor at a sign-in.
#[derive(Clone, Copy, Debug)]
enum Required {
    No,
    ByLater,
    Now,
}

#[derive(Clone, Copy, Debug)]
enum Guess {
    WrongCode,
    CodeAt(u64),
    /// A code of a step after all before it.
    NextCode,
    RecoveryCode {
        current: bool,
    },
}

fn guesses() -> impl Strategy<Value = Guess> {
    prop_oneof![
        4 => Just(Guess::WrongCode),
        3 => (100_u64..140).prop_map(Guess::CodeAt),
        1 => any::<bool>().prop_map(|current| Guess::RecoveryCode { current }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_u128..40, required()).prop_map(|(challenge, required)| Step::SignIn { challenge, required }),
        6 => (0_u128..40, guesses()).prop_map(|(challenge, shown)| Step::Verify { challenge, shown }),
        6 => guesses().prop_map(|shown| Step::Prove { shown }),
        1 => (guesses(), any::<bool>()).prop_map(|(shown, enforced)| Step::Disable { shown, enforced }),
        1 => guesses().prop_map(|shown| Step::NewRecoveryCode { shown }),
        1 => (guesses(), any::<bool>()).prop_map(|(shown, replace)| Step::Enrol { shown, replace }),
        1 => Just(Step::EnrolWithToken),
        1 => any::<bool>().prop_map(|right| Step::Confirm { right }),
        1 => Just(Step::WrongPassword),
        1 => rare(),
        1 => role().prop_map(Step::Grant),
        1 => role().prop_map(Step::Revoke),
        1 => (0_i64..40).prop_map(|minutes| Step::Wait { minutes }),
    ];
    prop::collection::vec(step, 0..120)
}

/// Steps that take much away at once.
fn rare() -> impl Strategy<Value = Step> {
    prop_oneof![
        (guesses(), any::<bool>()).prop_map(|(shown, first)| Step::Remove { shown, first }),
        guesses().prop_map(|shown| Step::ChangePassword { shown }),
        Just(Step::Reset),
    ]
}

fn role() -> impl Strategy<Value = InstallationRole> {
    prop::sample::select(&InstallationRole::ALL[..])
}

fn required() -> impl Strategy<Value = Required> {
    prop_oneof![Just(Required::No), Just(Required::ByLater), Just(Required::Now)]
}

/// A history as it unfolds, with a fresh number for whatever needs one.
#[derive(Clone)]
struct History {
    user: User,
    events: Vec<UserEvent>,
    at: Timestamp,
    drawn: u128,
}

impl History {
    fn new() -> Self {
        Self::of(enrolled_user())
    }

    fn of(events: Vec<UserEvent>) -> Self {
        Self { user: replay(events.clone()), events, at: at_minute(100), drawn: 1_000 }
    }

    fn draw(&mut self) -> u128 {
        self.drawn += 1;
        self.drawn
    }

    fn shown(&mut self, guess: Guess) -> Shown {
        match guess {
            Guess::WrongCode => Shown::Code { matches: Vec::new() },
            Guess::CodeAt(step) => self.code_at(step),
            Guess::NextCode => {
                let step = self.draw().try_into().unwrap();
                self.code_at(step)
            }
            Guess::RecoveryCode { current } => {
                let issued = self.user.two_factor().recovery_code().map(|issued| issued.id);
                let matches = if current { issued } else { None };
                Shown::RecoveryCode { matches, replacement: recovery_code_id(self.draw()) }
            }
        }
    }

    /// A code that is right for every authenticator at once.
    fn code_at(&self, step: u64) -> Shown {
        let ids = self.user.two_factor().authenticators().iter().map(|authenticator| authenticator.id);
        let matched = MatchedStep { step, same_since: step };
        Shown::Code { matches: ids.map(|authenticator_id| CodeMatch { authenticator_id, matched }).collect() }
    }

    fn password(&self) -> PasswordId {
        self.user.password().unwrap()
    }

    fn proof(&mut self, guess: Guess) -> Proof {
        Proof { password: PasswordShown::Right(self.password()), ..proof_with(self.shown(guess)) }
    }

    fn required_by(&self, required: Required) -> Vec<Requirement> {
        match required {
            Required::No => vec![],
            Required::ByLater => {
                vec![requirement_with_deadline(Some(self.at + chrono::TimeDelta::minutes(1)))]
            }
            Required::Now => vec![requirement()],
        }
    }

    fn start_enrolment(&mut self, replace: bool, started_by: Starter, proof: Option<Proof>) -> UserCommand {
        UserCommand::StartEnrolment(StartEnrolment {
            enrolment_id: enrolment_id(self.draw()),
            authenticator_id: authenticator_id(self.draw()),
            label: sealed("phone"),
            replace,
            started_by,
            proof,
            pass: self.user.reset_pass.clone(),
            at: self.at,
        })
    }

    fn command(&mut self, step: &Step) -> Option<UserCommand> {
        let at = self.at;
        Some(match step {
            Step::SignIn { challenge, required } => UserCommand::SignIn(SignIn {
                password_id: self.password(),
                attempt: SignInAttempt {
                    challenge: token_digest(*challenge),
                    enrolment_token: token_digest(self.draw()),
                    agreement_id: None,
                    required_by: self.required_by(*required),
                    at,
                },
                session: new_session(self.draw()),
            }),
            Step::WrongPassword => {
                UserCommand::RecordPasswordFailure(RecordPasswordFailure { unrecorded: 0, at })
            }
            Step::Verify { challenge, shown } => UserCommand::VerifySecondFactor(VerifySecondFactor {
                challenge: token_digest(*challenge),
                shown: self.shown(*shown),
                session: new_session(self.draw()),
                at,
            }),
            Step::Prove { shown } => {
                UserCommand::ProvePresence(ProvePresence { proof: self.proof(*shown), at })
            }
            Step::Disable { shown, enforced } => UserCommand::DisableTwoFactor(DisableTwoFactor {
                proof: self.proof(*shown),
                required_by: if *enforced { vec![requirement()] } else { vec![] },
                at,
            }),
            Step::NewRecoveryCode { shown } => UserCommand::IssueRecoveryCode(IssueRecoveryCode {
                recovery_code_id: recovery_code_id(self.draw()),
                proof: self.proof(*shown),
                at,
            }),
            Step::Enrol { shown, replace } => {
                let proof = self.proof(*shown);
                self.start_enrolment(*replace, starter(), Some(proof))
            }
            Step::EnrolWithToken => {
                let token = self.user.enrolment_tokens.last()?.digest.clone();
                self.start_enrolment(false, Starter::EnrolmentToken(token), None)
            }
            Step::Confirm { right } => {
                let pending = self.user.enrolments.last()?;
                UserCommand::ConfirmEnrolment(ConfirmEnrolment {
                    enrolment_id: pending.id,
                    started_by: pending.started_by.clone(),
                    matched_step: right.then_some(120),
                    recovery_code_id: recovery_code_id(self.draw()),
                    session: new_session(self.draw()),
                    at,
                })
            }
            Step::Remove { shown, first } => {
                let authenticators = self.user.two_factor().authenticators();
                let removed = if *first { authenticators.first() } else { authenticators.last() };
                UserCommand::RemoveAuthenticator(RemoveAuthenticator {
                    authenticator_id: removed?.id,
                    proof: self.proof(*shown),
                    required_by: vec![],
                    at,
                })
            }
            Step::ChangePassword { shown } => UserCommand::ChangePassword(ChangePassword {
                password_id: password_id(self.draw()),
                proof: self.proof(*shown),
                session_id: session_id(1),
                at,
            }),
            Step::Reset => UserCommand::ResetTwoFactor(ResetTwoFactor {
                pass: token_digest(self.draw()),
                reason: sealed("phone and emergency code lost"),
                at,
            }),
            Step::Grant(role) => UserCommand::GrantRole(GrantRole { role: *role, at }),
            Step::Revoke(role) => UserCommand::RevokeRole(RevokeRole { role: *role, at }),
            Step::Wait { minutes } => {
                self.at += chrono::TimeDelta::minutes(*minutes);
                return None;
            }
        })
    }

    /// Runs one step and gives what it brought about, with the state before it.
    fn run(&mut self, step: &Step) -> (User, Vec<UserEvent>) {
        let before = self.user.clone();
        let Some(command) = self.command(step) else { return (before, Vec::new()) };
        let events = before.decide(command).unwrap_or_default();
        for event in &events {
            self.user.apply(event);
        }
        self.events.extend(events.iter().cloned());
        (before, events)
    }
}

proptest! {
    #[test]
    fn s01_no_time_step_of_an_authenticator_is_accepted_twice(steps in steps()) {
        let mut history = History::new();
        let mut accepted = BTreeSet::new();
        for step in &steps {
            for event in history.run(step).1 {
                if let UserEvent::SecondFactorPassed { authenticator_id, step, .. } = event {
                    prop_assert!(accepted.insert((authenticator_id, step)), "{step} twice");
                }
            }
        }
    }

    #[test]
    fn s07_an_emergency_code_is_used_once_and_there_is_always_exactly_one(steps in steps()) {
        let mut history = History::new();
        let mut used: BTreeSet<RecoveryCodeId> = BTreeSet::new();
        for step in &steps {
            for event in history.run(step).1 {
                if let UserEvent::RecoveryCodeUsed { recovery_code_id, .. } = event {
                    prop_assert!(used.insert(recovery_code_id));
                }
            }
            let two_factor = history.user.two_factor();
            prop_assert_eq!(two_factor.recovery_code().is_some(), two_factor.is_enabled());
        }
    }

    #[test]
    fn s04_a_locked_user_never_passes_with_a_code(steps in steps()) {
        let mut history = History::new();
        for step in &steps {
            let (before, events) = history.run(step);
            let locked = before.two_factor().failures(Factor::Totp).locked_at(history.at).is_some();
            let passed = events.iter().any(|event| matches!(event, UserEvent::SecondFactorPassed { .. }));
            prop_assert!(!(locked && passed));
        }
    }

    #[test]
    fn s04_no_more_than_ten_failures_in_a_row_are_judged_without_a_lock(steps in steps()) {
        let mut history = History::new();
        let mut in_a_row = 0;
        for step in &steps {
            for event in history.run(step).1 {
                // Any success starts the count anew, as does a new binding.
                let anew = matches!(
                    event,
                    UserEvent::SecondFactorPassed { .. }
                        | UserEvent::RecoveryCodeUsed { .. }
                        | UserEvent::AuthenticatorAdded { .. }
                        | UserEvent::TwoFactorDisabled { .. }
                        | UserEvent::TwoFactorReset { .. }
                );
                if anew {
                    in_a_row = 0;
                }
                if let UserEvent::SecondFactorFailed { factor: Factor::Totp, .. } = event {
                    in_a_row += 1;
                }
                if let UserEvent::SecondFactorLocked { factor: Factor::Totp, .. } = event {
                    prop_assert_eq!(in_a_row, 10);
                    in_a_row = 0;
                }
                prop_assert!(in_a_row <= 10);
            }
        }
    }

    #[test]
    fn s11_an_enforced_user_cannot_disable(steps in steps()) {
        let mut history = History::new();
        for step in &steps {
            let (_, events) = history.run(step);
            if let Step::Disable { enforced: true, .. } = step {
                prop_assert_eq!(events, vec![]);
            }
        }
    }

    #[test]
    fn s14_whatever_came_before_an_erased_person_keeps_nothing_and_nothing_comes_after(
        before in steps(),
        after in steps(),
    ) {
        let mut history = History::new();
        for step in &before {
            history.run(step);
        }
        // As they would be asked for by somebody who has not heard of it.
        let asked: Vec<UserCommand> = after.iter().filter_map(|step| history.clone().command(step)).collect();
        let erase = UserCommand::Erase(EraseUser { is_linked: false, at: history.at });
        for event in history.user.decide(erase).unwrap() {
            history.user.apply(&event);
        }
        let at = Some(history.at);
        prop_assert_eq!(&history.user, &User { erased_at: at, latest_at: at, ..User::default() });
        for command in asked {
            let refused = history.user.decide(command).unwrap_err();
            prop_assert!(matches!(refused, UserRefusal::NotRegistered | UserRefusal::ChallengeExpired));
        }
    }

    #[test]
    fn replay_equals_the_live_state_and_both_survive_serialisation(steps in steps()) {
        let mut history = History::new();
        for step in &steps {
            history.run(step);
        }
        let stored: Vec<String> =
            history.events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
        let read = stored.iter().map(|json| serde_json::from_str::<UserEvent>(json).unwrap());
        prop_assert_eq!(&replay(read), &history.user);
        let snapshot = serde_json::to_string(&history.user).unwrap();
        prop_assert_eq!(serde_json::from_str::<User>(&snapshot).unwrap(), history.user);
    }
}
