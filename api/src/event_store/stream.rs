//! What each aggregate's stream brings along when it is loaded, and writes along when it is
//! appended to.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use countersign_domain::Timestamp;
use countersign_domain::agreement::{Agreement, AgreementEvent, AgreementKind, Role};
use countersign_domain::ids::{AgreementId, InstanceId, UserId};
use countersign_domain::instance::{Instance, InstanceEvent};
use countersign_domain::requirement::Requirement;
use countersign_domain::user::totp::TotpSecret;
use countersign_domain::user::{User, UserEvent};
use countersign_projections::database::StatementKind;
use countersign_projections::instance_rows::instance_rows;
use countersign_projections::links_of;
use countersign_projections::login_check::{Link, agreement_row, link_row, required_by, user_row};
use countersign_projections::table::{Change, DATA_KEYS, VAULT};
use cqrs_es::Aggregate;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::event_store::Loaded;
use crate::event_store::journal::LoadQuery;
use crate::problem::Problem;
use crate::vault::{DataKey, Purpose, Vault, VaultError, WrappedKey};

/// An aggregate with everything that the store must know of it.
pub trait Stream: Aggregate + Clone {
    /// What names a stream.
    type Id: Copy + Display + FromStr<Err = uuid::Error> + Send + Sync;
    /// What is looked up in the same query that loads it.
    type Facts: DeserializeOwned + Send + Sync;
    /// That query.
    const LOAD: &'static LoadQuery;

    /// When its latest event was recorded: nothing is recorded before that.
    fn latest_at(&self) -> Option<Timestamp>;
    /// When an event happened.
    fn happened_at(event: &Self::Event) -> Timestamp;
    /// Whom an event is about.
    fn about(id: Self::Id, event: &Self::Event) -> About;
    /// The read-model rows that change with these events.
    fn changes(context: &Loaded<Self>, events: &[Self::Event]) -> Vec<Change>;
    /// The vault rows that the state names.
    fn vault_rows(&self) -> Vec<Uuid> {
        Vec::new()
    }
}

/// Whom an event is about, for the columns by which the trail is searched.
#[derive(Default)]
pub struct About {
    /// A person.
    pub user_id: Option<String>,
    /// An agreement.
    pub agreement_id: Option<String>,
}

macro_rules! load_query {
    ($type:literal, $facts:expr) => {
        &LoadQuery {
            name: $type,
            kind: StatementKind::Load,
            sql: concat!(
                "SELECT wanted.id AS id, wanted.subject AS subject, s.last_sequence AS sequence, \
                 s.current_snapshot AS snapshot_number, \
                 CASE WHEN s.leaf_sequence = s.last_sequence THEN s.leaf_hash ELSE \
                 (SELECT l.leaf_hash FROM events e JOIN ledger_entries l ON {entry_of_event} \
                 WHERE e.aggregate_type = '",
                $type,
                "' AND e.aggregate_id = wanted.id AND e.sequence = s.last_sequence) END AS leaf_hash, \
                 CAST(s.payload AS text) AS snapshot, \
                 CAST((SELECT {array}{object}'sequence', e.sequence, 'event_type', e.event_type, \
                 'event_version', e.event_version, 'payload', CAST(e.payload AS text){/object} \
                 ORDER BY e.sequence{/array} FROM events e WHERE e.aggregate_type = '",
                $type,
                "' AND e.aggregate_id = wanted.id AND e.sequence > coalesce(s.last_sequence, 0)) AS text) AS tail, \
                 CAST({object}",
                $facts,
                "{/object} AS text) AS facts FROM {wanted} LEFT JOIN snapshots s ON s.aggregate_type = '",
                $type,
                "' AND s.aggregate_id = wanted.id"
            ),
        }
    };
}

/// What is looked up with a user; the subject is the session that asks, if one does.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct UserFacts {
    /// The data key; gone once the user was erased.
    pub key: Option<WrappedKey>,
    /// The vault's rows.
    pub vault: Vec<VaultRow>,
    /// The agreements.
    pub links: Vec<Link>,
    /// When the subject was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A sealed secret as the vault holds it.
#[derive(Clone, Debug, Deserialize)]
pub struct VaultRow {
    row_id: Uuid,
    sealed: String,
}

impl Stream for User {
    type Id = UserId;
    type Facts = UserFacts;
    const LOAD: &'static LoadQuery = load_query!(
        "user",
        concat!(
            "'key', {json}(SELECT {object}'key_id', k.key_id, 'wrapped', k.wrapped, \
             'master_key_id', k.master_key_id{/object} FROM data_keys k WHERE k.owner_id = wanted.id){/json}, \
             'vault', {json}(SELECT {array}{object}'row_id', v.row_id, 'sealed', v.sealed{/object}{/array} \
             FROM vault v WHERE v.user_id = wanted.id){/json}, \
             'last_used_at', (SELECT last_used_at FROM session_uses WHERE session_id = wanted.subject), \
             'links', {json}",
            links_of!("wanted.id"),
            "{/json}"
        )
    );

    fn latest_at(&self) -> Option<Timestamp> {
        self.latest_at()
    }

    fn happened_at(event: &UserEvent) -> Timestamp {
        event.at()
    }

    fn about(id: UserId, _: &UserEvent) -> About {
        About { user_id: Some(id.to_string()), agreement_id: None }
    }

    /// The login-check row, the vault's rows that nothing names any more, and the data key of
    /// somebody who is erased.
    fn changes(context: &Loaded<Self>, _: &[UserEvent]) -> Vec<Change> {
        let row = moved(user_row(context.id, &context.before).as_ref(), user_row(context.id, &context.state));
        row.into_iter().chain(dropped_secrets(context)).chain(destroyed_key(context)).collect()
    }

    fn vault_rows(&self) -> Vec<Uuid> {
        Self::vault_rows(self)
    }
}

