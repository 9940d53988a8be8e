//! Evidence reports: what an auditor asks for, in one signed answer that names what it rests on.
//!
//! Reading order:
//! 1. [`question`]: which reports there are, what each takes, and what is refused;
//! 2. [`report`]: the shape of every report, and how it is signed;
//! 3. `listing`: reports that are entries of the trail; `required` and `sign_ins`: who had to have two-factor;
//!    `checks`: the ledger verified, and everything folded twice;
//! 4. `page`: a report for people to read and print.

mod checks;
mod listing;
mod page;
pub mod question;
pub mod report;
mod required;
mod sign_ins;
mod words;

pub(crate) use page::content_security_policy;

use countersign_domain::Timestamp;
use countersign_domain::agreement::{Agreement, AgreementRefusal};
use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::catch_up;
use countersign_projections::ledger::store::LedgerError;
use countersign_projections::ledger::tree::Hash;
use countersign_projections::replay::as_of::size_at;
use tokio::sync::SemaphorePermit;

use crate::app::App;
use crate::problem::Problem;
use crate::problem::refusals::busy;
use crate::request::Request;
use question::{Question, ReportName};
use report::{Evidence, Findings, Parameters, Report};

/// The part of the ledger that a report rests on.
#[derive(Clone, Copy, Debug)]
struct Ground {
    /// So many entries, from the first on.
    position: u64,
    /// The moment up to which they were recorded; now, if nobody asked for one.
    at: Timestamp,
}

impl App {
    /// Records that somebody asks, before anything is read.
    ///
    /// # Errors
    /// `not-found` if there is no such agreement.
    pub async fn record_question(&self, request: &Request, question: &Question) -> Result<(), Problem> {
        if let Some(id) = question.asked.agreement {
            let loaded = self.store.load::<Agreement>(id, None).await?;
            loaded.state.details().ok_or(AgreementRefusal::NotOpened)?;
        }
        self.record_audit_read(request, question.recorded()).await
    }

    /// A place for a report that goes through everything; the others need none.
    ///
    /// # Errors
    /// `busy` while there is one under way on this node.
    pub fn place_for(&self, question: &Question) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        if !question.report.goes_through_everything() {
            return Ok(None);
        }
        let place = self.long_reports.try_acquire();
        place.map(Some).map_err(|_| {
            busy("A report that goes through the whole ledger is under way on this node. Ask again later, or use the command line.")
        })
    }

    /// The report, signed.
    ///
    /// # Errors
    /// `busy` while the trail is behind, `too-many-rows` beyond the bound.
    pub async fn evidence(&self, question: &Question) -> Result<Evidence, Problem> {
        let ground = self.ground_of(question).await?;
        let listed = |listing| self.listed(question, ground, listing);
        let findings = match question.report {
            ReportName::EnforcementOnDate => self.who_was_required(question, ground).await?,
            ReportName::SignInsWithoutSecondFactor => {
                self.sign_ins_with_the_password_alone(question, ground).await?
            }
            ReportName::Integrity => self.ledger_verified().await?,
            ReportName::Replay => self.folded_twice(ground).await?,
            ReportName::Disabled => listed(&listing::DISABLED).await?,
            ReportName::PolicyHistory => listed(&listing::POLICY_HISTORY).await?,
            ReportName::RecoveryCodes => listed(&listing::RECOVERY_CODES).await?,
            ReportName::Lockouts => listed(&listing::LOCKOUTS).await?,
            ReportName::AdminActions => listed(&listing::ADMIN_ACTIONS).await?,
            ReportName::AuditReads => listed(&listing::AUDIT_READS).await?,
            ReportName::Erasures => listed(&listing::ERASURES).await?,
        };
        self.signed(question, ground, findings).await
    }

    async fn ground_of(&self, question: &Question) -> Result<Ground, Problem> {
        let at = question.asked.as_of.unwrap_or_else(|| self.clock.now());
        self.wait_for_what_was_recorded(at).await?;
        let position = match question.asked.as_of {
            Some(as_of) => size_at(&self.database, as_of).await?,
            None => catch_up::position::<AuditTrail>(&self.database).await?,
        };
        Ok(Ground { position, at })
    }

    async fn signed(
        &self,
        question: &Question,
        ground: Ground,
        findings: Findings,
    ) -> Result<Evidence, Problem> {
        let (position, root) = match findings.tree {
            Some(tree) => tree,
            None => (ground.position, self.root_of(ground.position).await?),
        };
        let report = Report {
            report: question.report.name(),
            title: question.report.title(),
            origin: self.ledger.verifier().origin().as_str().to_owned(),
            generated_at: self.clock.now(),
            position,
            root: root.to_string(),
            parameters: self.parameters(question, ground).await?,
            summary: findings.summary,
            holds: findings.holds,
            proved: findings.proved,
            not_proved: findings.not_proved,
            columns: findings.columns,
            rows: findings.rows.into_vec(),
        };
        let unwritable =
            |error: serde_json::Error| Problem::internal(format!("a report does not write: {error}"));
        let line = serde_json::to_string(&report).map_err(unwritable)?;
        Ok(Evidence { note: self.ledger.sign_report(&line)?, report })
    }

    async fn root_of(&self, position: u64) -> Result<Hash, Problem> {
        let state = self.ledger.store.state().await?.ok_or(LedgerError::NotThere)?;
        Ok(self.ledger.store.root(position, state.size()).await?)
    }

    async fn parameters(&self, question: &Question, ground: Ground) -> Result<Parameters, Problem> {
        let asked = &question.asked;
        let agreement = asked.agreement.map(|id| id.to_string());
        let names = self.names_of([].into(), agreement.as_deref().into_iter().collect()).await?;
        Ok(Parameters {
            agreement_name: agreement.as_deref().map(|id| names.agreement(id)),
            agreement,
            as_of: question.report.takes_as_of().then_some(ground.at),
            from: asked.from,
            to: asked.to,
        })
    }
}
