//! The base: what somebody gets who puts cqrs-es and postgres-es behind axum as their books show it.
//!
//! One aggregate with a stream per person, two events per command, one `GenericQuery` view, and the pool of ten
//! that postgres-es makes. It checks no code, seals nothing and keeps no ledger.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::GenericQuery;
use cqrs_es::{Aggregate, DomainEvent, EventEnvelope, View};
use postgres_es::{PostgresCqrs, PostgresViewRepository, default_postgress_pool, postgres_cqrs};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The tables of postgres-es 0.5, as its own `db/init.sql` makes them, and a view.
pub(crate) const TABLES: [&str; 2] = [
    "CREATE TABLE events (aggregate_type text NOT NULL, aggregate_id text NOT NULL, \
     sequence bigint CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL, \
     payload json NOT NULL, metadata json NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence))",
    "CREATE TABLE people (view_id text NOT NULL, version bigint CHECK (version >= 0) NOT NULL, \
     payload json NOT NULL, PRIMARY KEY (view_id))",
];

/// A person who signs in.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Person {
    sign_ins: u64,
}

/// That they gave their second factor.
struct Verify {
    session: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum PersonEvent {
    SecondFactorPassed { authenticator: String, step: u64 },
    SessionStarted { session: String },
}

/// Nothing is refused here.
#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

impl DomainEvent for PersonEvent {
    fn event_type(&self) -> String {
        match self {
            Self::SecondFactorPassed { .. } => "SecondFactorPassed".to_owned(),
            Self::SessionStarted { .. } => "SessionStarted".to_owned(),
        }
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

impl Aggregate for Person {
    const TYPE: &'static str = "person";
    type Command = Verify;
    type Event = PersonEvent;
    type Error = Refused;
    type Services = ();

    async fn handle(&mut self, command: Verify, (): &(), sink: &EventSink<Self>) -> Result<(), Refused> {
        let step = self.sign_ins + 1;
        let authenticator = "0198a5b2-0000-7000-8000-000000000000".to_owned();
        sink.write(PersonEvent::SecondFactorPassed { authenticator, step }, self).await;
        sink.write(PersonEvent::SessionStarted { session: command.session }, self).await;
        Ok(())
    }

    fn apply(&mut self, event: PersonEvent) {
        match event {
            PersonEvent::SecondFactorPassed { .. } => {}
            PersonEvent::SessionStarted { .. } => self.sign_ins += 1,
        }
    }
}

impl View<Person> for Person {
    fn update(&mut self, event: &EventEnvelope<Person>) {
        self.apply(event.payload.clone());
    }
}

#[derive(Deserialize)]
struct Body {
    code: String,
}

/// Serves it.
pub(crate) async fn run(database: &str) -> anyhow::Result<()> {
    let pool = default_postgress_pool(database).await;
    let repository = PostgresViewRepository::<Person, Person>::new("people", pool.clone());
    let view = GenericQuery::new(Arc::new(repository));
    let framework: PostgresCqrs<Person> = postgres_cqrs(pool, vec![Box::new(view)], ());
    let router = Router::new().route("/people/{id}/verify", post(verify)).with_state(Arc::new(framework));
    crate::listening::serve(router).await
}

async fn verify(
    State(framework): State<Arc<PostgresCqrs<Person>>>,
    Path(id): Path<String>,
    Json(body): Json<Body>,
) -> Result<Json<Value>, StatusCode> {
    match framework.execute(&id, Verify { session: body.code }).await {
        Ok(()) => Ok(Json(json!({"status": "complete", "user_id": id}))),
        Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}
