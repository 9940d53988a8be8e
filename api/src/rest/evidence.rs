//! Evidence reports over HTTP.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use countersign_domain::ids::AgreementId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{OneId, Params, Problems, Shared};
use crate::evidence::content_security_policy;
use crate::evidence::question::{Asked, Question, ReportName};
use crate::evidence::report::Evidence;
use crate::problem::{Problem, ProblemCode};
use crate::request::Request;

/// What narrows a report. One that has no use for a parameter refuses it.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EvidenceParams {
    /// About this agreement, and people who were linked to it.
    #[param(value_type = Option<uuid::Uuid>)]
    agreement: Option<AgreementId>,
    /// As things were at this moment; now, if it is not given.
    #[serde(default, deserialize_with = "crate::time::optional")]
    as_of: Option<DateTime<Utc>>,
    /// Recorded at this time or later.
    #[serde(default, deserialize_with = "crate::time::optional")]
    from: Option<DateTime<Utc>>,
    /// Recorded before this time.
    #[serde(default, deserialize_with = "crate::time::optional")]
    to: Option<DateTime<Utc>>,
    /// How it is written.
    #[param(inline)]
    #[serde(default)]
    format: Format,
}

impl EvidenceParams {
    /// This question, with its answer written so.
    pub(crate) const fn of(asked: Asked, format: Format) -> Self {
        let Asked { agreement, as_of, from, to } = asked;
        Self { agreement, as_of, from, to, format }
    }
}

/// How a report is written.
#[derive(Clone, Copy, Default, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The report for programs, with the signed note beside it.
    #[default]
    Json,
    /// The signed note alone.
    Note,
    /// A page to read and print.
    Html,
}

/// Answers an evidence report, signed with the ledger's key: `report` for programs, and `note`, a C2SP signed note
/// whose text is the same report as one line of JSON. The reports are `enforcement-on-date`, `disabled`,
/// `policy-history`, `sign-ins-without-second-factor`, `recovery-codes`, `lockouts`, `admin-actions`, `audit-reads`,
/// `integrity`, `replay` and `erasures`. `holds` says of a report that can fail whether it is as it should be.
/// None is cut short: beyond 10,000 rows the answer is 422 `too-many-rows`. Of `enforcement-on-date`,
/// `sign-ins-without-second-factor`, `integrity` and `replay` a node makes one at a time.
#[utoipa::path(
    get, path = "/v1/compliance/evidence/{report}", tag = "compliance", security(("bearer" = [])),
    params(("report" = String, Path), EvidenceParams),
    responses(
        (status = 200, description = "The report, signed", content(
            (Evidence = "application/json"), (String = "text/html"), (String = "text/plain")
        )),
        Problems
    )
)]
pub async fn evidence(
    State(app): Shared,
    request: Request,
    Path(name): OneId,
    Params(params): Params<EvidenceParams>,
) -> Result<Response, Problem> {
    let report = ReportName::find(&name).map_err(|_| {
        let detail = format!("There is no such report. There are {}.", ReportName::names().join(", "));
        Problem::new(ProblemCode::NotFound, detail)
    })?;
    let EvidenceParams { agreement, as_of, from, to, format } = params;
    let question = Question::of(report, Asked { agreement, as_of, from, to }, app.clock.now())?;
    let _place = app.place_for(&question)?;
    app.record_question(&request, &question).await?;
    let evidence = app.evidence(&question).await?;
    Ok(match format {
        Format::Json => ([(header::CONTENT_TYPE, "application/json")], evidence.to_json()?).into_response(),
        Format::Note => {
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], evidence.note).into_response()
        }
        Format::Html => page(evidence.to_html(app.ledger.verifier())),
    })
}

fn page(html: String) -> Response {
    let policy = format!("{}; frame-ancestors 'none'", content_security_policy());
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    (headers, html).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt;

    use crate::app::App;
    use crate::operator;
    use crate::router::router;
    use crate::testing::app_in;

    async fn status(app: &Arc<App>, key: &str, report: &str) -> StatusCode {
        let request = Request::get(format!("/v1/compliance/evidence/{report}"))
            .header("authorization", format!("Bearer {key}"))
            .body(Body::empty())
            .unwrap();
        router(Arc::clone(app)).oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn one_report_that_takes_long_is_made_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let app = app_in(directory.path()).await;
        let key = operator::issue_api_key(&app, "auditor", &["audit:read"], None).await.unwrap();
        // No task gives places here: each question is recorded, and that has its place before it is asked again.
        for report in ["replay", "enforcement-on-date", "sign-ins-without-second-factor", "erasures"] {
            assert_eq!(status(&app, &key, report).await, StatusCode::SERVICE_UNAVAILABLE);
        }
        // It says what is wrong with the ledger, whatever that is.
        assert_eq!(status(&app, &key, "integrity").await, StatusCode::OK);
        app.ledger.sequence_all(app.clock.now()).await.unwrap();
        let asked = async |report| status(&app, &key, report).await;
        let place = app.long_reports.try_acquire().unwrap();
        let long = ["integrity", "replay", "enforcement-on-date", "sign-ins-without-second-factor"];
        for report in long {
            assert_eq!(asked(report).await, StatusCode::SERVICE_UNAVAILABLE, "{report}");
        }
        assert_eq!(asked("erasures").await, StatusCode::OK);
        drop(place);
        for report in long {
            assert_eq!(asked(report).await, StatusCode::OK, "{report}");
        }
    }
}