/// A row that is as it was need not be written: a right code, say, changes nothing that a login check asks for.
fn moved(before: Option<&Change>, after: Option<Change>) -> Option<Change> {
    after.filter(|after| before != Some(after))
}

/// Nobody is erased but by an append that takes the data key away.
fn destroyed_key(context: &Loaded<User>) -> Option<Change> {
    let key = context.facts.key.as_ref().filter(|_| context.state.erased_at().is_some())?;
    Some(Change::Delete(&DATA_KEYS, vec![key.key_id.clone().into()]))
}

/// The vault's rows that nothing names any more go.
fn dropped_secrets<A: Stream>(context: &Loaded<A>) -> Vec<Change> {
    let named: BTreeSet<Uuid> = context.state.vault_rows().into_iter().collect();
    let before = context.before.vault_rows().into_iter();
    let dropped = before.filter(|row_id| !named.contains(row_id));
    dropped.map(|row_id| Change::Delete(&VAULT, vec![row_id.to_string().into()])).collect()
}

impl Loaded<User> {
    /// Everything that requires two-factor of this user.
    #[must_use]
    pub fn required_by(&self) -> Vec<Requirement> {
        required_by(&self.facts.links)
    }

    /// The user's data key.
    ///
    /// # Errors
    /// [`VaultError::KeyGone`] once the user was erased.
    pub fn data_key(&self, vault: &Vault) -> Result<DataKey, VaultError> {
        vault.data_key(self.id.as_uuid(), self.facts.key.as_ref())
    }

    /// Opens the secret of an authenticator, added or offered.
    ///
    /// # Errors
    /// When the vault has none, or it does not open.
    pub fn totp_secret(&self, key: &DataKey, row_id: Uuid) -> Result<TotpSecret, Problem> {
        let secret = self.open(key, Purpose::TotpSecret, row_id)?;
        secret.and_then(|secret| TotpSecret::from_slice(&secret)).ok_or_else(|| {
            Problem::internal(format!("the vault has no secret for the authenticator {row_id}"))
        })
    }

    /// Opens one of the user's secrets; none when the vault has no such row.
    ///
    /// # Errors
    /// [`VaultError::DoesNotOpen`].
    pub fn open(
        &self,
        key: &DataKey,
        purpose: Purpose,
        row_id: Uuid,
    ) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, VaultError> {
        let row = self.facts.vault.iter().find(|row| row.row_id == row_id);
        row.map(|row| key.open(purpose, &row_id.to_string(), &row.sealed)).transpose()
    }
}

/// What is looked up with an agreement; the subject is the user to be linked, or the agreement
/// that is to administer it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct AgreementFacts {
    /// Whether the subject is a user.
    pub user_exists: bool,
    /// The subject's role, if linked.
    pub linked_as: Option<Role>,
    /// Since when the subject is linked.
    pub linked_at: Option<DateTime<Utc>>,
    /// Whether the subject is an agreement.
    pub subject_is_agreement: bool,
    /// The subject's kind, if it is an open agreement.
    pub subject_kind: Option<AgreementKind>,
    /// How many agreements this one administers.
    pub administers_count: i64,
}

impl Stream for Agreement {
    type Id = AgreementId;
    type Facts = AgreementFacts;
    const LOAD: &'static LoadQuery = load_query!(
        "agreement",
        "'user_exists', {boolean}(SELECT count(*) FROM login_check_users u WHERE u.user_id = wanted.subject) > 0{/boolean}, \
         'linked_as', (SELECT l.role FROM login_check_links l \
          WHERE l.agreement_id = wanted.id AND l.user_id = wanted.subject), \
         'linked_at', (SELECT l.linked_at FROM login_check_links l \
          WHERE l.agreement_id = wanted.id AND l.user_id = wanted.subject), \
         'subject_is_agreement', {boolean}(SELECT count(*) FROM login_check_agreements a \
          WHERE a.agreement_id = wanted.subject) > 0{/boolean}, \
         'subject_kind', (SELECT a.kind FROM login_check_agreements a \
          WHERE a.agreement_id = wanted.subject AND NOT a.closed), \
         'administers_count', (SELECT count(*) FROM login_check_agreements a \
          WHERE a.administered_by = wanted.id AND NOT a.closed)"
    );

    fn latest_at(&self) -> Option<Timestamp> {
        self.latest_at()
    }

    fn happened_at(event: &AgreementEvent) -> Timestamp {
        event.at()
    }

    fn about(id: AgreementId, event: &AgreementEvent) -> About {
        let user_id = event.user_id().map(|id| id.to_string());
        About { user_id, agreement_id: Some(id.to_string()) }
    }

    fn changes(context: &Loaded<Self>, events: &[AgreementEvent]) -> Vec<Change> {
        let links = events.iter().filter_map(|event| link_row(context.id, event, context.facts.linked_at));
        let row = moved(
            agreement_row(context.id, &context.before).as_ref(),
            agreement_row(context.id, &context.state),
        );
        row.into_iter().chain(links).collect()
    }
}

