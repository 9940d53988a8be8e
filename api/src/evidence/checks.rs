//! The ledger verified, and everything folded twice: reports that go through every entry.

use countersign_projections::ledger::verify::Finding;
use countersign_projections::ledger::verify::stored::verify_stored;
use countersign_projections::replay::digest::{FoldedAt, fold_at};
use countersign_projections::replay::streams::Moment;
use countersign_projections::replay::{ReplayError, Unreadable};

use super::report::{Cell, Column, Findings, Row, Rows, column};
use super::words::counted;
use crate::app::App;
use crate::problem::Problem;

const FOUND: &[Column] = &[
    column("position", "Entry"),
    column("field", "Field"),
    column("problem", "What was found"),
    column("stream", "Stream"),
];

const FOLDED: &[Column] = &[
    column("stream_type", "Kind"),
    column("streams", "Streams"),
    column("events", "Events"),
    column("first", "Digest, folded once"),
    column("second", "Digest, folded again"),
    column("same", "Same"),
    column("position", "Entry"),
    column("problem", "What was found"),
];

impl App {
    /// Checks the ledger as `countersign verify` does; a row for each finding.
    pub(super) async fn ledger_verified(&self) -> Result<Findings, Problem> {
        let head = self.ledger.head.trusted();
        let verifier = self.ledger.verifier();
        let report = verify_stored(&self.database, verifier, head.as_ref(), |_, _| {}).await?;
        let mut rows = Rows::default();
        for finding in &report.findings {
            rows.push(found(finding))?;
        }
        let summary = if report.holds() {
            format!("All {} entries of the ledger are as they were recorded and signed.", report.size)
        } else if report.findings_total == 0 {
            report.to_string().trim_end().to_owned()
        } else {
            let total = usize::try_from(report.findings_total).unwrap_or(usize::MAX);
            let said = counted(
                total,
                ["", "thing is not as it was recorded", "things are not as they were recorded"],
            );
            // The verification names the first of them, and counts the rest.
            format!("The ledger of {} entries does not hold: {said}; {} named here.", report.size, rows.len())
        };
        Ok(Findings {
            holds: Some(report.holds()),
            proved: report.proved(),
            not_proved: report.not_proved(),
            tree: Some((report.size, report.root)),
            ..Findings::new(FOUND, rows, summary)
        })
    }

    /// Folds everything twice; a row for each kind of stream.
    pub(super) async fn folded_twice(&self, moment: Moment) -> Result<Findings, Problem> {
        match self.fold_both(moment).await {
            Ok((first, second)) => compared(&first, &second, moment.size),
            Err(ReplayError::Unreadable(unreadable)) => not_folded(&unreadable),
            Err(error) => Err(error.into()),
        }
    }

    async fn fold_both(&self, moment: Moment) -> Result<(FoldedAt, FoldedAt), ReplayError> {
        let first = fold_at(&self.database, moment, |_, _| {}).await?;
        Ok((first, fold_at(&self.database, moment, |_, _| {}).await?))
    }
}

fn found(finding: &Finding) -> Row {
    Row::default()
        .with_any("position", finding.position().map(Cell::Position))
        .with("field", Cell::Code(finding.field().to_owned()))
        .with("problem", Cell::Text(finding.problem.to_string()))
        .with_any("stream", finding.place.stream.clone().map(Cell::Code))
}

fn compared(first: &FoldedAt, second: &FoldedAt, size: u64) -> Result<Findings, Problem> {
    let seen = first.seen();
    let (same, complete) = (first == second, seen == size);
    let mut rows = Rows::default();
    for kind in &first.kinds {
        let again = second.kinds.iter().find(|again| again.stream_type == kind.stream_type);
        rows.push(
            Row::default()
                .with("stream_type", Cell::Text(kind.stream_type.clone()))
                .with("streams", Cell::Number(kind.streams))
                .with("events", Cell::Number(kind.events))
                .with("first", Cell::Code(kind.digest.to_string()))
                .with_any("second", again.map(|again| Cell::Code(again.digest.to_string())))
                .with("same", Cell::Flag(again == Some(kind))),
        )?;
    }
    let summary = match (same, complete) {
        (true, true) => format!("The first {size} entries fold to the same digests twice."),
        (false, _) => format!("The first {size} entries fold to other digests the second time."),
        (true, false) => format!("Only {seen} of the first {size} entries were there to fold."),
    };
    Ok(Findings { holds: Some(same && complete), ..Findings::new(FOLDED, rows, summary) })
}

fn not_folded(unreadable: &Unreadable) -> Result<Findings, Problem> {
    let mut rows = Rows::default();
    rows.push(
        Row::default()
            .with("stream_type", Cell::Text(unreadable.stream_type.clone()))
            .with_any("position", unreadable.position.map(Cell::Position))
            .with("problem", Cell::Text(unreadable.to_string())),
    )?;
    let summary = "Not everything can be folded: an event is gone or does not read.".to_owned();
    Ok(Findings { holds: Some(false), ..Findings::new(FOLDED, rows, summary) })
}
