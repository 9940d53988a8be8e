//! The few things that the two databases spell differently.

use std::borrow::Cow;

use super::migrate::Flavour;

/// The event's id as PostgreSQL takes it out of a leaf. Its index is of just this expression.
macro_rules! id_in_leaf {
    ($leaf:literal) => {
        concat!("left(split_part(", $leaf, ", '\"event_id\":\"', 2), 36)")
    };
}

/// A token, and what PostgreSQL and SQLite call it. Opening and closing halves are separate tokens, so
/// that spelling a statement is plain replacement and never has to understand SQL.
const TOKENS: [(&str, &str, &str); 12] = [
    // PostgreSQL has an index for this, which grows at its end, since ids follow time; SQLite has one by stream.
    // A row before the first entry is no entry: only somebody who takes constraints away writes one. That is asked in a
    // way that leads no planner to the index by position.
    (
        "{entry_of_event}",
        concat!(
            id_in_leaf!("l.leaf"),
            " = e.event_id AND l.aggregate_type = e.aggregate_type AND l.aggregate_id = e.aggregate_id \
             AND l.sequence = e.sequence AND (l.position >= 0) IS TRUE"
        ),
        "l.aggregate_type = e.aggregate_type AND l.aggregate_id = e.aggregate_id AND l.sequence = e.sequence \
         AND (l.position >= 0) IS TRUE",
    ),
    ("{id_in_leaf}", id_in_leaf!("leaf"), "substr(leaf, instr(leaf, '\"event_id\":\"') + 12, 36)"),
    // PostgreSQL would put whole leaves aside for a join of all; SQLite looks each entry up.
    (
        "{bare_entries}",
        concat!(
            "(SELECT position, aggregate_type, aggregate_id, sequence, '\"event_id\":\"' || ",
            id_in_leaf!("leaf"),
            " AS leaf FROM ledger_entries OFFSET 0) AS"
        ),
        "ledger_entries",
    ),
    (
        "{wanted}",
        "unnest($1::text[], $2::text[]) AS wanted(id, subject)",
        "(SELECT $1 AS id, $2 AS subject) AS wanted",
    ),
    ("{object}", "json_build_object(", "json_object("),
    ("{/object}", ")", ")"),
    ("{array}", "coalesce(json_agg(", "json_group_array("),
    ("{/array}", "), '[]')", ")"),
    // SQLite keeps JSON as text, which would become a JSON string.
    ("{json}", "(", "json("),
    ("{/json}", ")::json", ")"),
    // SQLite keeps booleans as numbers, which would stay numbers.
    ("{boolean}", "(", "json(CASE ("),
    ("{/boolean}", ")", ") WHEN 0 THEN 'false' WHEN 1 THEN 'true' END)"),
];

/// Replaces every token; a statement without any is handed back as it is.
pub(super) fn spell(text: &str, flavour: Flavour) -> Cow<'_, str> {
    if !text.contains('{') {
        return Cow::Borrowed(text);
    }
    let mut spelled = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        spelled.push_str(before);
        let token = rest.get(before.len()..).unwrap_or_default();
        let known = TOKENS.iter().find(|(name, _, _)| token.starts_with(name));
        rest = if let Some((name, postgres, sqlite)) = known {
            spelled.push_str(match flavour {
                Flavour::Postgres => postgres,
                Flavour::Sqlite => sqlite,
            });
            token.strip_prefix(name).unwrap_or_default()
        } else {
            spelled.push('{');
            after
        };
    }
    spelled.push_str(rest);
    Cow::Owned(spelled)
}
