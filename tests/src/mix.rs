//! Commands in any order, as a generator brings them, for what must hold whatever happened.

use std::collections::BTreeSet;

use proptest::prelude::{Strategy, any, prop};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use crate::{Agreement, Person, TestApp, TwoFactor};

/// One thing that somebody does; numbers pick from what there is.
#[derive(Clone, Copy, Debug)]
enum Act {
    Register,
    Enrol(usize),
    SignIn(usize),
    WrongCode(usize),
    WrongPassword(usize),
    EmergencyCode(usize),
    NewEmergencyCode(usize),
    Disable(usize),
    Open(usize),
    Link(usize, usize),
    Promote(usize, usize),
    Unlink(usize, usize),
    Enforce(usize),
    EnforceBy(usize),
    StopEnforcing(usize),
    Administer(usize, usize),
    Close(usize),
    EndSessions(usize),
    RegisterWebhook,
    DeleteWebhook,
    ChangePassword(usize),
    Reset(usize),
    Grant(usize),
    Revoke(usize),
    Erase(usize),
    IssueAndRevokeKey,
    ReadTrail(usize),
    TimePasses(i64),
}

fn some_role(index: usize) -> &'static str {
    if index.is_multiple_of(2) { "auditor" } else { "operator" }
}

fn acts(count: usize) -> impl Strategy<Value = Vec<Act>> {
    let pair = || (any::<usize>(), any::<usize>());
    let act = proptest::prop_oneof![
        2 => proptest::strategy::Just(Act::Register),
        4 => any::<usize>().prop_map(Act::Enrol),
        4 => any::<usize>().prop_map(Act::SignIn),
        2 => any::<usize>().prop_map(Act::WrongCode),
        1 => any::<usize>().prop_map(Act::WrongPassword),
        1 => any::<usize>().prop_map(Act::EmergencyCode),
        1 => any::<usize>().prop_map(Act::NewEmergencyCode),
        1 => any::<usize>().prop_map(Act::Disable),
        1 => any::<usize>().prop_map(Act::Open),
        4 => pair().prop_map(|(one, other)| Act::Link(one, other)),
        4 => pair().prop_map(|(one, other)| Act::Promote(one, other)),
        2 => pair().prop_map(|(one, other)| Act::Unlink(one, other)),
        2 => any::<usize>().prop_map(Act::Enforce),
        1 => any::<usize>().prop_map(Act::EnforceBy),
        2 => any::<usize>().prop_map(Act::StopEnforcing),
        2 => pair().prop_map(|(one, other)| Act::Administer(one, other)),
        1 => any::<usize>().prop_map(Act::Close),
        1 => any::<usize>().prop_map(Act::EndSessions),
        1 => proptest::strategy::Just(Act::RegisterWebhook),
        1 => proptest::strategy::Just(Act::DeleteWebhook),
        1 => any::<usize>().prop_map(Act::ChangePassword),
        1 => any::<usize>().prop_map(Act::Reset),
        1 => any::<usize>().prop_map(Act::Grant),
        1 => any::<usize>().prop_map(Act::Revoke),
        1 => any::<usize>().prop_map(Act::Erase),
        1 => proptest::strategy::Just(Act::IssueAndRevokeKey),
        1 => any::<usize>().prop_map(Act::ReadTrail),
        3 => (1_i64..100_000).prop_map(Act::TimePasses),
    ];
    prop::collection::vec(act, count..=count)
}

/// Whom and what the acts have brought about.
#[derive(Default, Debug)]
pub struct Mixed {
    /// Everybody, with their second factor while they have one.
    pub people: Vec<(Person, Option<TwoFactor>)>,
    /// Every agreement, closed ones too.
    pub agreements: Vec<Agreement>,
    /// Whose two-factor an operator took away: they would need the pass to have it again.
    pub reset: BTreeSet<String>,
    /// Nobody is erased, so that what was shown of people can be compared later.
    pub nobody_is_erased: bool,
}

/// Nobody is erased when so few are left.
const PEOPLE_MIN: usize = 3;

