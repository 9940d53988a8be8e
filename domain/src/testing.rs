#![expect(
    clippy::needless_pass_by_value,
    clippy::trivially_copy_pass_by_ref,
    reason = "expectations read best written in place"
)]
//! Given events, when a command, then events or a refusal; and the cast of the tests.

use uuid::Uuid;

use crate::Timestamp;
use crate::agreement::{Agreement, AgreementCommand, AgreementEvent, AgreementRefusal};
use crate::ids::{
    AgreementId, ApiKeyId, AuthenticatorId, EnrolmentId, PasswordId, RecoveryCodeId, SessionId, UserId,
    WebhookId,
};
use crate::instance::{Instance, InstanceCommand, InstanceEvent, InstanceRefusal};
use crate::requirement::Requirement;
use crate::sealed::{Sealed, TokenDigest};
use crate::user::enrolment::Starter;
use crate::user::judging::{CodeMatch, Shown};
use crate::user::proof::{Asker, PasswordShown, Proof};
use crate::user::session::NewSession;
use crate::user::totp::MatchedStep;
use crate::user::{Factor, FailureReason, PasswordJudge, User, UserCommand, UserEvent, UserRefusal};

/// The time step that confirmed the enrolment of [`enrolled_user`].
pub(crate) const ENROLMENT_STEP: u64 = 100;

pub(crate) struct Given<State> {
    state: State,
}

pub(crate) struct Outcome<State, Event, Refusal> {
    state: State,
    result: Result<Vec<Event>, Refusal>,
}

pub(crate) fn given(events: impl IntoIterator<Item = UserEvent>) -> Given<User> {
    Given { state: replay(events) }
}

pub(crate) fn given_agreement(events: impl IntoIterator<Item = AgreementEvent>) -> Given<Agreement> {
    let mut state = Agreement::default();
    for event in events {
        state.apply(&event);
    }
    Given { state }
}

pub(crate) fn given_instance(events: impl IntoIterator<Item = InstanceEvent>) -> Given<Instance> {
    let mut state = Instance::default();
    for event in events {
        state.apply(&event);
    }
    Given { state }
}

pub(crate) fn replay(events: impl IntoIterator<Item = UserEvent>) -> User {
    let mut user = User::default();
    for event in events {
        user.apply(&event);
    }
    user
}

impl Given<User> {
    pub(crate) fn when(self, command: UserCommand) -> Outcome<User, UserEvent, UserRefusal> {
        let result = self.state.decide(command);
        Outcome { state: self.state, result }
    }
}

impl Given<Agreement> {
    pub(crate) fn when(
        self,
        command: AgreementCommand,
    ) -> Outcome<Agreement, AgreementEvent, AgreementRefusal> {
        let result = self.state.decide(command);
        Outcome { state: self.state, result }
    }
}

impl Given<Instance> {
    pub(crate) fn when(self, command: InstanceCommand) -> Outcome<Instance, InstanceEvent, InstanceRefusal> {
        let result = self.state.decide(command);
        Outcome { state: self.state, result }
    }
}

impl Outcome<User, UserEvent, UserRefusal> {
    /// These events and no others; gives the state after them.
    #[track_caller]
    pub(crate) fn then<const N: usize>(self, expected: [UserEvent; N]) -> User {
        assert_eq!(self.result, Ok(expected.to_vec()));
        let mut state = self.state;
        for event in &expected {
            state.apply(event);
        }
        state
    }

    #[track_caller]
    pub(crate) fn refused(self, refusal: &UserRefusal) {
        assert_eq!(self.result.as_ref(), Err(refusal));
    }
}

impl Outcome<Agreement, AgreementEvent, AgreementRefusal> {
    #[track_caller]
    pub(crate) fn then<const N: usize>(self, expected: [AgreementEvent; N]) {
        assert_eq!(self.result, Ok(expected.to_vec()));
    }

    #[track_caller]
    pub(crate) fn refused(self, refusal: &AgreementRefusal) {
        assert_eq!(self.result.as_ref(), Err(refusal));
    }
}

impl Outcome<Instance, InstanceEvent, InstanceRefusal> {
    /// These events and no others; gives the state after them.
    #[track_caller]
    pub(crate) fn then<const N: usize>(self, expected: [InstanceEvent; N]) -> Instance {
        assert_eq!(self.result, Ok(expected.to_vec()));
        let mut state = self.state;
        for event in &expected {
            state.apply(event);
        }
        state
    }

    #[track_caller]
    pub(crate) fn refused(self, refusal: &InstanceRefusal) {
        assert_eq!(self.result.as_ref(), Err(refusal));
    }
}

pub(crate) fn at_minute(minute: i64) -> Timestamp {
    let start = chrono::DateTime::from_timestamp(1_900_000_000, 0).unwrap();
    start + chrono::TimeDelta::minutes(minute)
}

macro_rules! numbered {
    ($($name:ident: $id:ident = $base:literal;)+) => {$(
        pub(crate) const fn $name(number: u128) -> $id {
            $id::from_uuid(Uuid::from_u128($base + number))
        }
    )+};
}

numbered! {
    user_id: UserId = 0x1_0000;
    agreement_id: AgreementId = 0x2_0000;
    authenticator_id: AuthenticatorId = 0x3_0000;
    enrolment_id: EnrolmentId = 0x4_0000;
    password_id: PasswordId = 0x5_0000;
    recovery_code_id: RecoveryCodeId = 0x6_0000;
    session_id: SessionId = 0x7_0000;
    api_key_id: ApiKeyId = 0x8_0000;
    webhook_id: WebhookId = 0x9_0000;
}

