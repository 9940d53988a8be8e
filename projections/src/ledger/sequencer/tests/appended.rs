//! Events that the sequencer's own node appended.

use super::with_leaf::leaf_of;
use super::*;

impl Log {
    /// An event with its leaf, as a node appends it.
    async fn append(&self, leaf: &Leaf) {
        let stream = number_of(&leaf.stream_id);
        self.event_without_notice(stream, i64::try_from(leaf.sequence).unwrap()).await;
        self.queue(&leaf.event_id.to_string(), leaf, Some(&leaf.to_text().unwrap())).await;
    }

    async fn queue(&self, event_id: &str, leaf: &Leaf, text: Option<&str>) {
        let sql = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence, leaf) \
                   VALUES ($1, 'user', $2, $3, $4)";
        let params = [
            event_id.into(),
            leaf.stream_id.clone().into(),
            number(leaf.sequence).unwrap(),
            text.map(str::to_owned).into(),
        ];
        self.database.write(sql, &params).await.unwrap();
    }

    async fn append_and_remember(&self, leaves: &[&Leaf]) {
        for leaf in leaves {
            self.append(leaf).await;
        }
        self.remember(leaves);
    }

    fn remember(&self, leaves: &[&Leaf]) {
        self.sequencer.appends.note(leaves.iter().map(|leaf| appended(leaf)).collect());
    }

    /// What is in the queue names its event, and is no leaf any more.
    async fn spoil_what_waits(&self) {
        let sql = "UPDATE ledger_pending SET leaf = '{\"event_id\":\"' || {id_in_leaf} || '\"}'";
        self.database.write(sql, &[]).await.unwrap();
    }

    async fn hashes(&self) -> Vec<Hash> {
        let size = self.store.state().await.unwrap().unwrap().size();
        self.store.leaf_hashes(0, size).await.unwrap()
    }
}

fn number_of(stream_id: &str) -> u32 {
    stream_id.rsplit('-').next().unwrap().parse().unwrap()
}

fn appended(leaf: &Leaf) -> Appended {
    Appended {
        event_id: leaf.event_id,
        stream: StreamKey::new(&leaf.stream_type, &leaf.stream_id),
        sequence: leaf.sequence,
        leaf: KnownLeaf { prev: leaf.prev, hash: leaf.hash().unwrap(), recorded_at: leaf.recorded_at },
    }
}

/// Three events of two streams.
fn three_leaves() -> [Leaf; 3] {
    let first = leaf_of(1, 1, None);
    let second = leaf_of(1, 2, Some(first.hash().unwrap()));
    [first, leaf_of(2, 1, None), second]
}

async fn leading_logs() -> Vec<Log> {
    let logs = logs().await;
    for log in &logs {
        log.sequencer.appends.remember();
    }
    logs
}

#[tokio::test]
async fn what_the_node_appended_itself_gets_its_place_and_leaves_are_not_read_back() {
    for mut log in leading_logs().await {
        let leaves = three_leaves();
        log.append_and_remember(&leaves.each_ref()).await;
        log.spoil_what_waits().await;
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count, log.pending().await), (3, 0, 0));
        assert_eq!(log.hashes().await, leaves.map(|leaf| leaf.hash().unwrap()));
        assert!(log.sequencer.appends.is_empty());
        // What was in the queue instead is in the ledger, under the hash of what was appended.
        let found = log.store.leaves(0, 3).await.unwrap();
        assert!(found.iter().all(|found| found.leaf.len() == r#"{"event_id":""}"#.len() + 36));
    }
}

/// Of two nodes, an older program and one that does not say which event it is.
#[tokio::test]
async fn what_is_not_remembered_is_read_in_its_order() {
    for mut log in leading_logs().await {
        let [first, other, second] = three_leaves();
        log.append(&first).await;
        log.append(&other).await;
        log.event(3, 1).await;
        log.append(&second).await;
        log.queue("no id", &leaf_of(4, 1, None), Some(&leaf_of(4, 1, None).to_text().unwrap())).await;
        log.remember(&[&second, &other]);
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count, log.pending().await), (5, 0, 0));
        let entries = [first, other, leaf_of(3, 1, None), second, leaf_of(4, 1, None)];
        assert_eq!(log.entries().await, entries);
        assert_eq!(log.hashes().await, entries.map(|leaf| leaf.hash().unwrap()));
    }
}