/// Nothing is looked up with what belongs to the installation.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NoFacts {}

impl Stream for Instance {
    type Id = InstanceId;
    type Facts = NoFacts;
    const LOAD: &'static LoadQuery = load_query!("instance", "");

    fn latest_at(&self) -> Option<Timestamp> {
        self.latest_at()
    }

    fn happened_at(event: &InstanceEvent) -> Timestamp {
        event.at()
    }

    fn about(_: InstanceId, _: &InstanceEvent) -> About {
        About::default()
    }

    /// The row of the API key or of the webhook, and the vault's rows that nothing names any more.
    fn changes(context: &Loaded<Self>, _: &[InstanceEvent]) -> Vec<Change> {
        instance_rows(&context.state).chain(dropped_secrets(context)).collect()
    }

    fn vault_rows(&self) -> Vec<Uuid> {
        Self::vault_rows(self)
    }
}

#[cfg(test)]
mod tests {
    use countersign_domain::ids::WebhookId;
    use countersign_domain::instance::{DeleteWebhook, InstanceCommand, RegisterWebhook};
    use countersign_projections::table::WEBHOOK_CURSORS;

    use super::*;
    use crate::app::App;
    use crate::execute::Plan;
    use crate::request::Request;
    use crate::testing::app_in;

    const WEBHOOK: Uuid = Uuid::from_u128(1);
    const SECRET: Uuid = Uuid::from_u128(2);

    async fn register(app: &App) {
        let id = WebhookId::from_uuid(WEBHOOK);
        let request = Request::operator("test".to_owned());
        let registered = app.execute::<Instance>(&request, id.into(), None, |_, moment| {
            let (key, at) = (app.vault.instance_key(), moment.at);
            let url = key.seal(Purpose::WebhookUrl, "", b"https://siem.example/in")?;
            let types = vec!["UserLinked".to_owned(), "UserUnlinked".to_owned()];
            let command = RegisterWebhook { id, url, types, secret: SECRET, at };
            let mut plan = Plan::new(InstanceCommand::RegisterWebhook(command), key.clone());
            plan.secrets.push((SECRET, key.vault_row(Purpose::WebhookSecret, SECRET, b"secret", at)?));
            plan.changes.push(Change::Insert(&WEBHOOK_CURSORS, vec![id.to_string().into(), 7.into()]));
            Ok(plan)
        });
        registered.await.map(drop).unwrap();
    }

    async fn delete(app: &App) -> Result<(), Problem> {
        let id = WebhookId::from_uuid(WEBHOOK);
        let request = Request::operator("test".to_owned());
        let deleted = app.execute::<Instance>(&request, id.into(), None, |_, moment| {
            let command = InstanceCommand::DeleteWebhook(DeleteWebhook { at: moment.at });
            Ok(Plan::new(command, app.vault.instance_key().clone()))
        });
        deleted.await.map(drop)
    }

    #[tokio::test]
    async fn a_webhook_has_its_row_and_its_secret_until_it_is_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let app = app_in(directory.path()).await;
        register(&app).await;
        let sql = "SELECT url, types, registered_at, kind, sealed, position FROM webhooks \
                   JOIN vault ON row_id = secret_row JOIN webhook_cursors USING (webhook_id) \
                   WHERE webhook_id = $1";
        let rows = app.database.read(sql, &[WEBHOOK.to_string().into()]).await.unwrap();
        let text = |name| rows[0].get::<String>(name).unwrap();
        let key = app.vault.instance_key();
        let url = key.open_text(Purpose::WebhookUrl, "", &text("url")).unwrap();
        assert_eq!(url, "https://siem.example/in");
        assert_eq!(
            (text("types").as_str(), text("kind").as_str()),
            ("UserLinked UserUnlinked", "webhook_secret")
        );
        let secret = key.open_text(Purpose::WebhookSecret, &SECRET.to_string(), &text("sealed")).unwrap();
        assert_eq!(secret, "secret");
        assert_eq!(rows[0].get::<DateTime<Utc>>("registered_at").unwrap(), app.clock.now());
        assert_eq!(rows[0].get::<i64>("position").unwrap(), 7);

        delete(&app).await.unwrap();
        for table in ["webhooks", "webhook_cursors", "vault"] {
            let rows = app.database.read(&format!("SELECT 1 AS found FROM {table}"), &[]).await.unwrap();
            assert!(rows.is_empty(), "{table} has a row");
        }
        assert!(delete(&app).await.is_err());
    }
}
