use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::catch_up::{CaughtUp, catch_up};
use crate::coverage::Coverage;
use crate::database::Engine;
use crate::database::testing::{FreshDatabase, fresh_databases};

const AT: &str = "2030-03-17T17:46:40.000000Z";

/// Few, so that they meet.
const AGREEMENTS: u8 = 4;
const PEOPLE: u8 = 7;

#[derive(Clone, Copy, Debug)]
enum Event {
    Opened(u8),
    Administered(u8, Option<u8>),
    Closed(u8),
    Ticked(u8),
    Linked(u8, u8),
    Promoted(u8, u8),
    Unlinked(u8, u8),
    Enabled(u8),
    Disabled(u8),
    Erased(u8),
}
use Event::{Administered, Closed, Disabled, Enabled, Erased, Linked, Opened, Promoted, Ticked, Unlinked};

fn agreement(number: u8) -> String {
    format!("00000000-0000-4000-8000-0000000000a{number}")
}

fn person(number: u8) -> String {
    format!("00000000-0000-4000-8000-0000000000b{number}")
}

impl Event {
    fn stored(self) -> (&'static str, String, &'static str, Json) {
        let of_agreement = |id, name, payload| ("agreement", agreement(id), name, payload);
        match self {
            Opened(id) => {
                let payload = json!({ "agreement_id": agreement(id), "number": "n", "name": "n",
                    "kind": "administrator", "at": AT });
                of_agreement(id, "AgreementOpened", payload)
            }
            Administered(id, by) => {
                let payload = json!({ "administered_by": by.map(agreement), "at": AT });
                of_agreement(id, "AdministrationChanged", payload)
            }
            Closed(id) => of_agreement(id, "AgreementClosed", json!({ "at": AT })),
            Ticked(id) => {
                let payload = json!({ "enforced": true, "deadline": null, "reason": null,
                    "by": { "kind": "operator" }, "at": AT });
                of_agreement(id, "EnforcementToggled", payload)
            }
            Linked(id, who) => {
                of_agreement(id, "UserLinked", json!({ "user_id": person(who), "role": "user", "at": AT }))
            }
            Promoted(id, who) => {
                let payload = json!({ "user_id": person(who), "role": "superuser", "at": AT });
                of_agreement(id, "UserRoleChanged", payload)
            }
            Unlinked(id, who) => {
                of_agreement(id, "UserUnlinked", json!({ "user_id": person(who), "at": AT }))
            }
            Enabled(who) => ("user", person(who), "TwoFactorEnabled", json!({ "at": AT })),
            Disabled(who) => ("user", person(who), "TwoFactorDisabled", json!({ "at": AT })),
            Erased(who) => ("user", person(who), "UserErased", json!({ "at": AT })),
        }
    }
}

/// Events, and what each agreement reaches after them, worked out from all that they say.
#[derive(Default)]
struct Told {
    sequences: HashMap<String, i64>,
    entries: i64,
    links: BTreeSet<(u8, u8)>,
    with_two_factor: BTreeSet<u8>,
    administered_by: BTreeMap<u8, u8>,
    closed: BTreeSet<u8>,
}