pub(crate) fn token_digest(number: u128) -> TokenDigest {
    TokenDigest::from_hex(format!("{number:064x}"))
}

pub(crate) fn sealed(ciphertext: &str) -> Sealed {
    Sealed::from_ciphertext(ciphertext.to_owned())
}

pub(crate) fn requirement() -> Requirement {
    requirement_with_deadline(None)
}

pub(crate) fn requirement_with_deadline(deadline: Option<Timestamp>) -> Requirement {
    Requirement { agreement_id: agreement_id(1), name: "Nordlys Regnskab".to_owned(), via: None, deadline }
}

pub(crate) fn user_registered() -> UserEvent {
    UserEvent::UserRegistered {
        user_id: user_id(1),
        email: sealed("sealed e-mail"),
        display_name: sealed("sealed name"),
        at: at_minute(0),
    }
}

/// Registered, with a password.
pub(crate) fn registered_user() -> Vec<UserEvent> {
    vec![user_registered(), UserEvent::PasswordSet { password_id: password_id(1), at: at_minute(0) }]
}

/// Registered, with a password, one authenticator and an emergency code.
pub(crate) fn enrolled_user() -> Vec<UserEvent> {
    let enrolled = [
        authenticator_added(1, ENROLMENT_STEP, 0),
        UserEvent::TwoFactorEnabled { at: at_minute(0) },
        UserEvent::RecoveryCodeIssued {
            recovery_code_id: recovery_code_id(1),
            replaces: None,
            at: at_minute(0),
        },
    ];
    registered_user().into_iter().chain(enrolled).collect()
}

pub(crate) fn starter() -> Starter {
    Starter::Session(session_id(1))
}

pub(crate) fn enrolment_started(number: u128, replace: bool) -> UserEvent {
    started(number, replace, starter())
}

pub(crate) fn enrolment_started_by(number: u128, started_by: Starter) -> UserEvent {
    started(number, false, started_by)
}

fn started(number: u128, replace: bool, started_by: Starter) -> UserEvent {
    UserEvent::TwoFactorEnrolmentStarted {
        enrolment_id: enrolment_id(number),
        authenticator_id: authenticator_id(number),
        label: sealed("phone"),
        replace,
        started_by,
        expires_at: at_minute(10),
        at: at_minute(0),
    }
}

pub(crate) fn authenticator_added(number: u128, step: u64, minute: i64) -> UserEvent {
    UserEvent::AuthenticatorAdded {
        enrolment_id: enrolment_id(number),
        authenticator_id: authenticator_id(number),
        label: sealed("phone"),
        step,
        at: at_minute(minute),
    }
}

pub(crate) fn second_factor_passed(step: u64, minute: i64) -> UserEvent {
    UserEvent::SecondFactorPassed { authenticator_id: authenticator_id(1), step, at: at_minute(minute) }
}

pub(crate) fn failed_code(reason: FailureReason, minute: i64) -> UserEvent {
    UserEvent::SecondFactorFailed { factor: Factor::Totp, reason, at: at_minute(minute) }
}

pub(crate) fn failures(count: usize) -> Vec<UserEvent> {
    vec![failed_code(FailureReason::Wrong, 0); count]
}

pub(crate) fn lock_until(minute: i64) -> UserEvent {
    UserEvent::SecondFactorLocked { factor: Factor::Totp, until: at_minute(minute), at: at_minute(0) }
}

pub(crate) fn challenged(number: u128, password_judged_by: PasswordJudge) -> UserEvent {
    UserEvent::LoginChallenged {
        challenge: token_digest(number),
        agreement_id: None,
        password_judged_by,
        expires_at: at_minute(105),
        at: at_minute(100),
    }
}

pub(crate) fn new_session(number: u128) -> NewSession {
    NewSession { session_id: session_id(number), token: token_digest(number) }
}

pub(crate) fn session_started(number: u128, minute: i64, second_factor_at: Option<Timestamp>) -> UserEvent {
    UserEvent::SessionStarted {
        session_id: session_id(number),
        token: token_digest(number),
        agreement_id: None,
        second_factor_at,
        expires_at: at_minute(minute + 24 * 60),
        at: at_minute(minute),
    }
}

pub(crate) fn session_with_second_factor(minute: i64) -> UserEvent {
    session_started(1, minute, Some(at_minute(minute)))
}

pub(crate) fn code_at_step(step: u64) -> Shown {
    code_with_digits_of(step, step)
}

/// The code of a step that has the digits of an earlier one.
pub(crate) fn code_with_digits_of(same_since: u64, step: u64) -> Shown {
    let matched = MatchedStep { step, same_since };
    Shown::Code { matches: vec![CodeMatch { authenticator_id: authenticator_id(1), matched }] }
}

pub(crate) const fn wrong_code() -> Shown {
    Shown::Code { matches: Vec::new() }
}

pub(crate) const fn right_recovery_code() -> Shown {
    Shown::RecoveryCode { matches: Some(recovery_code_id(1)), replacement: recovery_code_id(2) }
}

pub(crate) fn empty_proof() -> Proof {
    Proof { asked_by: Asker::Session(session_id(1)), password: PasswordShown::Nothing, second_factor: None }
}

pub(crate) fn proof_with_password() -> Proof {
    Proof { password: PasswordShown::Right(password_id(1)), ..empty_proof() }
}

pub(crate) fn proof_with(shown: Shown) -> Proof {
    Proof { second_factor: Some(shown), ..proof_with_password() }
}
