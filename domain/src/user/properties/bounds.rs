//! The state stays bounded, seen from people who have nearly everything there can be.

use std::sync::LazyLock;

use super::*;

/// How many of each a person has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Counts {
    challenges: usize,
    sessions: usize,
    enrolments: usize,
    enrolment_tokens: usize,
    ended_enrolments: usize,
    authenticators: usize,
    password_failures: usize,
    roles: usize,
}

/// The bounds, written out: a limit that is raised is raised here too, knowingly.
const MAX: Counts = Counts {
    challenges: 32,
    sessions: 50,
    enrolments: 8,
    enrolment_tokens: 8,
    ended_enrolments: 32,
    authenticators: 10,
    password_failures: 20,
    roles: 2,
};

impl Counts {
    fn of(user: &User) -> Self {
        Self {
            challenges: user.challenges.len(),
            sessions: user.sessions.len(),
            enrolments: user.enrolments.len(),
            enrolment_tokens: user.enrolment_tokens.len(),
            ended_enrolments: user.ended_enrolments.len(),
            authenticators: user.two_factor.authenticators.len(),
            password_failures: user.password_failures.len(),
            roles: user.roles.len(),
        }
    }

    fn within(&self, max: &Self) -> bool {
        self.challenges <= max.challenges
            && self.sessions <= max.sessions
            && self.enrolments <= max.enrolments
            && self.enrolment_tokens <= max.enrolment_tokens
            && self.ended_enrolments <= max.ended_enrolments
            && self.authenticators <= max.authenticators
            && self.password_failures <= max.password_failures
            && self.roles <= max.roles
    }
}

impl History {
    fn repeat(&mut self, times: usize, steps: &[Step]) {
        for step in std::iter::repeat_n(steps, times).flatten() {
            self.run(step);
        }
    }
}

const ENROL: Step = Step::Enrol { shown: Guess::NextCode, replace: false };
const CONFIRM: Step = Step::Confirm { right: true };

const fn sign_in(required: Required) -> Step {
    // No challenge of this number is asked for by the steps that follow.
    Step::SignIn { challenge: 99, required }
}

/// Somebody with a password alone. The failures are an hour old, so that more will be recorded.
static CROWDED_WITHOUT_TWO_FACTOR: LazyLock<History> = LazyLock::new(|| {
    let mut history = History::of(registered_user());
    history.repeat(19, &[Step::WrongPassword]);
    history.repeat(1, &[Step::Wait { minutes: 61 }]);
    // Eight are pending in the end, and a new password ends those as well.
    history.repeat(31, &[ENROL]);
    history.repeat(1, &[Step::ChangePassword { shown: Guess::NextCode }]);
    history.repeat(42, &[sign_in(Required::No)]);
    history.repeat(7, &[sign_in(Required::ByLater)]);
    history.repeat(7, &[ENROL]);
    history
});

/// The same with two-factor. Sessions come first: with two-factor each would take a code.
static CROWDED_WITH_TWO_FACTOR: LazyLock<History> = LazyLock::new(|| {
    let mut history = History::of(registered_user());
    history.repeat(19, &[Step::WrongPassword]);
    history.repeat(1, &[Step::Wait { minutes: 61 }]);
    history.repeat(49, &[sign_in(Required::No)]);
    history.repeat(22, &[ENROL]);
    history.repeat(9, &[ENROL, CONFIRM]);
    history.repeat(30, &[sign_in(Required::No)]);
    history.repeat(7, &[ENROL]);
    history
});

#[test]
fn the_histories_start_just_below_every_bound() {
    let without = Counts {
        challenges: 0,
        sessions: 49,
        enrolments: 7,
        enrolment_tokens: 7,
        ended_enrolments: 31,
        authenticators: 0,
        password_failures: 19,
        roles: 0,
    };
    assert_eq!(Counts::of(&CROWDED_WITHOUT_TWO_FACTOR.user), without);
    let with = Counts { challenges: 30, enrolment_tokens: 0, authenticators: 9, ..without };
    assert_eq!(Counts::of(&CROWDED_WITH_TWO_FACTOR.user), with);
}

/// Steps that add something, nearly all of them; time hardly passes.
fn crowding_steps() -> impl Strategy<Value = Vec<Step>> {
    let shown = || prop_oneof![9 => Just(Guess::NextCode), 1 => guesses()];
    let replace = || prop::bool::weighted(0.05);
    let challenge = || prop_oneof![0_u128..4, Just(99)];
    let step = prop_oneof![
        60 => (challenge(), required())
            .prop_map(|(challenge, required)| Step::SignIn { challenge, required }),
        40 => (challenge(), shown()).prop_map(|(challenge, shown)| Step::Verify { challenge, shown }),
        20 => Just(Step::WrongPassword),
        40 => (shown(), replace()).prop_map(|(shown, replace)| Step::Enrol { shown, replace }),
        10 => Just(Step::EnrolWithToken),
        10 => prop::bool::weighted(0.8).prop_map(|right| Step::Confirm { right }),
        4 => shown().prop_map(|shown| Step::NewRecoveryCode { shown }),
        2 => (0_i64..3).prop_map(|minutes| Step::Wait { minutes }),
        1 => shown().prop_map(|shown| Step::Disable { shown, enforced: false }),
        1 => rare(),
        2 => role().prop_map(Step::Grant),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn the_state_is_bounded_and_names_each_vault_row_once(with: bool, steps in crowding_steps()) {
        let mut history =
            if with { CROWDED_WITH_TWO_FACTOR.clone() } else { CROWDED_WITHOUT_TWO_FACTOR.clone() };
        for step in &steps {
            history.run(step);
            let counts = Counts::of(&history.user);
            prop_assert!(counts.within(&MAX), "{counts:?}");
            let rows = history.user.vault_rows();
            prop_assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len());
        }
    }
}
