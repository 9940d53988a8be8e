//! The agreements that another one administers, with how their people fare.

use countersign_domain::Timestamp;
use countersign_domain::ids::AgreementId;
use countersign_projections::coverage::COVERAGE;

use super::{Page, next_cursor, page_size};
use crate::app::App;
use crate::problem::Problem;

/// An open agreement that another one administers.
pub(crate) struct Administered {
    pub(crate) id: String,
    pub(crate) number: String,
    pub(crate) name: String,
    pub(crate) enforced: bool,
    pub(crate) deadline: Option<Timestamp>,
    /// How many people it has, as far as coverage has counted.
    pub(crate) members: Option<i64>,
    /// How many of them have two-factor.
    pub(crate) with_two_factor: Option<i64>,
}

impl App {
    /// A page of the open agreements that one administers, by name.
    pub(crate) async fn administered(
        &self,
        id: AgreementId,
        after: Option<AgreementId>,
        limit: u32,
    ) -> Result<Page<Administered>, Problem> {
        let coverage = COVERAGE.name;
        let sql = format!(
            "SELECT a.agreement_id, a.number, a.name, a.enforced, a.deadline, c.members, c.with_two_factor \
             FROM login_check_agreements a LEFT JOIN {coverage} c ON c.agreement_id = a.agreement_id \
             AND c.day = (SELECT max(d.day) FROM {coverage} d WHERE d.agreement_id = a.agreement_id) \
             WHERE a.administered_by = $1 AND NOT a.closed AND ($2 = '' OR (lower(a.name), a.agreement_id) > \
             (SELECT lower(b.name), b.agreement_id FROM login_check_agreements b \
             WHERE b.agreement_id = $2 AND b.administered_by = $1)) \
             ORDER BY lower(a.name), a.agreement_id LIMIT $3"
        );
        let limit = page_size(Some(limit))?;
        let after = after.map(|after| after.to_string()).unwrap_or_default();
        let rows =
            self.database.scan(&sql, &[id.to_string().into(), after.into(), (limit + 1).into()]).await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            items.push(Administered {
                id: row.get("agreement_id")?,
                number: row.get("number")?,
                name: row.get("name")?,
                enforced: row.get("enforced")?,
                deadline: row.get("deadline")?,
                members: row.get("members")?,
                with_two_factor: row.get("with_two_factor")?,
            });
        }
        let next_cursor = next_cursor(&mut items, limit, |agreement| agreement.id.clone());
        Ok(Page { items, next_cursor })
    }
}
