//! Rebuilding what is a fold of single streams.

use std::collections::BTreeSet;

use super::beside::{Pair, Run};
use super::flip::{self, Scope};
use super::ledger_size;
use crate::database::{Database, DatabaseError, Exclusive, Step, Transacted};
use crate::replay::folded::FoldedStream;
use crate::replay::matching::Matching;
use crate::replay::model::{Model, StreamTable};
use crate::replay::streams::{Extent, Streams};
use crate::replay::{ReplayError, StreamTables, number};
use crate::table::{SNAPSHOTS, Table, Value};

/// So many rows are written in one transaction, or few more.
const BATCH_ROWS: usize = 4_096;

/// Once no more streams than this have moved, the rest is done while writers wait.
const REST_STREAMS: usize = 64;

/// So many rows are compared by one statement, or as many as the last stream among them has more.
const PAGE_ROWS: i64 = if cfg!(test) { 2 } else { 4_096 };

/// So many streams are replaced by one statement.
const PAGE_STREAMS: usize = if cfg!(test) { 1 } else { 4_096 };

/// Of so many differing streams each is replaced by its id; of more, whole tables are.
const DIFFERING_MAX: usize = if cfg!(test) { 2 } else { 10_000 };

/// So often what came meanwhile is taken in before the rest is done in any case.
const ROUNDS_MAX: usize = 20;

type StreamKey = (String, String);

/// The tables, with those beside them, each once.
pub(in crate::replay) fn tables_of(tables: &StreamTables) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::with_capacity(tables.len());
    for table in tables {
        if pairs.iter().all(|(live, _)| live.name != table.table.name) {
            pairs.push((table.table, table.beside));
        }
    }
    pairs
}

/// Rebuilds these tables; how many rows of each read model were replaced.
pub(super) async fn rebuild(
    database: &Database,
    tables: &StreamTables,
    mut run: Run,
    progress: &mut impl FnMut(u64, u64),
) -> Result<Vec<(Model, u64)>, ReplayError> {
    let replaced = carry_through(database, tables, &mut run, progress).await;
    if matches!(
        replaced,
        Err(ReplayError::Unreadable(_)
            | ReplayError::Incomplete { .. }
            | ReplayError::Unplaced { .. }
            | ReplayError::Database(DatabaseError::Constraint { .. }))
    ) {
        // Once history is mended, what was folded of it before is wrong. That it is refused is told in any case.
        drop(run.give_up(database).await);
    }
    replaced
}

async fn carry_through(
    database: &Database,
    tables: &StreamTables,
    run: &mut Run,
    progress: &mut impl FnMut(u64, u64),
) -> Result<Vec<(Model, u64)>, ReplayError> {
    let pairs = tables_of(tables);
    // What is folded now is not folded again by a run that goes on with it.
    if let Err(mismatch) = Matching::of(database).await?.refuse_mismatch() {
        refuse_unreadable(database).await?;
        return Err(mismatch);
    }
    fold_streams(database, tables, run, progress).await?;
    // What was recorded since may have been seen too.
    if run.seen < run.size {
        return Err(ReplayError::Incomplete { seen: run.seen, size: run.size });
    }
    run.index(database, &pairs).await?;
    let mut moving = Moving { from: run.size, moved: BTreeSet::new() };
    moving.take_in(database, tables, run).await?;
    progress(run.size, run.size);
    Matching::of(database).await?.refuse_mismatch()?;
    // Looked for while everybody writes, so that little is left to do while nobody may; and so is what moved
    // while that was looked for.
    let differing = Differing::of(database, tables).await?;
    moving.take_in(database, tables, run).await?;
    // Appends begin with the snapshots; tables beside may be looked after by autovacuum.
    let mut locked = vec![SNAPSHOTS.name];
    locked.extend(pairs.iter().map(|(live, _)| live.name).filter(|name| *name != SNAPSHOTS.name));
    locked.extend(pairs.iter().map(|(_, beside)| beside.name));
    let mut exclusive = database.exclusive(&locked).await?;
    for stream in moved_since(database, moving.from).await? {
        let rows = rows_of(database, &stream).await?;
        for table in of_kind(tables, &stream.0) {
            take_in(&mut exclusive, table, &stream.1, &rows).await?;
        }
        moving.moved.insert(stream);
    }
    let replaced = differing.put_in_place(database, &mut exclusive, tables, &moving.moved).await?;
    run.end(&mut exclusive, &pairs).await?;
    exclusive.commit().await?;
    Ok(replaced)
}

