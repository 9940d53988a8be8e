//! What auditors have beside the trail: exports of it, and reports to print.

use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use countersign_domain::ids::AgreementId;
use maud::{Markup, html};
use serde::Deserialize;
use strum::IntoEnumIterator;

use super::filter::{self, Asked};
use super::look_back::end_of_day;
use crate::app::App;
use crate::evidence::question::{self, ReportName};
use crate::pages::fault::Fault;
use crate::pages::form::{self, Field, Kind, Query};
use crate::pages::frame::{Page, Rail};
use crate::pages::visit::Visit;
use crate::problem::Problem;
use crate::rest::audit::export::{self, Export};
use crate::rest::evidence::{self, EvidenceParams, Format};
use crate::rest::{OneId, Params, Shared};

/// In which formats the trail can be taken away: as addresses name them, and as people do.
const FORMATS: [(&str, &str); 4] = [("csv", "CSV"), ("ndjson", "NDJSON"), ("ocsf", "OCSF"), ("cef", "CEF")];

/// The way to all of it, for those who see the whole trail. Of what is asked of the trail, a file has the period.
pub(super) fn ways(visit: &Visit, of: Option<AgreementId>, asked: &Asked) -> Markup {
    let words = visit.words;
    let (from, to) = asked.period().unwrap_or_default();
    html! {
        @if of.is_none() && visit.request.caller.has_the_scopes() {
            p.ways {
                a.button.second href="/audit/evidence" { (words.say("evidence-title")) }
                a.button.second href="/audit/look-back" { (words.say("look-back-title")) }
                @for (format, name) in FORMATS {
                    a.button.second href=(export_address(format, from, to)) download {
                        (words.say_with("export-as", [("format", name.into())]))
                    }
                }
            }
            @if asked.asks_beyond_period() {
                p.hint {
                    @if from.or(to).is_some() { (words.say("export-all-of-period")) }
                    @else { (words.say("export-all")) }
                }
            }
        }
    }
}

fn export_address(format: &str, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> String {
    let exact = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let asked = [("format", Some(format.to_owned())), ("from", from.map(exact)), ("to", to.map(exact))];
    let asked: Vec<_> = asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    format!("/audit/export?{}", serde_html_form::to_string(&asked).unwrap_or_default())
}

/// The trail as a file.
pub(in crate::pages) async fn export(
    app: Shared,
    visit: Visit,
    params: Params<Export>,
) -> Result<Response, Problem> {
    export::export(app, visit.request, params).await
}

/// Which report is to be made, and of what.
#[derive(Default, Deserialize)]
pub(in crate::pages) struct ReportAsked {
    report: Option<String>,
    agreement: Option<String>,
    on: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

/// Which reports there are, or what the one that was chosen is to be about.
pub(in crate::pages) async fn reports(
    State(app): Shared,
    visit: Visit,
    Query(asked): Query<ReportAsked>,
) -> Result<Response, Problem> {
    let rail = visit.rail(&app).await?;
    if let Some(name) = &asked.report {
        return Ok(visit.show(&asked.page(&visit, rail, named(name)?, None)));
    }
    let words = visit.words;
    let title = words.say("evidence-title");
    let body = html! {
        h1 { (title) }
        p { (words.say("evidence-text")) }
        ul.rows lang="en" {
            @for report in ReportName::iter() { li { a href=(address(report)) { (report.title()) } } }
        }
        p { a href="/audit" { (words.say("back-to-trail")) } }
    };
    Ok(visit.show(&Page::wide(title, rail, body)))
}

/// Where a report begins: with what it can be narrowed to, if it can.
fn address(report: ReportName) -> String {
    let asks = report.takes_agreement() || report.takes_as_of() || report.takes_period();
    format!("/audit/evidence{}{}", if asks { "?report=" } else { "/" }, report.name())
}

fn named(name: &str) -> Result<ReportName, Problem> {
    ReportName::find(name).map_err(|_| Problem::not_found("report"))
}

impl ReportAsked {
    /// The form of one report.
    fn page(&self, visit: &Visit, rail: Rail, report: ReportName, fault: Option<&Fault>) -> Page {
        let words = visit.words;
        let title = report.title().to_owned();
        let field = |name, (label, hint): (&str, Option<&str>), kind, value: &Option<String>| {
            let (value, hint) = (value.as_deref().unwrap_or_default(), hint.map(|hint| words.say(hint)));
            Field { name, label: words.say(label), hint, kind, value, fault }.markup()
        };
        let body = html! {
            (form::summary(words, fault))
            h1 lang="en" { (title) }
            form.narrow method="get" action=(format!("/audit/evidence/{}", report.name())) {
                @if report.takes_as_of() {
                    (field("on", ("report-day", Some("report-day-hint")), Kind::Date, &self.on))
                }
                @if report.takes_period() {
                    (field("from", ("from-day", None), Kind::Date, &self.from))
                    (field("to", ("to-day", None), Kind::Date, &self.to))
                }
                @if report.takes_agreement() {
                    (field("agreement", ("which-agreement", Some("report-agreement-hint")), Kind::Text, &self.agreement))
                }
                button type="submit" { (words.say("make-report")) }
            }
            p { a href="/audit/evidence" { (words.say("to-reports")) } }
        };
        Page::wide(title, rail, body)
    }

    /// The same as the report is asked.
    async fn narrowing(&self, app: &App, visit: &Visit) -> Result<question::Asked, Problem> {
        let as_of = end_of_day(self.on.as_deref(), app.clock.now())?;
        let (from, to) = filter::period(self.from.as_deref(), self.to.as_deref())?;
        let agreement = match form::given(self.agreement.as_deref()) {
            Some(agreement) => Some(app.agreement_meant(&visit.request, agreement).await?),
            None => None,
        };
        Ok(question::Asked { agreement, as_of, from, to })
    }
}

/// A report, to read and to print. That it was read is recorded.
pub(in crate::pages) async fn report(
    State(app): Shared,
    visit: Visit,
    Path(name): OneId,
    Query(asked): Query<ReportAsked>,
) -> Result<Response, Problem> {
    let report = named(&name)?;
    match asked.narrowing(&app, &visit).await {
        Ok(narrowing) => {
            let params = Params(EvidenceParams::of(narrowing, Format::Html));
            evidence::evidence(State(app), visit.request, Path(name), params).await
        }
        Err(problem) => {
            let rail = visit.rail(&app).await?;
            Ok(visit.again(problem, |fault| visit.render(&asked.page(&visit, rail, report, Some(fault)))))
        }
    }
}