/// It could say that an event is another.
#[tokio::test]
async fn a_name_with_a_comma_has_everything_read() {
    for mut log in leading_logs().await {
        let [first, other, _] = three_leaves();
        log.append_and_remember(&[&first, &other]).await;
        let sql = "UPDATE ledger_pending SET aggregate_id = 'x 1,2 ' || $1 || ' user ' || $2 WHERE aggregate_id = $2";
        let params = [first.event_id.to_string().into(), first.stream_id.clone().into()];
        log.database.write(sql, &params).await.unwrap();
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count), (1, 1));
        assert_eq!(log.entries().await, [other]);
    }
}

/// It would not be found by the event's id.
#[tokio::test]
async fn a_leaf_that_names_another_event_is_read() {
    for mut log in leading_logs().await {
        let first = leaf_of(1, 1, None);
        log.append_and_remember(&[&first]).await;
        let sql = "UPDATE ledger_pending SET leaf = replace(leaf, {id_in_leaf}, $1)";
        let another = "00000000-0000-7000-8000-00000000000a";
        log.database.write(sql, &[another.into()]).await.unwrap();
        assert_eq!(log.turn().await.taken, 1);
        let forged = Leaf { event_id: another.parse().unwrap(), ..first };
        assert_eq!(log.hashes().await, [forged.hash().unwrap()]);
        assert_eq!(log.entries().await, [forged]);
    }
}

/// As where an adoption puts what waits in anew, without its leaf.
#[tokio::test]
async fn an_event_without_its_leaf_is_not_remembered() {
    for mut log in leading_logs().await {
        let first = leaf_of(1, 1, None);
        log.append_and_remember(&[&first]).await;
        log.database.write("UPDATE ledger_pending SET leaf = NULL", &[]).await.unwrap();
        assert_eq!(log.turn().await.taken, 1);
        assert_eq!(log.entries().await, [first]);
    }
}

#[tokio::test]
async fn what_does_not_follow_its_stream_is_held_and_then_read() {
    for mut log in leading_logs().await {
        let [first, _, second] = three_leaves();
        log.append(&first).await;
        log.append(&second).await;
        let another =
            Appended { leaf: KnownLeaf { prev: None, ..appended(&second).leaf }, ..appended(&second) };
        log.sequencer.appends.note(vec![another]);
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count), (1, 1));
        assert!(turn.held.first[0].reason.contains("does not follow"), "{:?}", turn.held);
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count), (1, 0));
        assert_eq!(log.entries().await, [first, second]);
    }
}

#[tokio::test]
async fn a_turn_that_was_lost_reads_what_it_had_remembered() {
    for mut log in leading_logs().await {
        let leaves = three_leaves();
        log.append_and_remember(&leaves.each_ref()).await;
        let (placed, _) = log.sequencer.place_next(0).await.unwrap();
        assert_eq!(placed.entries.len(), 3);
        // Nothing became of these.
        assert_eq!(log.turn().await.taken, 3);
        assert_eq!(log.entries().await, leaves);
    }
}

/// As where somebody with rights on the queue puts an event under another stream, which could not go on then.
#[tokio::test]
async fn a_row_that_says_another_stream_or_sequence_is_read_and_held() {
    for changed in ["aggregate_id = 'another'", "aggregate_type = 'agreement'", "sequence = 2"] {
        for mut log in leading_logs().await {
            let first = leaf_of(1, 1, None);
            log.append_and_remember(&[&first]).await;
            log.database.write(&format!("UPDATE ledger_pending SET {changed}"), &[]).await.unwrap();
            let turn = log.turn().await;
            assert_eq!((turn.taken, turn.held.count), (0, 1), "{changed}");
        }
    }
}

#[tokio::test]
async fn an_event_that_is_announced_twice_gets_one_place() {
    for mut log in leading_logs().await {
        let first = leaf_of(1, 1, None);
        log.append_and_remember(&[&first]).await;
        log.queue(&first.event_id.to_string(), &first, Some(&first.to_text().unwrap())).await;
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.held.count, log.pending().await), (1, 0, 0));
        assert_eq!(log.entries().await, [first]);
    }
}

#[tokio::test]
async fn a_turn_that_is_full_is_followed_by_another() {
    for mut log in leading_logs().await {
        log.event(1, 1).await;
        log.events_up_to(1, i64::try_from(TURN_ROWS_MAX).unwrap()).await;
        let last = leaf_of(2, 1, None);
        log.append_and_remember(&[&last]).await;
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.again), (TURN_ROWS_MAX, true));
        let turn = log.turn().await;
        assert_eq!((turn.taken, turn.again, log.pending().await), (1, false, 0));
    }
}