impl TestApp {
    /// Does so many things, others for each seed. Much of it is refused, as it should be.
    pub async fn mix(&self, mixed: &mut Mixed, seed: u8, count: usize) {
        let mut runner = TestRunner::new_with_rng(
            Config::default(),
            TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]),
        );
        let acts = acts(count).new_tree(&mut runner).expect("acts").current();
        if mixed.people.is_empty() {
            mixed.people.push((self.register(&format!("First {}", self.next_number())).await, None));
            mixed.agreements.push(self.administrator("Nordlys").await);
        }
        for act in acts {
            self.act(mixed, act).await;
        }
    }

    async fn act(&self, mixed: &mut Mixed, act: Act) {
        let (people, agreements) = (mixed.people.len(), mixed.agreements.len());
        let person = |index: usize| mixed.people[index % people].clone();
        let agreement = |index: usize| mixed.agreements[index % agreements].clone();
        match act {
            Act::Register => {
                let name = format!("Person {}", self.next_number());
                mixed.people.push((self.register(&name).await, None));
            }
            Act::Enrol(index) => {
                if person(index).1.is_none() && !mixed.reset.contains(&person(index).0.id) {
                    let two_factor = self.enrol_and_confirm(&person(index).0).await;
                    mixed.people[index % people].1 = Some(two_factor);
                }
            }
            Act::SignIn(index) => self.sign_in_somehow(&person(index)).await,
            Act::WrongCode(index) => {
                if let (person, Some(two_factor)) = person(index) {
                    self.try_code(&person, &self.wrong_code(&two_factor.secret)).await;
                }
            }
            Act::WrongPassword(index) => {
                let body = json!({ "email": person(index).0.email, "password": "not the password at all" });
                self.post("/v1/logins", &self.key, body).await;
            }
            Act::EmergencyCode(index) => self.use_emergency_code(mixed, index % people).await,
            Act::NewEmergencyCode(index) => self.new_emergency_code(mixed, index % people).await,
            Act::Disable(index) => self.disable(mixed, index % people).await,
            Act::Open(index) => {
                let name = format!("Company {agreements}");
                let opened = if index % 2 == 0 {
                    self.agreement(&name).await
                } else {
                    self.administrator(&name).await
                };
                mixed.agreements.push(opened);
            }
            Act::Link(one, other) => self.try_link(&agreement(one), &person(other).0, "user").await,
            Act::Promote(one, other) => self.try_link(&agreement(one), &person(other).0, "superuser").await,
            Act::Unlink(one, other) => {
                self.delete(&agreement(one).link_path(&person(other).0), &self.key).await;
            }
            Act::Enforce(index) => self.try_enforce(&agreement(index), json!({ "enforced": true })).await,
            Act::EnforceBy(index) => {
                let deadline = self.clock.now() + chrono::TimeDelta::days(1);
                let body =
                    json!({ "enforced": true, "deadline": crate::clock::text(deadline), "reason": "audit" });
                self.try_enforce(&agreement(index), body).await;
            }
            Act::StopEnforcing(index) => {
                self.try_enforce(&agreement(index), json!({ "enforced": false })).await;
            }
            Act::Administer(one, other) => {
                let by = if other % 3 == 0 { None } else { Some(agreement(other).id) };
                let path = agreement(one).path("/administration");
                self.put(&path, &self.key, json!({ "administered_by": by })).await;
            }
            Act::Close(index) => {
                if index % 4 == 0 {
                    self.post(&agreement(index / 4).path("/close"), &self.key, json!({})).await;
                }
            }
            Act::EndSessions(index) => drop(self.delete(&person(index).0.path("/sessions"), &self.key).await),
            Act::RegisterWebhook => {
                let body = json!({ "url": "https://siem.example/in", "types": ["UserLinked"] });
                self.post("/v1/webhooks", &self.key, body).await;
            }
            Act::DeleteWebhook => {
                let registered = self.get("/v1/webhooks", &self.key).await.items();
                if let Some(id) = registered.first().and_then(|webhook| webhook["id"].as_str()) {
                    self.delete(&format!("/v1/webhooks/{id}"), &self.key).await.expect(204);
                }
            }
            Act::ChangePassword(index) => self.change_password(mixed, index % people).await,
            Act::Reset(index) => {
                if let (somebody, Some(_)) = person(index) {
                    self.reset_two_factor(&somebody).await;
                    mixed.people[index % people].1 = None;
                    mixed.reset.insert(somebody.id);
                }
            }
            Act::Grant(index) => self.grant(&person(index).0, some_role(index)).await,
            Act::Revoke(index) => self.revoke(&person(index).0, some_role(index)).await,
            Act::Erase(index) => {
                if people > PEOPLE_MIN && !mixed.nobody_is_erased && self.try_to_erase(&person(index).0).await
                {
                    mixed.people.swap_remove(index % people);
                }
            }
            Act::IssueAndRevokeKey => {
                self.key_with(&["login"]).await;
                self.revoke_some_key().await;
            }
            Act::ReadTrail(index) => {
                let path = format!("/v1/audit/entries?limit=1&user={}", person(index).0.id);
                self.get(&path, &self.key).await;
            }
            Act::TimePasses(seconds) => self.clock.advance_s(seconds),
        }
    }

    async fn sign_in_somehow(&self, (person, two_factor): &(Person, Option<TwoFactor>)) {
        match two_factor {
            None => drop(self.log_in(person).await),
            Some(two_factor) => self.try_code(person, &self.next_code(&two_factor.secret)).await,
        }
    }

    /// Of somebody whom the password alone signs in.
    async fn change_password(&self, mixed: &mut Mixed, index: usize) {
        let (person, None) = &mut mixed.people[index] else { return };
        let signed_in = self.log_in(person).await;
        let Some(token) = signed_in.body["session"]["token"].as_str() else { return };
        let new = format!("{} again", person.password);
        let body = json!({ "current_password": person.password, "new_password": new });
        if self.put(&person.path("/password"), token, body).await.status == 204 {
            person.password = new;
        }
    }

    async fn try_code(&self, person: &Person, code: &str) {
        let challenge = self.log_in(person).await;
        if let Some(id) = challenge.body["challenge_id"].as_str() {
            self.verify(id, code).await;
        }
    }

    async fn use_emergency_code(&self, mixed: &mut Mixed, index: usize) {
        let (person, two_factor) = &mut mixed.people[index];
        let (Some(two_factor), challenge) = (two_factor, self.log_in(person).await) else { return };
        if let Some(id) = challenge.body["challenge_id"].as_str() {
            let answer = self.verify_recovery_code(id, &two_factor.recovery_code).await;
            if let Some(next) = answer.body["recovery_code"].as_str() {
                next.clone_into(&mut two_factor.recovery_code);
            }
        }
    }

    async fn new_emergency_code(&self, mixed: &mut Mixed, index: usize) {
        let (person, Some(two_factor)) = &mut mixed.people[index] else { return };
        let proof = self.proof(person, two_factor);
        let answer = self.post(&person.path("/two-factor/recovery-code"), &self.key, proof).await;
        if let Some(next) = answer.body["recovery_code"].as_str() {
            next.clone_into(&mut two_factor.recovery_code);
        }
    }

    async fn disable(&self, mixed: &mut Mixed, index: usize) {
        let (person, Some(two_factor)) = &mixed.people[index] else { return };
        let proof = self.proof(person, two_factor);
        let answer = self.post(&person.path("/two-factor/disable"), &self.key, proof).await;
        if answer.status == 204 {
            mixed.people[index].1 = None;
        }
    }

    async fn try_link(&self, agreement: &Agreement, person: &Person, role: &str) {
        self.put(&agreement.link_path(person), &self.key, json!({ "role": role })).await;
    }

    async fn try_enforce(&self, agreement: &Agreement, body: serde_json::Value) {
        self.put(&agreement.path("/enforcement"), &self.key, body).await;
    }
}