impl Told {
    async fn record(&mut self, database: &Database, event: Event, placed: bool) {
        let (kind, id, name, payload) = event.stored();
        let sequence = self.sequences.entry(id.clone()).or_default();
        *sequence += 1;
        let sql = "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, \
                   metadata, recorded_at) SELECT $1, $2, $3, $4, '1', CAST($5 AS json), '{}', CAST($6 AS timestamptz)";
        let sql = match database.engine() {
            Engine::Postgres(_) => sql.to_owned(),
            Engine::Sqlite(_) => {
                sql.replace("CAST($5 AS json)", "$5").replace("CAST($6 AS timestamptz)", "$6")
            }
        };
        let payload = json!({ name: payload }).to_string();
        let key = [kind.into(), id.clone().into(), (*sequence).into()];
        let params = [key.to_vec(), vec![name.into(), payload.into(), AT.into()]].concat();
        database.write(&sql, &params).await.unwrap();
        if placed {
            let entry = "INSERT INTO ledger_entries SELECT $4, $1, $2, $3, 'leaf', 'hash'";
            database.write(entry, &[key.to_vec(), vec![self.entries.into()]].concat()).await.unwrap();
            self.entries += 1;
        } else {
            let waiting = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
                           VALUES ('e', $1, $2, $3)";
            database.write(waiting, &key).await.unwrap();
        }
        match event {
            Opened(_) | Ticked(_) => {}
            Administered(id, Some(by)) => drop(self.administered_by.insert(id, by)),
            Administered(id, None) => drop(self.administered_by.remove(&id)),
            Closed(id) => drop(self.closed.insert(id)),
            Linked(id, who) | Promoted(id, who) => drop(self.links.insert((id, who))),
            Unlinked(id, who) => drop(self.links.remove(&(id, who))),
            Enabled(who) => drop(self.with_two_factor.insert(who)),
            Disabled(who) | Erased(who) => drop(self.with_two_factor.remove(&who)),
        }
    }

    async fn follow(&self, database: &Database) {
        let size = u64::try_from(self.entries).unwrap();
        assert_eq!(catch_up(&Coverage, database, size).await.unwrap(), CaughtUp::To(size));
    }

    fn reach(&self, id: u8) -> Counted {
        let reached: BTreeSet<u8> = self
            .links
            .iter()
            .filter(|(of, _)| *of == id || self.administered_by.get(of) == Some(&id))
            .filter(|(of, _)| !self.closed.contains(of))
            .map(|(_, who)| *who)
            .collect();
        let with = reached.intersection(&self.with_two_factor).count();
        Counted {
            people: i64::try_from(reached.len()).unwrap(),
            with_two_factor: i64::try_from(with).unwrap(),
        }
    }
}

async fn stored(database: &Database, id: u8) -> Counted {
    let sql = "SELECT reached, reached_with_two_factor FROM coverage_v2 WHERE agreement_id = $1";
    let rows = database.read(sql, &[agreement(id).into()]).await.unwrap();
    rows.first().map_or_else(Counted::default, |row| {
        Counted::read(row, "reached", "reached_with_two_factor").unwrap()
    })
}

fn event() -> impl Strategy<Value = Event> {
    let (id, who) = (0..AGREEMENTS, 0..PEOPLE);
    prop_oneof![
        3 => (id.clone(), proptest::option::of(0..AGREEMENTS))
            .prop_filter("none administers itself", |(id, by)| Some(*id) != *by)
            .prop_map(|(id, by)| Administered(id, by)),
        1 => id.clone().prop_map(Closed),
        10 => (id.clone(), who.clone()).prop_map(|(id, who)| Linked(id, who)),
        1 => (id.clone(), who.clone()).prop_map(|(id, who)| Promoted(id, who)),
        4 => (id, who.clone()).prop_map(|(id, who)| Unlinked(id, who)),
        4 => who.clone().prop_map(Enabled),
        2 => who.clone().prop_map(Disabled),
        1 => who.prop_map(Erased),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn everybody_is_counted_once_whatever_happened_in_whatever_batches(
        events in proptest::collection::vec((event(), any::<bool>()), 1..70),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            for FreshDatabase { database, .. } in &fresh_databases().await.unwrap() {
                let mut told = Told::default();
                for (event, followed) in &events {
                    told.record(database, *event, true).await;
                    if *followed {
                        told.follow(database).await;
                    }
                }
                told.follow(database).await;
                for id in 0..AGREEMENTS {
                    prop_assert_eq!(stored(database, id).await, told.reach(id));
                }
            }
            Ok(())
        })?;
    }
}

