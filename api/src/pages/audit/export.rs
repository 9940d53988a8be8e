//! Copies of the trail as files, for those who may see all of it.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use strum::IntoEnumIterator;

use crate::pages::visit::Visit;
use crate::problem::Problem;
use crate::request::forbidden;
use crate::rest::audit::EntryFilter;
use crate::rest::audit::export::{self, Export, Format};
use crate::rest::{Params, Shared};

/// Whether this visitor may take copies. No session is an auditor's so far: they come with an API key.
const fn may_export(_: &Visit) -> bool {
    false
}

/// Where each format is had, of the time that is asked for.
pub(super) fn links(visit: &Visit, filter: &EntryFilter) -> Markup {
    let times = [("from", filter.from), ("to", filter.to)];
    let times: Vec<_> = times.into_iter().filter_map(|(name, at)| Some((name, at?.to_rfc3339()))).collect();
    let query = serde_html_form::to_string(&times).unwrap_or_default();
    html! {
        @if may_export(visit) {
            p.ways {
                span { (visit.words.say("export")) }
                @for format in Format::iter() {
                    @let name: &str = format.into();
                    a href=(format!("/audit/export?format={name}&{query}")) download { (name) }
                }
            }
        }
    }
}

/// The file.
pub(in crate::pages) async fn download(
    State(app): Shared,
    visit: Visit,
    Params(asked): Params<Export>,
) -> Result<Response, Problem> {
    if !may_export(&visit) {
        return Err(forbidden());
    }
    export::export(State(app), visit.request, Params(asked)).await
}
