//! The product as a test sees it: an address, an API key, a clock and a database.

use std::{
    ops::Deref,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use countersign::operator::RoleChange;
use countersign_projections::replay::{Rebuilt, ReplayReport};
use serde_json::Value;

use crate::{
    Client, Person, Place,
    clock::TestClock,
    place::{self, Node},
    product::{self, WebhookTargets},
    program::Serving,
};

/// What another task of the product does is looked for so long, and so often.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Every scope that an API key can have.
pub const SCOPES: [&str; 7] = [
    "users:write",
    "users:read",
    "agreements:write",
    "agreements:read",
    "login",
    "audit:read",
    "webhooks:write",
];

/// One node and what a test needs to talk to it. Its HTTP methods are those of [`Client`].
#[derive(Clone)]
pub struct TestApp {
    /// An API key with every scope, named `suites`.
    pub key: String,
    /// The clock that all nodes of the test share.
    pub clock: TestClock,
    /// The database and the data directory.
    pub place: Arc<Place>,
    client: Client,
    node: Node,
    data_dir: PathBuf,
    webhook_targets: WebhookTargets,
    numbers: Arc<AtomicU32>,
}

impl Deref for TestApp {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl TestApp {
    /// Starts a first node in-process.
    pub async fn start(place: &Arc<Place>) -> Self {
        let clock = TestClock::manual();
        let data_dir = place.data_dir();
        let webhook_targets = WebhookTargets::default();
        let (client, node) = start_node(place, &data_dir, &clock, webhook_targets).await;
        let key = product::create_api_key(place.url(), &data_dir, clock.product(), "suites", &SCOPES).await;
        let (place, numbers) = (Arc::clone(place), Arc::default());
        Self { key, clock, place, client, node, data_dir, webhook_targets, numbers }
    }

    /// Starts a first node where an older version has stopped, whose key is given, and goes on from then.
    pub async fn resume(place: &Arc<Place>, key: &str, now: DateTime<Utc>) -> Self {
        let clock = TestClock::manual();
        clock.set(now);
        let data_dir = place.data_dir();
        let webhook_targets = WebhookTargets::default();
        let (client, node) = start_node(place, &data_dir, &clock, webhook_targets).await;
        let (place, numbers) = (Arc::clone(place), Arc::default());
        Self { key: key.to_owned(), clock, place, client, node, data_dir, webhook_targets, numbers }
    }

    /// The same helpers for the built program that serves.
    pub fn of_program(place: &Arc<Place>, serving: &Serving, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            clock: TestClock::Machine,
            place: Arc::clone(place),
            client: Client::new(serving.base().to_owned()),
            node: Arc::new(Mutex::new(None)),
            data_dir: place.data_dir(),
            webhook_targets: WebhookTargets::default(),
            numbers: Arc::default(),
        }
    }

    /// Starts one more node on the same database, with the same keys and the same clock.
    pub async fn another_node(&self) -> Self {
        let data_dir = self.place.data_dir_of_another_node();
        let (client, node) = start_node(&self.place, &data_dir, &self.clock, self.webhook_targets).await;
        Self { client, node, data_dir, ..self.clone() }
    }

    /// Looks until it is so.
    ///
    /// # Panics
    /// When it is not so within half a minute.
    pub async fn eventually(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so().await {
            assert!(Instant::now() < deadline, "{what}: still not so");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Stops this node and starts it again on the same database.
    pub async fn restarted(self) -> Self {
        self.stop().await;
        let (client, node) = start_node(&self.place, &self.data_dir, &self.clock, self.webhook_targets).await;
        Self { client, node, ..self }
    }

    /// The same, and from now on its webhooks may be sent to this machine.
    pub async fn with_private_webhook_targets(self) -> Self {
        Self { webhook_targets: WebhookTargets::Private, ..self }.restarted().await
    }

    /// The same, and from now on its webhooks may not be sent to this machine.
    pub async fn with_public_webhook_targets(self) -> Self {
        Self { webhook_targets: WebhookTargets::Public, ..self }.restarted().await
    }

    /// Stops this node.
    pub async fn stop(&self) {
        place::stop(&self.node).await;
    }

    /// Every stream there is: its type, its id, its snapshot, and its events folded anew.
    ///
    /// # Panics
    /// When the node was stopped.
    pub async fn snapshots_and_refolds(&self) -> Vec<(String, String, Value, Value)> {
        let inside = self.inside();
        let mut all = Vec::new();
        for (stream, id) in product::streams(&inside).await {
            let (snapshot, refolded) = product::snapshot_and_refold(&inside, &stream, &id).await;
            all.push((stream, id, snapshot, refolded));
        }
        all
    }

    /// Compares every read model with a replay of all events.
    pub async fn replay_report(&self) -> ReplayReport {
        product::replay_report(&self.inside()).await
    }

    /// Rebuilds every read model while the node goes on.
    pub async fn rebuild_all(&self) -> Rebuilt {
        product::rebuild_all(&self.inside()).await
    }

    /// Takes two-factor away from somebody, as an operator does, and returns the pass that their next enrolment
    /// must give.
    pub async fn reset_two_factor(&self, person: &Person) -> String {
        product::reset_two_factor(&self.inside(), &person.id).await
    }

    /// Gives somebody a role, as an operator does on the command line.
    pub async fn grant(&self, person: &Person, role: &str) {
        product::change_role(&self.inside(), RoleChange::Grant, &person.id, role).await;
    }

    /// Takes it away.
    pub async fn revoke(&self, person: &Person, role: &str) {
        product::change_role(&self.inside(), RoleChange::Revoke, &person.id, role).await;
    }

    /// Erases somebody, unless an agreement would be left without a superuser.
    pub async fn try_to_erase(&self, person: &Person) -> bool {
        product::erase(&self.inside(), &person.id).await
    }

    /// Revokes an API key other than the test's own.
    pub async fn revoke_some_key(&self) {
        product::revoke_key_but(&self.inside(), "suites").await;
    }

    /// Takes all snapshots away.
    pub async fn forget_snapshots(&self) {
        product::forget_snapshots(&self.inside()).await;
    }

    /// Records that a newer program has migrated the database, as a rolling upgrade does while
    /// this node runs.
    pub async fn migrate_as_a_newer_program(&self) {
        product::remember_a_newer_migration(&self.inside(), self.now()).await;
    }

    fn inside(&self) -> Arc<countersign::app::App> {
        let node = self.node.lock().unwrap_or_else(PoisonError::into_inner);
        product::inside(node.as_ref().expect("a node in this process"))
    }

    /// An API key with these scopes only.
    pub async fn key_with(&self, scopes: &[&str]) -> String {
        let name = format!("key {}", self.next_number());
        product::create_api_key(self.place.url(), &self.data_dir, self.clock.product(), &name, scopes).await
    }

    /// What the node takes for now.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Moves the clock on, or back with a negative number.
    pub fn advance_s(&self, seconds: i64) {
        self.clock.advance_s(seconds);
    }

    /// Moves the clock on.
    pub fn advance_min(&self, minutes: i64) {
        self.clock.advance_s(minutes * 60);
    }

    /// Tells names and numbers of one test apart.
    pub(crate) fn next_number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }
}

async fn start_node(
    place: &Arc<Place>,
    data_dir: &std::path::Path,
    clock: &TestClock,
    targets: WebhookTargets,
) -> (Client, Node) {
    let server = product::start(place.url(), data_dir, clock.product(), targets).await;
    let client = Client::new(product::base_url(&server));
    let node: Node = Arc::new(Mutex::new(Some(server)));
    place.keep(Arc::clone(&node));
    (client, node)
}
