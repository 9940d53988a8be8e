//! What auditors have beside the trail: exports of it, and reports to print.

use axum::extract::State;
use axum::response::Response;
use countersign_domain::ids::AgreementId;
use maud::{Markup, html};
use strum::IntoEnumIterator;

use crate::evidence::question::ReportName;
use crate::pages::frame::Page;
use crate::pages::visit::Visit;
use crate::problem::Problem;
use crate::rest::audit::export::{self, Export};
use crate::rest::evidence::{self, EvidenceParams, Format};
use crate::rest::{OneId, Params, Shared};

/// In which formats the trail can be taken away: as addresses name them, and as people do.
const FORMATS: [(&str, &str); 4] = [("csv", "CSV"), ("ndjson", "NDJSON"), ("ocsf", "OCSF"), ("cef", "CEF")];

/// The way to all of it, for those who see the whole trail.
pub(super) fn ways(visit: &Visit, of: Option<AgreementId>) -> Markup {
    let words = visit.words;
    html! {
        @if of.is_none() && visit.request.caller.has_the_scopes() {
            p.ways {
                a.button.second href="/audit/evidence" { (words.say("evidence-title")) }
                a.button.second href="/audit/look-back" { (words.say("look-back-title")) }
                @for (format, name) in FORMATS {
                    a.button.second href=(format!("/audit/export?format={format}")) download {
                        (words.say_with("export-as", [("format", name.into())]))
                    }
                }
            }
        }
    }
}

/// The trail as a file.
pub(in crate::pages) async fn export(
    app: Shared,
    visit: Visit,
    params: Params<Export>,
) -> Result<Response, Problem> {
    export::export(app, visit.request, params).await
}

/// Which reports there are.
pub(in crate::pages) async fn reports(State(app): Shared, visit: Visit) -> Result<Response, Problem> {
    let words = visit.words;
    let title = words.say("evidence-title");
    let body = html! {
        h1 { (title) }
        p { (words.say("evidence-text")) }
        ul.rows lang="en" {
            @for report in ReportName::iter() {
                li { a href=(format!("/audit/evidence/{}", report.name())) { (report.title()) } }
            }
        }
        p { a href="/audit" { (words.say("back-to-trail")) } }
    };
    Ok(visit.show(&Page::wide(title, visit.rail(&app).await?, body)))
}

/// A report, to read and to print. That it was read is recorded.
pub(in crate::pages) async fn report(
    app: Shared,
    visit: Visit,
    name: OneId,
    Params(params): Params<EvidenceParams>,
) -> Result<Response, Problem> {
    evidence::evidence(app, visit.request, name, Params(params.written_as(Format::Html))).await
}
