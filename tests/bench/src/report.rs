//! What was measured, as JSON and as a section of the document.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::statistics::{Spread, spread};

/// Everything that one workload brought.
#[derive(Default, Serialize)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What was done, in sentences.
    pub(crate) text: String,
    pub(crate) series: Vec<Series>,
    pub(crate) ratios: Vec<Ratio>,
    pub(crate) notes: Vec<String>,
}

/// One thing that was measured in every round.
#[derive(Clone, Serialize)]
pub(crate) struct Series {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) values: Vec<f64>,
    /// Latencies of the same rounds, in milliseconds, where they were taken.
    pub(crate) p50_ms: Vec<f64>,
    pub(crate) p99_ms: Vec<f64>,
}

/// A comparison within each round.
#[derive(Serialize)]
pub(crate) struct Ratio {
    pub(crate) what: String,
    pub(crate) values: Vec<f64>,
    pub(crate) goals: Vec<Goal>,
}

/// What a figure should be.
#[derive(Clone, Copy, Serialize)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn is_hit(self, median: f64) -> bool {
        match self {
            Self::AtLeast(bound) => median >= bound,
            Self::AtMost(bound) => median <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {bound}"),
            Self::AtMost(bound) => format!("≤ {bound}"),
        }
    }
}

impl Series {
    pub(crate) fn new(what: impl Into<String>, unit: &'static str) -> Self {
        Self { what: what.into(), unit, ..Self::empty() }
    }

    /// For what is measured and not kept.
    pub(crate) const fn empty() -> Self {
        Self { what: String::new(), unit: "", values: Vec::new(), p50_ms: Vec::new(), p99_ms: Vec::new() }
    }

    /// Keeps a round, and says how much was done in it.
    #[expect(clippy::cast_precision_loss, reason = "a count for people")]
    pub(crate) fn push(&mut self, round: &crate::load::Round) -> f64 {
        self.values.push(round.rate());
        self.p50_ms.push(round.percentile_ms(50));
        self.p99_ms.push(round.percentile_ms(99));
        round.count as f64
    }
}

/// Where and with what it was measured.
#[derive(Serialize)]
pub(crate) struct Setting {
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) quick: bool,
}

impl Section {
    /// As it stands in the document, between the marks by which a later run finds it.
    pub(crate) fn markdown(&self, setting: &Setting) -> String {
        let mut text = format!("{}\n## {}\n\n{}\n\n", mark(self.name), self.title, self.text);
        self.write_tables(&mut text).unwrap_or_default();
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        let after_notes = if self.notes.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{after_notes}{}. {}\n{}", setting.date, setting.machine, end_mark(self.name));
        text
    }

    fn write_tables(&self, text: &mut String) -> std::fmt::Result {
        if !self.ratios.is_empty() {
            writeln!(text, "| ratio | median | min to max | goal | |\n| --- | ---: | ---: | --- | --- |")?;
            for ratio in &self.ratios {
                let Spread { median, min, max } = spread(&ratio.values);
                let goals: Vec<String> = ratio.goals.iter().map(|goal| goal.text()).collect();
                let hit = |goal: &Goal| if goal.is_hit(median) { "hit" } else { "**missed**" };
                let hits: Vec<&str> = ratio.goals.iter().map(hit).collect();
                let (goals, hits) = (goals.join("; "), hits.join("; "));
                writeln!(text, "| {} | {median:.2} | {min:.2} to {max:.2} | {goals} | {hits} |", ratio.what)?;
            }
            writeln!(text)?;
        }
        writeln!(
            text,
            "| measured | | median | min to max | p50 ms | p99 ms |\n| --- | --- | ---: | ---: | ---: | ---: |"
        )?;
        for series in &self.series {
            let Spread { median, min, max } = spread(&series.values);
            let latency = |values: &[f64]| {
                if values.is_empty() { String::new() } else { format!("{:.2}", spread(values).median) }
            };
            let (p50, p99) = (latency(&series.p50_ms), latency(&series.p99_ms));
            let (median, min, max) = (figure(median), figure(min), figure(max));
            writeln!(
                text,
                "| {} | {} | {median} | {min} to {max} | {p50} | {p99} |",
                series.what, series.unit
            )?;
        }
        writeln!(text)
    }
}

/// Three digits that matter, and no more of small ones.
fn figure(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn mark(name: &str) -> String {
    format!("<!-- {name} -->")
}

fn end_mark(name: &str) -> String {
    format!("<!-- end of {name} -->")
}

const HEAD: &str = "# Benchmarks\n\n\
    Written by `tests/bench/run`, which builds with `--profile dist`. Rates depend on the machine and on what else it does; what counts are the ratios, each \
    taken within one round of one run against something else. A goal is hit by the median. \
    Each section says when and where it was taken. What holds the missed ones back is said under \
    [scaling](scaling.md#what-holds-it-back).\n";

/// Puts a section in the place of its older one; every other section stays as it is. `order` says where a new one
/// goes.
pub(crate) fn replace_section(document: &str, order: &[&str], name: &str, section: &str) -> String {
    let mut text = String::from(HEAD);
    for known in order {
        let part = if *known == name { Some(section.trim_end()) } else { section_of(document, known) };
        if let Some(part) = part {
            let _ = writeln!(text, "\n{part}");
        }
    }
    text
}

fn section_of<'d>(document: &'d str, name: &str) -> Option<&'d str> {
    let from = document.find(&mark(name))?;
    let end = end_mark(name);
    let to = document.get(from..)?.find(&end)? + from + end.len();
    document.get(from..to)
}

/// Keeps raw results: those of other workloads stay.
pub(crate) fn write_json(path: &Path, section: &Section, setting: &Setting) -> anyhow::Result<()> {
    let before = std::fs::read_to_string(path).unwrap_or_default();
    let mut all: Map<String, Value> = serde_json::from_str(&before).unwrap_or_default();
    let result = serde_json::json!({"setting": setting, "section": section});
    all.insert(section.name.to_owned(), result);
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    Ok(std::fs::write(path, serde_json::to_string_pretty(&all)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_its_older_one_and_no_other() {
        let order = ["a", "b", "c"];
        let one = replace_section("", &order, "b", "<!-- b -->\nold\n<!-- end of b -->\n");
        let two = replace_section(&one, &order, "a", "<!-- a -->\nfirst\n<!-- end of a -->\n");
        let three = replace_section(&two, &order, "b", "<!-- b -->\nnew\n<!-- end of b -->\n");
        let expected = "\n<!-- a -->\nfirst\n<!-- end of a -->\n\n<!-- b -->\nnew\n<!-- end of b -->\n";
        assert_eq!(three.strip_prefix(HEAD), Some(expected));
    }

    #[test]
    fn a_missed_goal_is_said() {
        let ratio = Ratio {
            what: "ours to theirs".to_owned(),
            values: vec![0.5, 0.7, 0.6],
            goals: vec![Goal::AtLeast(0.6), Goal::AtLeast(1.0)],
        };
        let section = Section { name: "x", ratios: vec![ratio], ..Section::default() };
        let setting = Setting { date: "today".to_owned(), machine: "here".to_owned(), quick: false };
        let text = section.markdown(&setting);
        assert!(text.contains("| 0.60 | 0.50 to 0.70 | ≥ 0.6; ≥ 1 | hit; **missed** |"), "{text}");
    }
}
