//! Where people are sent: pages of this host, and those of other hosts that the configuration names.

use axum::response::{IntoResponse, Redirect, Response};

use super::cookies::{self, Kept};
use super::visit::Visit;
use crate::app::App;

/// An address within this host, if it is one and nothing that a browser could take for another host's.
pub(super) fn here(address: &str) -> Option<&str> {
    (address.starts_with('/') && !address.starts_with("//") && is_plain(address)).then_some(address)
}

/// Whether it can stand in a header and in a cookie and say there what it says here. Browsers read a backslash as a
/// slash, and a semicolon ends a cookie's value.
fn is_plain(address: &str) -> bool {
    address.chars().all(|character| character.is_ascii_graphic() && !matches!(character, '\\' | ';' | '"'))
}

/// Where somebody may be sent back to: a page of ours, or one of a configured origin.
pub(super) fn allowed<'a>(app: &App, address: &'a str) -> Option<&'a str> {
    let of_origin = |origin: &String| {
        address.strip_prefix(origin.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    here(address)
        .or_else(|| (is_plain(address) && app.config.return_to.iter().any(of_origin)).then_some(address))
}

impl Visit {
    /// Where the person came from, if that is allowed.
    pub(super) fn return_to<'v>(&'v self, app: &App) -> Option<&'v str> {
        allowed(app, self.cookies.text(Kept::ReturnTo)?)
    }

    /// Goes back to where the person came from, or to their account.
    pub(super) fn back(&self, app: &App) -> Response {
        let to = self.return_to(app).unwrap_or("/account");
        let mut response = Redirect::to(to).into_response();
        cookies::add(response.headers_mut(), [cookies::forget(Kept::ReturnTo)]);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_this_host_is_one() {
        for own in ["/account", "/agreements/1?x=//y", "/"] {
            assert_eq!(here(own), Some(own));
        }
        for other in [
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "",
            "account",
            "/\r\nx",
            "/x;Domain=evil.example",
            "/a b",
            "/\"",
        ] {
            assert_eq!(here(other), None, "{other}");
        }
    }
}
