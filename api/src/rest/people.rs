//! People as lists show them: opened from the read model with each one's own data key.

use countersign_domain::ids::UserId;
use countersign_projections::database::Row;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::Problem;
use crate::vault::{Purpose, WrappedKey};

/// A person in a list.
#[derive(Clone, Serialize, ToSchema)]
pub struct Person {
    /// Who.
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    /// The e-mail address; `[erased]` once the person was erased.
    pub email: String,
    /// How the person is called; `[erased]` once the person was erased.
    pub display_name: String,
}

/// What is shown of somebody who was erased.
pub const ERASED: &str = "[erased]";

impl App {
    /// Reads a person from a row with `user_id`, `email`, `display_name`, `key_id`, `wrapped`
    /// and `master_key_id`.
    ///
    /// # Errors
    /// When something stored does not read.
    pub fn person(&self, row: &Row) -> Result<Person, Problem> {
        let user_id: String = row.get("user_id")?;
        let user_id: UserId = user_id.parse().map_err(|_| Problem::internal("a stored user id is no id"))?;
        let Some(wrapped) = WrappedKey::from_row(row)? else {
            return Ok(Person { user_id, email: ERASED.to_owned(), display_name: ERASED.to_owned() });
        };
        let key = self.vault.data_key(user_id.as_uuid(), Some(&wrapped))?;
        Ok(Person {
            user_id,
            email: key.open_text(Purpose::Email, "", &row.get::<String>("email")?)?,
            display_name: key.open_text(Purpose::DisplayName, "", &row.get::<String>("display_name")?)?,
        })
    }
}
