//! Rounds of second factors, which several workloads measure: challenges are opened beforehand, each for somebody
//! else, and only giving the code is counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::load::{Round, run};
use crate::people::{People, Person, Target, verify};

/// People, and how fast they have been verified so far.
pub(crate) struct Verifying {
    pub(crate) target: Target,
    pub(crate) people: People,
    /// By clients; so many challenges are opened as can be answered, and a half more.
    rates: BTreeMap<usize, f64>,
}

impl Verifying {
    pub(crate) async fn prepare(target: Target, count: usize) -> anyhow::Result<Self> {
        let people = People::prepare(&target, count).await?;
        Ok(Self::of(target, people))
    }

    /// Some people who are prepared already.
    pub(crate) const fn of(target: Target, people: People) -> Self {
        Self { target, people, rates: BTreeMap::new() }
    }

    /// Opens the challenges of one round, and waits until the ledger has taken them in.
    pub(crate) async fn open(&mut self, clients: usize, time: Duration) -> anyhow::Result<Vec<Arc<Person>>> {
        // Before the first round nothing is known; it warms up, and may end early.
        let known = self.rates.get(&clients).copied().unwrap_or(1_500.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of people")]
        let count = (known * time.as_secs_f64() * 1.5) as usize;
        self.people.challenge(&self.target, count).await
    }

    /// Gives the codes until the time is over or everybody has.
    pub(crate) async fn give(
        &mut self,
        clients: usize,
        time: Duration,
        challenged: &[Arc<Person>],
    ) -> anyhow::Result<Round> {
        let round = run(&self.target.addresses, clients, time, verify(&self.target.key, challenged)).await?;
        self.rates.insert(clients, round.rate());
        Ok(round)
    }

    /// Both, and the ledger has taken it all in before anything else is measured.
    pub(crate) async fn round(&mut self, clients: usize, time: Duration) -> anyhow::Result<Round> {
        let challenged = self.open(clients, time).await?;
        let round = self.give(clients, time, &challenged).await?;
        self.target.settle().await?;
        Ok(round)
    }
}
