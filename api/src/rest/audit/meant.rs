//! Whom and what a reader of the trail means: by id, by e-mail address, by the number of an agreement.
//!
//! An address or a number means nothing to somebody who may see neither the person nor the agreement, whether or
//! not there is one: nobody finds out here who has an account.

use countersign_domain::ids::{AgreementId, UserId};
use countersign_projections::table::Value;

use super::query::{Reader, agreements_of, open_agreements_of};
use crate::app::App;
use crate::email::Email;
use crate::problem::Problem;
use crate::request::Request;

impl App {
    /// The person with this id or e-mail address.
    pub(crate) async fn user_meant(&self, request: &Request, text: &str) -> Result<UserId, Problem> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let digest = self.vault.email_digest(&Email::parse("user", text)?.normalised());
        let found = "SELECT c.user_id AS id FROM email_claims c WHERE c.digest = $1";
        let seen = format!(
            " AND (c.user_id = $2 OR EXISTS (SELECT 1 FROM login_check_links m \
             WHERE m.user_id = c.user_id AND m.agreement_id IN ({})))",
            open_agreements_of("$2")
        );
        self.meant(request, "user", found, digest.into(), &seen).await
    }

    /// The agreement with this id or number.
    pub(crate) async fn agreement_meant(
        &self,
        request: &Request,
        text: &str,
    ) -> Result<AgreementId, Problem> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let found = "SELECT c.agreement_id AS id FROM agreement_number_claims c WHERE c.number = $1";
        let seen = format!(
            " AND (c.agreement_id IN ({}) OR c.agreement_id IN \
             (SELECT m.agreement_id FROM login_check_links m WHERE m.user_id = $2))",
            agreements_of("$2")
        );
        self.meant(request, "agreement", found, text.to_owned().into(), &seen).await
    }

    async fn meant<Id: std::str::FromStr>(
        &self,
        request: &Request,
        field: &str,
        found: &str,
        named: Value,
        seen: &str,
    ) -> Result<Id, Problem> {
        let rows = match Reader::of(request)? {
            Reader::Auditor => self.database.read(&format!("{found} LIMIT 1"), &[named]).await?,
            Reader::Person(me) => {
                let sql = format!("{found}{seen} LIMIT 1");
                self.database.read(&sql, &[named, me.to_string().into()]).await?
            }
        };
        let id = rows.first().map(|row| row.get::<String>("id")).transpose()?;
        let id = id.and_then(|id| id.parse().ok());
        id.ok_or_else(|| Problem::invalid_field(field, "There is none with it that you may see."))
    }
}