/// Some of those who were gone through are known the second time, and some are looked up anew.
#[tokio::test]
async fn people_of_an_agreement_move_as_often_as_a_batch_says() {
    for FreshDatabase { database, .. } in &fresh_databases().await.unwrap() {
        let mut told = Told::default();
        let begin = [
            vec![Opened(0), Opened(1), Opened(2), Linked(2, 1)],
            vec![Linked(1, 0), Linked(1, 1), Linked(1, 2), Linked(1, 3), Enabled(0), Enabled(3)],
        ];
        for event in begin.concat() {
            told.record(database, event, true).await;
        }
        told.follow(database).await;
        for by in [Some(0), None, Some(2)] {
            told.record(database, Administered(1, by), true).await;
        }
        told.follow(database).await;
        for id in 0..3 {
            assert_eq!(stored(database, id).await, told.reach(id), "{id}");
        }
    }
}

#[tokio::test]
async fn a_reach_is_told_unless_something_since_may_change_it() {
    for FreshDatabase { database, .. } in &fresh_databases().await.unwrap() {
        let mut told = Told::default();
        let [own, administered, other] = [0, 1, 2];
        let begin = [
            vec![Opened(own), Opened(administered), Opened(other), Administered(administered, Some(own))],
            vec![
                Linked(own, 0),
                Linked(administered, 0),
                Linked(administered, 1),
                Linked(other, 2),
                Enabled(1),
            ],
        ];
        for event in begin.concat() {
            told.record(database, event, true).await;
        }
        let at: countersign_domain::Timestamp = AT.parse().unwrap();
        for (id, by) in [(own, None), (administered, Some(own)), (other, None)] {
            let sql = "INSERT INTO login_check_agreements (agreement_id, number, name, kind, administered_by, enforced, \
                       closed, opened_at) VALUES ($1, $1, 'n', 'administrator', $2, $3, $3, $4)";
            let params = [agreement(id).into(), by.map(agreement).into(), false.into(), at.into()];
            database.write(sql, &params).await.unwrap();
        }
        for (id, who) in &told.links {
            let sql = "INSERT INTO login_check_links (user_id, agreement_id, role, linked_at) VALUES ($1, $2, 'user', $3)";
            database.write(sql, &[person(*who).into(), agreement(*id).into(), at.into()]).await.unwrap();
        }
        let own_id: AgreementId = agreement(own).parse().unwrap();
        let known = async || reach_of(database, own_id).await.unwrap();

        assert_eq!(known().await, None, "nothing was followed yet");
        told.follow(database).await;
        let both = Counted { people: 2, with_two_factor: 1 };
        assert_eq!(known().await, Some(both));

        // Waiting for their place, or placed and not followed: what changes nothing here does not matter.
        for placed in [false, true] {
            for event in [Ticked(own), Opened(3), Linked(other, 3), Unlinked(other, 3), Enabled(2)] {
                told.record(database, event, placed).await;
                assert_eq!(known().await, Some(both), "{event:?}");
            }
        }
        let matter = [
            Linked(own, 3),
            Unlinked(administered, 1),
            Enabled(0),
            Disabled(1),
            Administered(other, Some(own)),
            Closed(administered),
        ];
        for event in matter {
            let before = told.reach(own);
            told.record(database, event, false).await;
            assert_eq!(known().await, None, "{event:?} waits");
            database.write("DELETE FROM ledger_pending", &[]).await.unwrap();
            assert_eq!(known().await, Some(before));
            told.record(database, event, true).await;
            assert_eq!(known().await, None, "{event:?} has its place");
            told.follow(database).await;
            assert_eq!(known().await, Some(told.reach(own)));
        }

        let gone = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
                    VALUES ('e', 'user', $1, 1000)";
        database.write(gone, &[person(0).into()]).await.unwrap();
        assert_eq!(known().await, None, "what an event would have changed is not known");
        database.write("DELETE FROM ledger_pending", &[]).await.unwrap();
        assert_eq!(known().await, Some(told.reach(own)));

        // Where so much waits, nobody looks at it, even if it changes nothing.
        let many = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
                    SELECT 'e', e.aggregate_type, e.aggregate_id, e.sequence FROM events e, events f, events g, events h \
                    WHERE e.event_type = 'EnforcementToggled' LIMIT 4097";
        database.write(many, &[]).await.unwrap();
        assert_eq!(known().await, None);
    }
}
