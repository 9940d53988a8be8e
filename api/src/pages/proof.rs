//! Proving to be there, on pages: asked for only where a session has not just passed its second factor.

use countersign_domain::user::User;
use maud::{Markup, html};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::fault::Fault;
use super::form::{self, Field, Kind};
use super::login::password_field;
use super::visit::Visit;
use crate::app::App;
use crate::problem::Problem;
use crate::request::Caller;
use crate::rest::proof::ProofBody;

/// What a form has to ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Needed {
    Nothing,
    Password,
    PasswordAndCode,
}

/// The fields of a proof, as they are sent.
#[derive(Default, Deserialize)]
pub(super) struct Shown {
    password: Option<Zeroizing<String>>,
    code: Option<Zeroizing<String>>,
    recovery_code: Option<Zeroizing<String>>,
}

impl Shown {
    /// What was given of it.
    pub(super) fn body(self) -> ProofBody {
        ProofBody {
            password: form::typed(self.password),
            code: form::typed(self.code).map(|code| form::digits(&code)),
            recovery_code: form::typed(self.recovery_code),
        }
    }
}

impl Needed {
    /// What this visitor has to show now.
    pub(super) async fn of(app: &App, visit: &Visit) -> Result<Self, Problem> {
        let Caller::Session { user_id, .. } = visit.request.caller else { return Ok(Self::Nothing) };
        let loaded = app.store.load::<User>(user_id, None).await?;
        let at = app.moment(loaded.state.latest_at()).at;
        if loaded.state.passed_second_factor_recently(visit.request.asker()?, at) {
            return Ok(Self::Nothing);
        }
        let enabled = loaded.state.two_factor().is_enabled();
        Ok(if enabled { Self::PasswordAndCode } else { Self::Password })
    }

    /// The fields.
    pub(super) fn fields(self, visit: &Visit, fault: Option<&Fault>) -> Markup {
        let words = visit.words;
        match self {
            Self::Nothing => html! {},
            Self::Password => password_field(visit, fault),
            Self::PasswordAndCode => html! {
                (password_field(visit, fault))
                // Either of the two does, so neither is required by itself.
                (Field {
                    name: "code",
                    label: words.say("code"),
                    hint: Some(words.say("code-hint")),
                    kind: Kind::OptionalCode,
                    value: "",
                    fault,
                }.markup())
                details.other open[fault.is_some_and(|fault| fault.field == Some("recovery_code"))] {
                    summary { (words.say("use-emergency-code")) }
                    (Field {
                        name: "recovery_code",
                        label: words.say("emergency-code"),
                        hint: Some(words.say("emergency-hint")),
                        kind: Kind::OptionalEmergencyCode,
                        value: "",
                        fault,
                    }.markup())
                }
            },
        }
    }
}
