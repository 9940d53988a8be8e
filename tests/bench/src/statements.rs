//! The program's own statements, as the server logged them, made into a script that pgbench repeats.
//!
//! They are read from the log and not written down here, so that they are the true ones whatever the program
//! sends in a later version.

use anyhow::{Context, ensure};

/// A statement and what it was given.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(crate) sql: String,
    pub(crate) params: Vec<Option<String>>,
}

/// The last statement in a log that begins like this.
pub(crate) fn last_logged(log: &str, beginning: &str) -> anyhow::Result<Logged> {
    let lines: Vec<&str> = log.lines().collect();
    let is_it = |line: &&str| {
        let sql = line.split_once("execute ").and_then(|(_, rest)| rest.split_once(": "));
        sql.is_some_and(|(_, sql)| sql.starts_with(beginning))
    };
    let at =
        lines.iter().rposition(is_it).with_context(|| format!("nothing logged begins with {beginning}"))?;
    let line = lines.get(at).copied().unwrap_or_default();
    let (_, sql) =
        line.split_once("execute ").and_then(|(_, rest)| rest.split_once(": ")).context("no statement")?;
    let detail = lines.get(at + 1).and_then(|line| line.split_once("parameters: "));
    let (_, params) = detail.context("a statement was logged without its parameters")?;
    Ok(Logged { sql: sql.to_owned(), params: params_of(params)? })
}

/// Reads `$1 = 'it''s', $2 = NULL`.
fn params_of(text: &str) -> anyhow::Result<Vec<Option<String>>> {
    let mut params = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (_, after) = rest.split_once(" = ").context("a parameter without a value")?;
        if let Some(after) = after.strip_prefix("NULL") {
            params.push(None);
            rest = after;
        } else {
            let mut value = String::new();
            rest = after.strip_prefix('\'').context("a value without quotes")?;
            loop {
                let (part, after) = rest.split_once('\'').context("a value without an end")?;
                value.push_str(part);
                let Some(after) = after.strip_prefix('\'') else {
                    rest = after;
                    break;
                };
                value.push('\'');
                rest = after;
            }
            params.push(Some(value));
        }
        rest = rest.strip_prefix(", ").unwrap_or(rest);
    }
    Ok(params)
}

/// How many elements an array has, as PostgreSQL writes one.
fn elements(array: &str) -> usize {
    let (mut count, mut quoted, mut escaped) = (1, false, false);
    for character in array.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => count += 1,
            _ => {}
        }
    }
    if array == "{}" { 0 } else { count }
}

/// What each parameter is called: `unnest($1::text[], …) WITH ORDINALITY AS given(name, …, place)`.
fn names(sql: &str, count: usize) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::with_capacity(count);
    for part in sql.split("WITH ORDINALITY AS given(").skip(1) {
        let (list, _) = part.split_once(')').context("columns without an end")?;
        names.extend(list.split(", ").filter(|name| *name != "place").map(str::to_owned));
    }
    ensure!(names.len() == count, "{} parameters have {} names", count, names.len());
    Ok(names)
}

/// One verification as a pgbench script: the load, and the append of what it led to. Whose stream it is, its
/// sequence and the time are new each time; everything else is as it was logged.
///
/// Clients go through people of their own, one after the other, as real sign-ins are each somebody else's.
pub(crate) fn script(
    load: &Logged,
    append: &Logged,
    people: usize,
) -> anyhow::Result<(String, Vec<(String, String)>)> {
    let mut variables = vec![("turn".to_owned(), "0".to_owned())];
    let load = load
        .sql
        .replace("$1::text[]", &format!("ARRAY[{COPY}]::text[]"))
        .replace("$2::text[]", "ARRAY[NULL]::text[]");
    let names = names(&append.sql, append.params.len())?;
    let mut sql = append.sql.clone();
    // From the last to the first, so that $1 does not also name the beginning of $12.
    for (index, (name, param)) in names.iter().zip(&append.params).enumerate().rev() {
        let place = format!("${}::text[]", index + 1);
        let value = param.as_deref().context("an array that is null")?;
        let repeated = |what: &str| vec![what; elements(value)].join(", ");
        let counted = |from: &str| {
            let each: Vec<String> = (1..=elements(value)).map(|n| format!("({from} + {n})::text")).collect();
            each.join(", ")
        };
        let put = match name.as_str() {
            "aggregate_id" | "stream_id" | "user_id" => format!("ARRAY[{}]::text[]", repeated(":id")),
            "sequence" => format!("ARRAY[{}]", counted(":sequence")),
            "previous_sequence" => "ARRAY[(:sequence + 0)::text]".to_owned(),
            "last_sequence" | "leaf_sequence" => "ARRAY[(:sequence + 2)::text]".to_owned(),
            "current_snapshot" => "ARRAY[(:snapshot_number + 1)::text]".to_owned(),
            "recorded_at" => format!("ARRAY[{}]", repeated("clock_timestamp()::text")),
            _ => {
                variables.push((format!("p{index}"), value.to_owned()));
                format!(":p{index}::text[]")
            }
        };
        sql = sql.replace(&place, &put);
    }
    let script = format!(
        "\\set turn :turn + 1\n\\set copy 1 + (:client_id + :clients * :turn) % {people}\n{load}\n\\gset\n{sql};\n"
    );
    Ok((script, variables))
}

