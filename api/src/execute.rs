//! One command, from its turn to its committed events.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_domain::Timestamp;
use countersign_domain::ids::{AgreementId, UserId};
use countersign_domain::user::User;
use countersign_projections::table::Change;
use cqrs_es::event_sink::EventSink;
use cqrs_es::{AggregateContext, AggregateError, EventStore as _};
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::App;
use crate::event_store::{Loaded, Stream};
use crate::problem::Problem;
use crate::request::Request;
use crate::vault::DataKey;

/// A conflict with another node's command means: reload and decide again, for so long.
const RETRY: Duration = Duration::from_secs(2);

/// When a command is decided.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// What the clock says: codes are judged by it.
    pub now: Timestamp,
    /// What is recorded: never before the stream's latest event, even if the clock was set back.
    pub at: Timestamp,
}

/// What a caller wants done, decided upon the stream as it was loaded.
pub struct Plan<A: Stream> {
    /// The command.
    pub command: A::Command,
    /// Seals what is recorded of the caller.
    pub key: DataKey,
    /// Vault rows for secrets that the command may bring into being. Only those that the state
    /// then names are stored.
    pub secrets: Vec<(Uuid, Change)>,
    /// Rows to write whatever the command brings about.
    pub changes: Vec<Change>,
    /// The person that the command is about, if an application asks for them.
    pub on_behalf_of: Option<UserId>,
    /// The agreement that it is attributed to.
    pub agreement_id: Option<AgreementId>,
}

impl<A: Stream> Plan<A> {
    /// A command that brings no secrets and no rows of its own.
    pub const fn new(command: A::Command, key: DataKey) -> Self {
        Self {
            command,
            key,
            secrets: Vec::new(),
            changes: Vec::new(),
            on_behalf_of: None,
            agreement_id: None,
        }
    }
}

/// What a command brought about. It is committed.
pub struct Done<A: Stream> {
    /// The events; none when everything was as asked already.
    pub events: Vec<A::Event>,
    /// The state after them.
    pub state: A,
    /// The key that sealed what was recorded of the caller; in a person's own stream, theirs.
    pub key: DataKey,
    /// When it was decided.
    pub moment: Moment,
    /// Where callers find the last event: `<stream>/<sequence>`.
    pub written: String,
}

impl App {
    /// Loads the stream, lets `decide` plan a command upon it, and commits what that brings
    /// about; again from the start when another node was faster.
    ///
    /// # Errors
    /// A refusal, or whatever kept the command from being decided or committed. Then nothing of
    /// it is stored; only after a lost connection that is unknown, and said.
    pub async fn execute<A>(
        &self,
        request: &Request,
        id: A::Id,
        subject: Option<String>,
        mut decide: impl FnMut(&Loaded<A>, Moment) -> Result<Plan<A>, Problem>,
    ) -> Result<Done<A>, Problem>
    where
        A: Stream<Services = ()>,
        A::Error: Into<Problem>,
        Problem: From<AggregateError<A::Error>>,
    {
        let stream = format!("{}/{id}", A::TYPE);
        let _turn = self.queues.turn(stream.clone()).await?;
        let deadline = Instant::now() + RETRY;
        loop {
            let mut loaded = self.store.load::<A>(id, subject.as_deref()).await?;
            let moment = self.moment(loaded.state.latest_at());
            let plan = decide(&loaded, moment)?;
            let sink = EventSink::default();
            let refused =
                |refusal: A::Error| -> Problem { Into::<Problem>::into(refusal).counted_from(moment.now) };
            loaded.aggregate().handle(plan.command, &(), &sink).await.map_err(refused)?;
            let events = sink.collect().await;
            tracing::trace!(stream, from = loaded.sequence, events = events.len(), "decided");
            let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
            let written = format!("{stream}/{}", loaded.sequence.saturating_add(count));
            let done = Done { events, state: loaded.state.clone(), key: plan.key, moment, written };
            if done.events.is_empty() {
                return Ok(done);
            }
            loaded.changes = plan.changes;
            loaded.changes.extend(named_secrets(&loaded, plan.secrets)?);
            let context = request.context(&done.key, plan.on_behalf_of, plan.agreement_id)?;
            match self.store.commit(done.events.clone(), loaded, context.to_metadata()).await {
                Ok(_) => return Ok(done),
                Err(AggregateError::AggregateConflict) if Instant::now() < deadline => {
                    tracing::debug!(stream, "another node was faster; deciding again");
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The same on a person's stream, with their data key opened.
    ///
    /// # Errors
    /// As [`App::execute`]; `not-found` when there is no such person any more.
    pub async fn execute_on_user(
        &self,
        request: &Request,
        user_id: UserId,
        mut decide: impl FnMut(&Loaded<User>, Moment, DataKey) -> Result<Plan<User>, Problem>,
    ) -> Result<Done<User>, Problem> {
        self.execute::<User>(request, user_id, None, |loaded, moment| {
            let mut plan = decide(loaded, moment, loaded.data_key(&self.vault)?)?;
            plan.on_behalf_of = Some(user_id);
            Ok(plan)
        })
        .await
    }

    /// Now, for a stream whose latest event was recorded then.
    #[must_use]
    pub fn moment(&self, latest_at: Option<Timestamp>) -> Moment {
        let now = self.clock.now();
        Moment { now, at: latest_at.map_or(now, |latest_at| latest_at.max(now)) }
    }
}

/// The vault rows that the new state names and the old one did not.
fn named_secrets<A: Stream>(
    loaded: &Loaded<A>,
    mut secrets: Vec<(Uuid, Change)>,
) -> Result<Vec<Change>, Problem> {
    let before: BTreeSet<Uuid> = loaded.before.vault_rows().into_iter().collect();
    let mut changes = Vec::new();
    for row_id in loaded.state.vault_rows() {
        if before.contains(&row_id) {
            continue;
        }
        let position = secrets.iter().position(|(id, _)| *id == row_id).ok_or_else(|| {
            Problem::internal(format!("events name the vault row {row_id}, which nobody sealed"))
        })?;
        changes.push(secrets.swap_remove(position).1);
    }
    Ok(changes)
}
