//! The cookies of the pages. All of them are the host's own, for TLS only, and out of reach of scripts.

use axum::http::{HeaderMap, HeaderValue, header};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};

use crate::token::{PresentedToken, TokenKind};

/// What a browser keeps for us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    /// The token of a session.
    Session,
    /// The token of the step of a sign-in that is under way: a challenge or an enrolment.
    Step,
    /// What forms of this browser are bound to.
    Forms,
    /// The language that the person chose.
    Language,
    /// Where the person came from, and goes back to.
    ReturnTo,
}

impl Kept {
    // A browser lets no other host and no plain connection set a cookie of such a name.
    const fn name(self) -> &'static str {
        match self {
            Self::Session => "__Host-session",
            Self::Step => "__Host-step",
            Self::Forms => "__Host-forms",
            Self::Language => "__Host-language",
            Self::ReturnTo => "__Host-return-to",
        }
    }

    /// Those that outlive the browser's window.
    const fn max_age_s(self) -> Option<i64> {
        match self {
            Self::Language => Some(365 * 24 * 60 * 60),
            Self::Session | Self::Step | Self::Forms | Self::ReturnTo => None,
        }
    }
}

/// The cookies that came with a request.
#[derive(Clone, Debug)]
pub(super) struct Cookies(CookieJar);

impl Cookies {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(CookieJar::from_headers(headers))
    }

    pub(super) fn text(&self, kept: Kept) -> Option<&str> {
        self.0.get(kept.name()).map(Cookie::value)
    }

    /// The token that is kept there, if it is of this kind.
    pub(super) fn token(&self, kept: Kept, kind: TokenKind) -> Option<PresentedToken> {
        PresentedToken::parse(self.text(kept)?).filter(|token| token.kind == kind)
    }
}

/// What tells the browser to keep this.
pub(super) fn keep(kept: Kept, value: &str) -> Option<HeaderValue> {
    set(Cookie::new(kept.name(), value.to_owned()), kept.max_age_s())
}

/// What tells the browser to forget it.
pub(super) fn forget(kept: Kept) -> Option<HeaderValue> {
    set(Cookie::new(kept.name(), ""), Some(0))
}

fn set(mut cookie: Cookie<'static>, max_age_s: Option<i64>) -> Option<HeaderValue> {
    cookie.set_secure(true);
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Lax);
    cookie.set_path("/");
    // The crate's own way to say an age needs another crate's type.
    let text = match max_age_s {
        Some(seconds) => format!("{cookie}; Max-Age={seconds}"),
        None => cookie.to_string(),
    };
    HeaderValue::from_str(&text).ok()
}

/// Puts these into an answer.
pub(super) fn add(headers: &mut HeaderMap, cookies: impl IntoIterator<Item = Option<HeaderValue>>) {
    for cookie in cookies.into_iter().flatten() {
        headers.append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s17_cookies_are_the_hosts_own_and_out_of_reach_of_scripts() {
        let cookie = keep(Kept::Session, "css_token").unwrap();
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.starts_with("__Host-session=css_token;"), "{cookie}");
        for attribute in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
            assert!(cookie.split("; ").any(|part| part == attribute), "{attribute} in {cookie}");
        }
        assert!(!cookie.contains("Domain"));
        assert!(forget(Kept::Session).unwrap().to_str().unwrap().contains("Max-Age=0"));
    }
}
