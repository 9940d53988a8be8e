//! Sign-ins with a password, beside bare Argon2id on as many threads as the program hashes on.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use argon2::{Algorithm, Argon2, Params, Version};

use crate::client::request;
use crate::load::{run as load, run_all};
use crate::people::Target;
use crate::report::{Goal, Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::statistics::ratios;
use crate::work::{each, round_and_round};

const CLIENTS: usize = 16;
const PASSWORD: &str = "a long walk by the harbour";

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let installation = bench.on_postgres("bench_password").await?;
    let served = installation.serve().await?;
    let target = Target::new(served.address, installation.api_key()?);
    let people = bench.size(1_000, 100);
    say("password: preparing people");
    let key = target.key.clone();
    let make = move |which: usize, into: &mut Vec<u8>| {
        let body = format!(
            r#"{{"email":"person-{which}@example.com","display_name":"Person {which}","password":"{PASSWORD}"}}"#
        );
        request(into, "POST /v1/users", &key, &body);
    };
    let registered = each(people, make, |_, answer| answer.expect(201).map(drop));
    run_all(&target.addresses, CLIENTS, registered).await?;
    target.settle().await?;
    let threads = std::thread::available_parallelism()?.get();
    let time = Duration::from_secs(bench.size(6, 1));
    let mut ours =
        Series::new(format!("countersign, sign-ins with a password, {CLIENTS} clients"), "per second");
    let mut bare = Series::new(format!("bare Argon2id, {threads} threads"), "per second");
    for round in 0..=bench.rounds() {
        let mut discarded = [const { Series::empty() }; 2];
        // The first round warms up.
        let [ours, bare] = if round == 0 { discarded.each_mut() } else { [&mut ours, &mut bare] };
        let key = target.key.clone();
        let make = move |which: usize, into: &mut Vec<u8>| {
            let body = format!(r#"{{"email":"person-{which}@example.com","password":"{PASSWORD}"}}"#);
            request(into, "POST /v1/logins", &key, &body);
        };
        let work = round_and_round(people, make, |_, answer| answer.expect(200).map(drop));
        ours.push(&load(&target.addresses, CLIENTS, time, work).await?);
        target.settle().await?;
        bare.values.push(hashed(threads, time)?);
    }
    let ratio = Ratio {
        what: "countersign to bare Argon2id".to_owned(),
        values: ratios(&ours.values, &bare.values),
        goals: vec![Goal::AtLeast(0.9)],
    };
    Ok(Section {
        name: "password",
        title: "Sign-ins with a password",
        text: format!(
            "`POST /v1/logins` by {people} people without two-factor, one after the other; each judges the password and starts a \
             session. Beside it the same hash (19 MiB, two passes, one lane) and nothing else, on {threads} threads, by the call \
             that takes fresh memory for each; the program hands memory on while somebody waits."
        ),
        series: vec![ours, bare],
        ratios: vec![ratio],
        notes: Vec::new(),
    })
}

/// Hashes a second on so many threads.
fn hashed(threads: usize, time: Duration) -> anyhow::Result<f64> {
    let started = Instant::now();
    let running: Vec<_> =
        (0..threads).map(|_| std::thread::spawn(move || hash_until(started, time))).collect();
    let mut count = 0;
    for thread in running {
        count += thread.join().map_err(|_| anyhow!("a thread panicked"))??;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

fn hash_until(started: Instant, time: Duration) -> anyhow::Result<u32> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|error| anyhow!("{error}"))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let (mut hash, mut count) = ([0; 32], 0);
    while started.elapsed() < time {
        argon2
            .hash_password_into(PASSWORD.as_bytes(), b"sixteen bytes of", &mut hash)
            .map_err(|error| anyhow!("{error}"))?;
        count += 1;
    }
    Ok(count)
}
