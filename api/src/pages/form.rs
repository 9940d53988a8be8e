//! Forms: their fields, what is wrong with them, and how they are read.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use chrono::{Datelike, NaiveDate};
use maud::{Markup, html};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::fault::Fault;
use super::visit::{FORM_TOKEN, Visit};
use super::words::Words;
use crate::problem::{Problem, ProblemCode};

/// A form that was sent.
pub(super) struct Form<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Problem> {
        let unreadable = || Problem::new(ProblemCode::MalformedRequest, "The form cannot be read.");
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|_| Problem::from_status(StatusCode::BAD_REQUEST))?;
        let fields: Vec<(String, String)> = serde_html_form::from_bytes(&bytes).map_err(|_| unreadable())?;
        if fields.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
            return Err(unreadable());
        }
        serde_html_form::from_bytes(&bytes).map(Self).map_err(|_| unreadable())
    }
}

/// What stands in the address behind the question mark. What cannot be read there is told as a page.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let unreadable = |_| Problem::new(ProblemCode::MalformedRequest, "The address cannot be read.");
        let query = parts.uri.query().unwrap_or_default();
        serde_html_form::from_str(query).map(Self).map_err(unreadable)
    }
}

/// What was typed, if anything was: browsers send empty fields too.
pub(super) fn typed(text: Option<Zeroizing<String>>) -> Option<Zeroizing<String>> {
    text.filter(|text| !text.trim().is_empty())
}

/// What stands in a field of a filter, if anything does.
pub(super) fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// A day, as browsers send it.
pub(super) fn day(field: &str, text: Option<&str>) -> Result<Option<NaiveDate>, Problem> {
    let day = |text: &str| text.parse().ok().filter(|day: &NaiveDate| (1..=9998).contains(&day.year()));
    let wrong = || Problem::invalid_field(field, "It must be a day, such as 2027-03-01.");
    given(text).map(|text| day(text).ok_or_else(wrong)).transpose()
}

/// A code with the blanks that apps show in it.
pub(super) fn digits(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.chars().filter(|character| !character.is_whitespace()).collect())
}

/// What binds a form to its browser and session.
pub(super) fn token(visit: &Visit) -> Markup {
    html! { input type="hidden" name=(FORM_TOKEN) value=(visit.form_token); }
}

/// One field with its name, a hint, and what is wrong with it.
pub(super) struct Field<'f> {
    pub(super) name: &'static str,
    pub(super) label: String,
    pub(super) hint: Option<String>,
    pub(super) kind: Kind,
    pub(super) value: &'f str,
    pub(super) fault: Option<&'f Fault>,
}

/// What is typed into a field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Email,
    /// The password so far.
    Password,
    /// Six digits.
    Code,
    EmergencyCode,
    /// Either of these two, where one of them does.
    OptionalCode,
    OptionalEmergencyCode,
    Text,
    Date,
}

impl Field<'_> {
    pub(super) fn markup(&self) -> Markup {
        let Self { name, label, hint, kind, value, .. } = self;
        let fault = self.fault.filter(|fault| fault.field == Some(*name));
        let hint_id = format!("{name}-hint");
        let fault_id = format!("{name}-fault");
        let described = [hint.as_ref().map(|_| hint_id.as_str()), fault.map(|_| fault_id.as_str())];
        let described: Vec<&str> = described.into_iter().flatten().collect();
        let described = (!described.is_empty()).then(|| described.join(" "));
        html! {
            div.field.wrong[fault.is_some()] {
                label for=(name) { (label) }
                @if let Some(hint) = hint { p.hint id=(hint_id) { (hint) } }
                @if let Some(fault) = fault { p.fault id=(fault_id) { (fault.text) } }
                input id=(name) name=(name) type=(kind.input_type()) value=(value) class=(kind.class())
                    autocomplete=(kind.autocomplete()) inputmode=[kind.inputmode()] maxlength=[kind.length_max()]
                    autocapitalize=[kind.autocapitalize()] spellcheck=[kind.spellcheck()]
                    aria-invalid=[fault.map(|_| "true")] aria-describedby=[described] required[kind.is_required()];
            }
        }
    }
}

impl Kind {
    const fn input_type(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Password => "password",
            Self::Date => "date",
            Self::Code
            | Self::OptionalCode
            | Self::EmergencyCode
            | Self::OptionalEmergencyCode
            | Self::Text => "text",
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Code | Self::OptionalCode => "code digits",
            Self::EmergencyCode | Self::OptionalEmergencyCode => "code",
            Self::Email | Self::Password | Self::Text | Self::Date => "",
        }
    }

    const fn autocomplete(self) -> &'static str {
        match self {
            Self::Email => "username",
            Self::Password => "current-password",
            Self::Code | Self::OptionalCode => "one-time-code",
            Self::EmergencyCode | Self::OptionalEmergencyCode | Self::Text | Self::Date => "off",
        }
    }

    fn inputmode(self) -> Option<&'static str> {
        matches!(self, Self::Code | Self::OptionalCode).then_some("numeric")
    }

    // Room for the blanks that people type or paste; the script sends the form at six digits.
    fn length_max(self) -> Option<u16> {
        match self {
            Self::Code | Self::OptionalCode => Some(16),
            Self::EmergencyCode | Self::OptionalEmergencyCode => Some(40),
            Self::Email | Self::Password | Self::Text | Self::Date => None,
        }
    }

    fn autocapitalize(self) -> Option<&'static str> {
        matches!(self, Self::EmergencyCode | Self::OptionalEmergencyCode).then_some("characters")
    }

    fn spellcheck(self) -> Option<&'static str> {
        (!matches!(self, Self::Password | Self::Text | Self::Date)).then_some("false")
    }

    const fn is_required(self) -> bool {
        match self {
            Self::Email | Self::Password | Self::Code | Self::EmergencyCode => true,
            Self::OptionalCode | Self::OptionalEmergencyCode | Self::Text | Self::Date => false,
        }
    }
}

/// What is wrong, at the top of the page, leading to the field.
pub(super) fn summary(words: Words, fault: Option<&Fault>) -> Markup {
    html! {
        @if let Some(fault) = fault {
            div.summary role="alert" tabindex="-1" {
                h2 { (words.say("there-is-a-problem")) }
                @match fault.field {
                    Some(field) => p { a href=(format!("#{field}")) { (fault.text) } },
                    None => p { (fault.text) },
                }
            }
        }
    }
}
