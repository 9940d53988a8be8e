//! The names that a page of entries needs, looked up together.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::entry::StoredEntry;
use super::query::Conditions;
use crate::app::App;
use crate::problem::Problem;
use crate::rest::people::ERASED;
use crate::vault::{DataKey, Purpose, WrappedKey};

/// Said in place of what somebody altered where it is stored. `countersign verify` says in which entry.
const ALTERED: &str = "[altered]";

/// People's names and keys, and agreements' names.
pub(crate) struct Names {
    people: HashMap<String, KnownPerson>,
    agreements: HashMap<String, String>,
}

struct KnownPerson {
    name: String,
    key: DataKey,
}

impl Names {
    pub(crate) fn person(&self, id: &str) -> String {
        self.people.get(id).map_or_else(|| ERASED.to_owned(), |person| person.name.clone())
    }

    pub(crate) fn agreement(&self, id: &str) -> String {
        self.agreements.get(id).cloned().unwrap_or_else(|| id.to_owned())
    }

    /// Opens a sealed field of an event.
    pub(super) fn open_field(&self, app: &App, field: &str, sealed: &str) -> Option<String> {
        let purposes =
            [Purpose::Email, Purpose::DisplayName, Purpose::Label, Purpose::Reason, Purpose::WebhookUrl];
        let purpose = purposes.into_iter().find(|purpose| purpose.name() == field)?;
        self.open(app, purpose, "", sealed)
    }

    /// Opens something sealed under one of these people's keys, or the installation's; none if the key went with an
    /// erasure. What does not open although its key is there does not pass for erased.
    pub(super) fn open(&self, app: &App, purpose: Purpose, row: &str, sealed: &str) -> Option<String> {
        let mut keys = self.people.values().map(|person| &person.key).chain([app.vault.instance_key()]);
        let key = keys.find(|key| key.sealed(sealed))?;
        Some(key.open_text(purpose, row, sealed).unwrap_or_else(|_| ALTERED.to_owned()))
    }
}

impl App {
    /// The names that these entries need.
    pub(crate) async fn names_in(&self, entries: &[StoredEntry]) -> Result<Names, Problem> {
        let people = entries.iter().flat_map(StoredEntry::people).collect();
        self.names_of(people, entries.iter().flat_map(StoredEntry::agreements).collect()).await
    }

    /// The names of these people and agreements, by id.
    pub(crate) async fn names_of(
        &self,
        people: BTreeSet<&str>,
        agreements: BTreeSet<&str>,
    ) -> Result<Names, Problem> {
        let mut names = Names { people: HashMap::new(), agreements: HashMap::new() };
        for chunk in people.into_iter().collect::<Vec<_>>().chunks(500) {
            self.find_people(chunk, &mut names).await?;
        }
        for chunk in agreements.into_iter().collect::<Vec<_>>().chunks(500) {
            let mut conditions = Conditions::default();
            let ids = conditions.list(chunk);
            let sql = format!(
                "SELECT agreement_id, name FROM login_check_agreements WHERE agreement_id IN ({ids})"
            );
            for row in self.database.read(&sql, &conditions.params).await? {
                names.agreements.insert(row.get("agreement_id")?, row.get("name")?);
            }
        }
        Ok(names)
    }

    async fn find_people(&self, ids: &[&str], names: &mut Names) -> Result<(), Problem> {
        let mut conditions = Conditions::default();
        let list = conditions.list(ids);
        let sql = format!(
            "SELECT u.user_id, u.display_name, k.key_id, k.wrapped, k.master_key_id \
             FROM login_check_users u JOIN data_keys k ON k.owner_id = u.user_id WHERE u.user_id IN ({list})"
        );
        for row in self.database.read(&sql, &conditions.params).await? {
            let user_id: String = row.get("user_id")?;
            let owner: Uuid = user_id.parse().map_err(|_| Problem::internal("a stored user id is no id"))?;
            let key = self.vault.data_key(owner, WrappedKey::from_row(&row)?.as_ref())?;
            let name = key.open_text(Purpose::DisplayName, "", &row.get::<String>("display_name")?)?;
            names.people.insert(user_id, KnownPerson { name, key });
        }
        Ok(())
    }
}