/// What moves while a rebuild goes on.
struct Moving {
    /// All that moved before so many entries was taken in.
    from: u64,
    /// The streams that were.
    moved: BTreeSet<StreamKey>,
}

impl Moving {
    /// Folds the streams anew that moved since, until few do.
    async fn take_in(
        &mut self,
        database: &Database,
        tables: &StreamTables,
        run: &Run,
    ) -> Result<(), ReplayError> {
        for _ in 0..ROUNDS_MAX {
            let to = ledger_size(database).await?;
            let moved = moved_since(database, self.from).await?;
            let are_few = moved.len() <= REST_STREAMS;
            for stream in moved {
                fold_anew(database, tables, run, &stream).await?;
                self.moved.insert(stream);
            }
            self.from = to;
            if are_few {
                break;
            }
        }
        Ok(())
    }
}

async fn fold_anew(
    database: &Database,
    tables: &StreamTables,
    run: &Run,
    stream: &StreamKey,
) -> Result<(), ReplayError> {
    let rows = rows_of(database, stream).await?;
    let mut steps = vec![run.still_ours()];
    for table in of_kind(tables, &stream.0) {
        steps.push(Step::new(forget(table), vec![stream.1.clone().into()]));
        let own = own_rows(table.table, &rows);
        if !own.is_empty() {
            steps.push(Step::insert(table.beside, own));
        }
    }
    match database.transact_derived(steps).await? {
        Transacted::Committed => Ok(()),
        Transacted::Undone => Err(ReplayError::TakenOver),
    }
}

/// The streams of which rows are to be replaced.
enum Differing {
    /// These; what moves meanwhile comes to them.
    Some(BTreeSet<StreamKey>),
    /// So many that whole tables are gone through.
    Many,
}

impl Differing {
    /// Compares all rows with those beside them, some streams at a time.
    async fn of(database: &Database, tables: &StreamTables) -> Result<Self, ReplayError> {
        let mut streams = BTreeSet::new();
        for table in tables {
            let mut after = String::new();
            while let Some(last) = last_of_page(database, table, &after).await? {
                for id in flip::differing(database, table, (&after, &last)).await? {
                    streams.insert((table.stream_type.to_owned(), id));
                }
                if streams.len() > DIFFERING_MAX {
                    return Ok(Self::Many);
                }
                after = last;
            }
        }
        Ok(Self::Some(streams))
    }

    /// Replaces what differs, while nobody writes.
    async fn put_in_place(
        self,
        database: &Database,
        exclusive: &mut Exclusive,
        tables: &StreamTables,
        moved: &BTreeSet<StreamKey>,
    ) -> Result<Vec<(Model, u64)>, ReplayError> {
        let mut replaced: Vec<(Model, u64)> = Vec::new();
        let kinds: BTreeSet<&'static str> = tables.iter().map(|table| table.stream_type).collect();
        match self {
            Self::Some(streams) => {
                exclusive.join_by_index().await?;
                for kind in kinds {
                    let of_kind = streams.union(moved).filter(|(stream_type, _)| stream_type == kind);
                    let ids: Vec<String> = of_kind.map(|(_, id)| id.clone()).collect();
                    for ids in ids.chunks(PAGE_STREAMS) {
                        replace(database, exclusive, (tables, kind), Some(ids), &mut replaced).await?;
                    }
                }
            }
            Self::Many => {
                exclusive.join_whole_tables().await?;
                for kind in kinds {
                    replace(database, exclusive, (tables, kind), None, &mut replaced).await?;
                }
            }
        }
        for table in tables {
            count(&mut replaced, table.model, 0);
        }
        replaced.sort_unstable();
        Ok(replaced)
    }
}

