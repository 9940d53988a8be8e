//! Agreements: creating, linking people, enforcing two-factor.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{Answer, Person, Session, TestApp, TwoFactor};

/// A customer's agreement.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// The agreement's id.
    pub id: String,
    /// The customer's number.
    pub number: String,
    /// The name.
    pub name: String,
}

impl Agreement {
    /// A path below this agreement.
    pub fn path(&self, below: &str) -> String {
        format!("/v1/agreements/{}{below}", self.id)
    }

    /// The route that links somebody.
    pub fn link_path(&self, person: &Person) -> String {
        self.path(&format!("/users/{}", person.id))
    }
}

impl TestApp {
    /// Creates an agreement that nobody administers.
    pub async fn agreement(&self, name: &str) -> Agreement {
        self.create_agreement(name, "standard", None).await
    }

    /// Creates an administrator agreement.
    pub async fn administrator(&self, name: &str) -> Agreement {
        self.create_agreement(name, "administrator", None).await
    }

    /// Creates an agreement that another one administers.
    pub async fn administered(&self, name: &str, by: &Agreement) -> Agreement {
        self.create_agreement(name, "standard", Some(by)).await
    }

    async fn create_agreement(&self, name: &str, kind: &str, by: Option<&Agreement>) -> Agreement {
        let number = format!("{}", 100_000 + self.next_number());
        let mut body = json!({ "number": number, "name": name, "kind": kind });
        if let Some(by) = by {
            body["administered_by"] = json!(by.id);
        }
        let answer = self.post("/v1/agreements", &self.key, body).await.expect(201);
        Agreement { id: answer.string("id"), number, name: name.to_owned() }
    }

    /// Links somebody as a plain member.
    pub async fn link(&self, agreement: &Agreement, person: &Person) {
        self.link_as(agreement, person, "user").await;
    }

    /// Links somebody in a role.
    pub async fn link_as(&self, agreement: &Agreement, person: &Person, role: &str) {
        let path = agreement.link_path(person);
        self.put(&path, &self.key, json!({ "role": role })).await.expect(204);
    }

    /// Takes somebody out of an agreement.
    pub async fn unlink(&self, agreement: &Agreement, person: &Person) {
        self.delete(&agreement.link_path(person), &self.key).await.expect(204);
    }

    /// Says who administers an agreement.
    pub async fn administer(&self, agreement: &Agreement, by: Option<&Agreement>) {
        let body = json!({ "administered_by": by.map(|by| &by.id) });
        self.put(&agreement.path("/administration"), &self.key, body).await.expect(204);
    }

    /// Ticks enforcement, from now on.
    pub async fn enforce(&self, agreement: &Agreement) -> Answer {
        self.set_enforcement(agreement, json!({ "enforced": true })).await
    }

    /// Ticks enforcement, with time to enrol until the deadline.
    pub async fn enforce_by(&self, agreement: &Agreement, deadline: DateTime<Utc>) -> Answer {
        let body = json!({ "enforced": true, "deadline": deadline.to_rfc3339() });
        self.set_enforcement(agreement, body).await
    }

    /// Unticks enforcement.
    pub async fn stop_enforcing(&self, agreement: &Agreement) -> Answer {
        self.set_enforcement(agreement, json!({ "enforced": false })).await
    }

    async fn set_enforcement(&self, agreement: &Agreement, body: Value) -> Answer {
        self.put(&agreement.path("/enforcement"), &self.key, body).await.expect(200)
    }

    /// Counts whom an enforcement would reach.
    pub async fn preview(&self, agreement: &Agreement) -> Answer {
        self.get(&agreement.path("/enforcement/preview"), &self.key).await.expect(200)
    }

    /// Registers a superuser of an agreement, with two-factor, signed in with it.
    pub async fn superuser(&self, agreement: &Agreement, name: &str) -> (Person, TwoFactor, Session) {
        let (person, two_factor) = self.register_with_two_factor(name).await;
        self.link_as(agreement, &person, "superuser").await;
        let session = self.sign_in_with(&person, &two_factor).await;
        (person, two_factor, session)
    }
}
