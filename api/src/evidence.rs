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

use countersign_domain::agreement::{Agreement, AgreementRefusal};
use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::catch_up;
use countersign_projections::ledger::store::LedgerError;
use countersign_projections::ledger::tree::Hash;
use countersign_projections::replay::as_of::moment;
use countersign_projections::replay::streams::Moment;
use tokio::sync::SemaphorePermit;

use crate::app::App;
use crate::problem::Problem;
use crate::problem::refusals::busy;
use crate::request::Request;
use question::{Question, ReportName};
use report::{Evidence, Findings, Parameters, Report};

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

    /// A place for a report that takes long; the others need none.
    ///
    /// # Errors
    /// `busy` while there is one under way on this node.
    pub fn place_for(&self, question: &Question) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        if !question.report.takes_long() {
            return Ok(None);
        }
        let place = self.long_reports.try_acquire();
        place.map(Some).map_err(|_| {
            busy("A report that takes long is under way on this node. Ask again later, or use the command line.")
        })
    }

    /// The report, signed.
    ///
    /// # Errors
    /// `busy` while the trail is behind, `too-many-rows` beyond the bound.
    pub async fn evidence(&self, question: &Question) -> Result<Evidence, Problem> {
        let moment = self.moment_asked_about(question).await?;
        let listed = |listing| self.listed(question, moment, listing);
        let findings = match question.report {
            ReportName::EnforcementOnDate => self.who_was_required(question, moment).await?,
            ReportName::SignInsWithoutSecondFactor => {
                self.sign_ins_with_the_password_alone(question, moment).await?
            }
            ReportName::Integrity => self.ledger_verified().await?,
            ReportName::Replay => self.folded_twice(moment).await?,
            ReportName::Disabled => listed(&listing::DISABLED).await?,
            ReportName::PolicyHistory => listed(&listing::POLICY_HISTORY).await?,
            ReportName::RecoveryCodes => listed(&listing::RECOVERY_CODES).await?,
            ReportName::Lockouts => listed(&listing::LOCKOUTS).await?,
            ReportName::AdminActions => listed(&listing::ADMIN_ACTIONS).await?,
            ReportName::AuditReads => listed(&listing::AUDIT_READS).await?,
            ReportName::Erasures => listed(&listing::ERASURES).await?,
        };
        self.signed(question, moment, findings).await
    }

    /// The moment that is asked about, with what a report rests on; now, with all entries, if none is.
    async fn moment_asked_about(&self, question: &Question) -> Result<Moment, Problem> {
        let now = self.clock.now();
        let at = question.asked.as_of.unwrap_or(now);
        if question.report == ReportName::Integrity {
            // It says what is wrong, also where something keeps the ledger or the trail from going on.
            let state = self.ledger.store.state().await?.ok_or(LedgerError::NotThere)?;
            return Ok(Moment { at, size: state.size() });
        }
        // What is recorded after the period does not matter.
        self.wait_for_what_was_recorded(question.asked.to.map_or(at, |to| to.min(at))).await?;
        match question.asked.as_of {
            Some(as_of) => Ok(moment(&self.database, as_of).await?),
            None => Ok(Moment { at, size: catch_up::position::<AuditTrail>(&self.database).await? }),
        }
    }

    async fn signed(
        &self,
        question: &Question,
        moment: Moment,
        findings: Findings,
    ) -> Result<Evidence, Problem> {
        let (position, root) = match findings.tree {
            Some(tree) => tree,
            None => (moment.size, self.root_of(moment.size).await?),
        };
        let report = Report {
            report: question.report.name(),
            title: question.report.title(),
            origin: self.ledger.verifier().origin().as_str().to_owned(),
            generated_at: self.clock.now(),
            position,
            root: root.to_string(),
            parameters: self.parameters(question, moment).await?,
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

    async fn parameters(&self, question: &Question, moment: Moment) -> Result<Parameters, Problem> {
        let asked = &question.asked;
        let agreement = asked.agreement.map(|id| id.to_string());
        let names = self.names_of([].into(), agreement.as_deref().into_iter().collect()).await?;
        Ok(Parameters {
            agreement_name: agreement.as_deref().map(|id| names.agreement(id)),
            agreement,
            as_of: question.report.takes_as_of().then_some(moment.at),
            from: asked.from,
            to: asked.to,
        })
    }
}