async fn replace(
    database: &Database,
    exclusive: &mut Exclusive,
    (tables, kind): (&StreamTables, &str),
    streams: Option<&[String]>,
    replaced: &mut Vec<(Model, u64)>,
) -> Result<(), ReplayError> {
    let before: u64 = replaced.iter().map(|(_, rows)| rows).sum();
    let (snapshots, others): (Vec<_>, Vec<_>) =
        of_kind(tables, kind).partition(|table| table.table.name == SNAPSHOTS.name);
    let scope = |table| Scope::of(database, table, streams);
    for table in others.iter().chain(&snapshots) {
        let rows = flip::mend(exclusive, (table.table, table.beside), &scope(table)).await?;
        count(replaced, table.model, rows);
    }
    for table in others {
        let rows = flip::add(exclusive, (table.table, table.beside), &scope(table)).await?;
        count(replaced, table.model, rows);
    }
    if replaced.iter().map(|(_, rows)| rows).sum::<u64>() > before {
        flip::outdate(exclusive, database, kind, streams).await?;
    }
    // Whoever read a stream that had none knows of none, so these need not be outdated.
    for table in snapshots {
        let rows = flip::add(exclusive, (table.table, table.beside), &scope(table)).await?;
        count(replaced, table.model, rows);
    }
    Ok(())
}

fn count(replaced: &mut Vec<(Model, u64)>, model: Model, rows: u64) {
    match replaced.iter_mut().find(|(known, _)| *known == model) {
        Some((_, before)) => *before += rows,
        None => replaced.push((model, rows)),
    }
}

/// The last of the streams that the next rows of a table, live or beside it, are of; none at the end.
async fn last_of_page(
    database: &Database,
    StreamTable { table, beside, only, stream_column: id, .. }: &StreamTable,
    after: &str,
) -> Result<Option<String>, ReplayError> {
    let (mut full, mut rest): (Option<String>, Option<String>) = (None, None);
    for name in [table.name, beside.name] {
        let sql = format!(
            "SELECT count(*) AS found, max(id) AS id FROM \
             (SELECT {id} AS id FROM {name} WHERE {only} AND {id} > $1 ORDER BY {id} LIMIT $2) AS page"
        );
        let rows = database.read_bulk(&sql, &[after.into(), PAGE_ROWS.into()]).await?;
        let Some(row) = rows.first() else { continue };
        let Some(id) = row.get::<Option<String>>("id")? else { continue };
        if row.get::<i64>("found")? == PAGE_ROWS {
            full = Some(full.map_or(id.clone(), |other| other.min(id)));
        } else {
            rest = rest.max(Some(id));
        }
    }
    // Where a page is full there may be more, so it ends there; what is left of the other comes with the next.
    Ok(full.or(rest))
}

/// Folds every stream, on from where the run is.
async fn fold_streams(
    database: &Database,
    tables: &StreamTables,
    run: &mut Run,
    progress: &mut impl FnMut(u64, u64),
) -> Result<(), ReplayError> {
    let mut streams = Streams::after(database, &run.after);
    let mut batch = Batch { seen: run.seen, rows: Vec::new(), after: run.after.clone() };
    let mut current = None;
    loop {
        let events = streams.next_page().await?;
        if events.is_empty() {
            break;
        }
        for event in &events {
            if let Some(whole) = FoldedStream::fold_next(&mut current, event)? {
                batch.add(whole);
                if batch.rows.len() >= BATCH_ROWS {
                    batch.write(database, tables, run).await?;
                }
            }
        }
        progress(batch.seen.min(run.size), run.size);
    }
    if let Some(last) = current {
        batch.add(last);
    }
    batch.write(database, tables, run).await
}