/// The id of a copied person, as `fill` makes it.
const COPY: &str = "lpad(to_hex(:copy::int), 8, '0') || '-0000-4000-8000-000000000000'";

/// The id of a copy.
pub(crate) fn copy_id(number: usize) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

/// Copies of one person, as far as a verification reads and writes them.
pub(crate) fn copies(id: &str, count: usize) -> Vec<String> {
    let mut statements = copies_between(id, 1, count);
    statements.push("VACUUM ANALYZE".to_owned());
    statements
}

/// Those with these numbers. Each has one event too, from so long ago that no search for lost ones finds it.
pub(crate) fn copies_between(id: &str, from: usize, to: usize) -> Vec<String> {
    let copy = "lpad(to_hex(n), 8, '0') || '-0000-4000-8000-000000000000'";
    let series = format!("generate_series({from}, {to}) AS n");
    vec![
        format!(
            "INSERT INTO snapshots (aggregate_type, aggregate_id, last_sequence, previous_sequence, current_snapshot, \
             payload, leaf_sequence, leaf_hash) SELECT s.aggregate_type, {copy}, s.last_sequence, s.previous_sequence, \
             s.current_snapshot, replace(s.payload::text, '{id}', {copy})::json, s.leaf_sequence, s.leaf_hash \
             FROM {series}, snapshots s WHERE s.aggregate_id = '{id}'"
        ),
        format!(
            "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
             recorded_at, user_id) SELECT e.aggregate_type, {copy}, e.sequence, e.event_type, e.event_version, \
             replace(e.payload::text, '{id}', {copy})::json, e.metadata, e.recorded_at - interval '2 days', {copy} \
             FROM {series}, events e WHERE e.aggregate_id = '{id}' AND e.sequence = 1"
        ),
        format!(
            "INSERT INTO data_keys SELECT k.key_id || '-' || n, {copy}, k.wrapped, k.master_key_id, k.created_at \
             FROM {series}, data_keys k WHERE k.owner_id = '{id}'"
        ),
        format!(
            "INSERT INTO vault SELECT v.row_id || '-' || n, {copy}, v.kind, v.key_id, v.sealed, v.created_at \
             FROM {series}, vault v WHERE v.user_id = '{id}'"
        ),
        format!(
            "INSERT INTO login_check_users SELECT {copy}, u.email, u.display_name, u.two_factor_enabled, \
             u.totp_usable, u.recovery_code_usable, u.codes_locked_until, u.recovery_code_locked_until, \
             u.registered_at FROM {series}, login_check_users u WHERE u.user_id = '{id}'"
        ),
    ]
}

/// Lengthens a stream to so many events by copies of its last one, which wait for their place like others.
pub(crate) fn longer_streams(id: &str, events: usize) -> Vec<String> {
    let stream = format!("aggregate_type = 'user' AND aggregate_id = '{id}'");
    vec![
        format!(
            "WITH copied AS (INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, \
             payload, metadata, event_id, recorded_at, user_id, agreement_id, actor_id) \
             SELECT e.aggregate_type, e.aggregate_id, n, e.event_type, e.event_version, e.payload, \
             replace(e.metadata::text, e.event_id, lpad(to_hex(n), 8, '0') || substr(e.event_id, 9))::json, \
             lpad(to_hex(n), 8, '0') || substr(e.event_id, 9), e.recorded_at, e.user_id, e.agreement_id, e.actor_id \
             FROM (SELECT * FROM events WHERE {stream} ORDER BY sequence DESC LIMIT 1) AS e, \
             generate_series(e.sequence + 1, {events}) AS n RETURNING event_id, aggregate_type, aggregate_id, sequence) \
             INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
             SELECT event_id, aggregate_type, aggregate_id, sequence FROM copied ORDER BY sequence"
        ),
        format!(
            "UPDATE snapshots SET last_sequence = {events}, previous_sequence = {events} - 1 WHERE {stream}"
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_they_were_logged() {
        let log = "x LOG:  execute sqlx_s_1: WITH moved AS (SELECT 1)\n\
                   x DETAIL:  parameters: $1 = '{user}', $2 = 'it''s', $3 = NULL, $4 = '{\"a,\\\"b\",c}'\n";
        let logged = last_logged(log, "WITH moved").unwrap();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(logged.sql, "WITH moved AS (SELECT 1)");
        assert_eq!(logged.params, [text("{user}"), text("it's"), None, text("{\"a,\\\"b\",c}")]);
        assert_eq!(elements("{\"a,\\\"b\",c}"), 2);
        assert!(last_logged(log, "SELECT").is_err());
    }
}
