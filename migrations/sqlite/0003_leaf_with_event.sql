-- The leaf of an event is made where the event is appended, so that the sequencer only has to give it its
-- place. For that a stream's snapshot knows the hash of the leaf before.

-- Without a leaf (an event that another program appended, or an older version of this one) the sequencer
-- makes it from the event.
ALTER TABLE ledger_pending ADD COLUMN leaf text;

-- The hash of the leaf of event `leaf_sequence`, which is the last one. A version of the program that knows
-- nothing of leaves leaves both as they are, and the sequences then tell.
ALTER TABLE snapshots ADD COLUMN leaf_sequence INTEGER;
ALTER TABLE snapshots ADD COLUMN leaf_hash text;
