//! The trail of a long ledger: the first page of each filter, and everything exported.

mod exporting;

use std::time::Duration;

use crate::client::{Answer, request};
use crate::history::History;
use crate::load;
use crate::pgbench::Script;
use crate::report::{Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::statistics::ratios;
use crate::work::round_and_round;

const PAGE: usize = 50;

/// A filter as it is asked for, and the condition by which plain SQL finds the same page.
struct Filter {
    name: &'static str,
    query: String,
    condition: String,
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let history = History::make(bench, "bench_audit", bench.size(10_000_000, 20_000)).await?;
    let mut section = searching(bench, &history).await?;
    exporting::measure(bench, &history, &mut section).await?;
    Ok(section)
}

async fn searching(bench: &Bench, history: &History) -> anyhow::Result<Section> {
    let filters = filters(history)?;
    let seconds = bench.size(3, 1);
    let time = Duration::from_secs(seconds);
    let (mut series, mut compared) = (Vec::new(), Vec::new());
    for Filter { name, query, condition } in filters {
        say(&format!("audit: {name}"));
        let sql = format!(
            "SELECT p.position, p.recorded_at, p.event_type, p.user_id, p.agreement_id, e.event_id, e.payload, e.metadata \
             FROM (SELECT * FROM audit_trail_v1 WHERE {condition} ORDER BY recorded_at DESC, position DESC LIMIT {PAGE}) p \
             JOIN events e USING (aggregate_type, aggregate_id, sequence) ORDER BY p.recorded_at DESC, p.position DESC;\n"
        );
        let plain_sql = Script::new(&history.installation.database, &sql, Vec::new(), "");
        let mut ours = Series::new(format!("countersign, {name}, 1 client"), "pages per second");
        let mut plain = Series::new(format!("pgbench, {name}, 1 client"), "pages per second");
        for round in 0..=bench.rounds() {
            let mut discarded = [const { Series::empty() }; 2];
            // The first round warms up.
            let [ours, plain] = if round == 0 { discarded.each_mut() } else { [&mut ours, &mut plain] };
            let (key, line) =
                (history.target.key.clone(), format!("GET /v1/audit/entries?limit={PAGE}{query}"));
            let make = move |_: usize, into: &mut Vec<u8>| request(into, &line, &key, "");
            let work = round_and_round(1, make, |_, answer| full_page(answer));
            ours.push(&load::run(&history.target.addresses, 1, time, work).await?);
            plain.values.push(plain_sql.rate(&bench.cluster, 1, seconds)?);
        }
        let what = format!("countersign to plain SQL, {name}");
        compared.push(Ratio { what, values: ratios(&ours.values, &plain.values), goals: Vec::new() });
        series.extend([ours, plain]);
    }
    Ok(Section {
        name: "audit",
        title: "Searching and exporting the audit trail",
        text: format!(
            "`GET /v1/audit/entries?limit={PAGE}` with each filter, the first page, among {} entries; each entry is read with \
             its event, and names are opened with the key of whom they belong to. That somebody read is recorded when a question is first \
             asked, not when it is asked again within ten minutes, as here. Beside it pgbench selecting the rows of the same page and nothing else. \
             No goal was set for the ratio. Then everything is exported, as a bundle too, which is verified, each once and beside it \
             a tenth: memory is to be the same. It is the greatest that the kernel counted, pages of the program included.",
            history.entries
        ),
        series,
        ratios: compared,
        notes: Vec::new(),
    })
}

fn full_page(answer: &Answer<'_>) -> anyhow::Result<()> {
    let body: serde_json::Value = serde_json::from_slice(answer.expect(200)?)?;
    let items = body.get("items").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
    anyhow::ensure!(items == PAGE, "the page has {items} entries");
    Ok(())
}

fn filters(history: &History) -> anyhow::Result<Vec<Filter>> {
    let user = history.people.all.first().map(|person| person.id().to_owned()).unwrap_or_default();
    let agreement = &history.agreement;
    let actor = history.target.key_id();
    let filter = |name, query: String, condition: String| Filter { name, query, condition };
    let ago = |hours| {
        let time = countersign::Clock::system().now() - Duration::from_hours(hours);
        time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    let from = ago(24);
    // Where the copies are; on a small history nothing is that old.
    let long_ago = ago(if history.entries > 1_000_000 { 24 * 180 } else { 1 });
    anyhow::ensure!(!actor.is_empty(), "an API key without an id");
    Ok(vec![
        filter("no filter", String::new(), "true".to_owned()),
        filter("one user", format!("&user={user}"), format!("user_id = '{user}'")),
        filter("one agreement", format!("&agreement={agreement}"), format!("agreement_id = '{agreement}'")),
        filter("one actor", format!("&actor={actor}"), format!("actor_id = '{actor}'")),
        filter("one type", "&type=LoginChallenged".to_owned(), "event_type = 'LoginChallenged'".to_owned()),
        filter("the last day", format!("&from={from}"), format!("recorded_at >= '{from}'")),
        filter("long ago", format!("&to={long_ago}"), format!("recorded_at < '{long_ago}'")),
        filter(
            "one type, long ago",
            format!("&type=UserRegistered&to={long_ago}"),
            format!("event_type = 'UserRegistered' AND recorded_at < '{long_ago}'"),
        ),
    ])
}
