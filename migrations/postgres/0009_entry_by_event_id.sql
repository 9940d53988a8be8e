-- The entry of an event is found by the event's id, which its leaf names: ids follow time, so that new entries come to
-- the index's end, where the key by stream has every entry change another page. A leaf is canonical JSON in which every
-- value is text, so nothing but the id stands behind this, and nodes of the release before fill the index as well.
-- The stream and the sequence are in it so that the same event cannot have two entries, while two events that another
-- program gave one id can have one each.
CREATE UNIQUE INDEX ledger_entries_event ON ledger_entries
    (left(split_part(leaf, '"event_id":"', 2), 36), aggregate_type, aggregate_id, sequence);

-- Nodes of the release before look for entries by that key. Where they can have stored nothing yet, it goes at once.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM events) THEN
        ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_event_key;
    END IF;
END
$$;