/// Names the first event that is gone or does not read, if there is one that can be named.
async fn refuse_unreadable(database: &Database) -> Result<(), ReplayError> {
    let (mut streams, mut current) = (Streams::all(database), None);
    loop {
        let events = streams.next_page().await?;
        if events.is_empty() {
            return Ok(());
        }
        for event in &events {
            FoldedStream::fold_next(&mut current, event)?;
        }
    }
}

/// Whole streams that were folded and not written yet.
struct Batch {
    seen: u64,
    rows: Vec<(&'static Table, Vec<Value>)>,
    after: StreamKey,
}

impl Batch {
    fn add(&mut self, folded: FoldedStream) {
        self.seen += folded.events();
        self.rows.extend(folded.rows());
        self.after = (folded.stream_type, folded.stream_id);
    }

    async fn write(
        &mut self,
        database: &Database,
        tables: &StreamTables,
        run: &mut Run,
    ) -> Result<(), ReplayError> {
        let rows = std::mem::take(&mut self.rows);
        let mut steps = Vec::new();
        for (live, beside) in tables_of(tables) {
            let own = own_rows(live, &rows);
            if !own.is_empty() {
                steps.push(Step::insert(beside, own));
            }
        }
        match run.advance(database, steps, self.seen, self.after.clone()).await? {
            Transacted::Committed => Ok(()),
            Transacted::Undone => Err(ReplayError::TakenOver),
        }
    }
}

/// The streams that have an event beyond the ledger's first entries. What waits is asked for first: what gets
/// its place in between is then among the entries.
async fn moved_since(database: &Database, size: u64) -> Result<BTreeSet<StreamKey>, ReplayError> {
    let waiting = "SELECT DISTINCT aggregate_type, aggregate_id FROM ledger_pending";
    let placed = "SELECT DISTINCT aggregate_type, aggregate_id FROM ledger_entries WHERE position >= $1";
    let mut moved = BTreeSet::new();
    for rows in [database.read_bulk(waiting, &[]).await?, database.read_bulk(placed, &[number(size)]).await?]
    {
        for row in rows {
            moved.insert((row.get("aggregate_type")?, row.get("aggregate_id")?));
        }
    }
    Ok(moved)
}

async fn rows_of(
    database: &Database,
    (stream_type, stream_id): &StreamKey,
) -> Result<Vec<(&'static Table, Vec<Value>)>, ReplayError> {
    let folded = FoldedStream::read(database, (stream_type, stream_id), Extent::Everything).await?;
    Ok(folded.map(|folded| folded.rows()).unwrap_or_default())
}

async fn take_in(
    exclusive: &mut Exclusive,
    table: &StreamTable,
    stream_id: &str,
    rows: &[(&'static Table, Vec<Value>)],
) -> Result<(), ReplayError> {
    exclusive.execute(&forget(table), vec![stream_id.into()]).await?;
    let own = own_rows(table.table, rows);
    if !own.is_empty() {
        exclusive.insert(table.beside, &own).await?;
    }
    Ok(())
}

fn of_kind<'t>(
    tables: &'t StreamTables,
    stream_type: &'t str,
) -> impl Iterator<Item = &'static StreamTable> + 't {
    tables.iter().copied().filter(move |table| table.stream_type == stream_type)
}

fn own_rows(table: &Table, rows: &[(&'static Table, Vec<Value>)]) -> Vec<Vec<Value>> {
    rows.iter().filter(|(other, _)| other.name == table.name).map(|(_, row)| row.clone()).collect()
}

fn forget(StreamTable { beside, only, stream_column, .. }: &StreamTable) -> String {
    format!("DELETE FROM {} WHERE {only} AND {stream_column} = $1", beside.name)
}
