-- Ticking enforcement says how many people it reaches. Counting a hundred thousand of them takes a second,
-- so coverage counts along.
--
-- No release has filled version 2 of coverage yet, so that it gets one more table instead of a version 3, and
-- begins again with the ledger's first entry.

-- Whom each agreement reaches: its own people, and those of the open agreements that it administers, each
-- counted once, as far as coverage has followed the ledger.
CREATE TABLE coverage_reach_v2 (
    agreement_id    text NOT NULL,
    administered_by text,
    closed          INTEGER NOT NULL,
    people          INTEGER NOT NULL,
    with_two_factor INTEGER NOT NULL,
    CONSTRAINT coverage_reach_v2_pkey PRIMARY KEY (agreement_id)
);

-- Where the administration of an agreement changes, its people are gone through.
CREATE INDEX coverage_members_v2_agreement_id ON coverage_members_v2 (agreement_id, user_id);

DELETE FROM coverage_v2;
DELETE FROM coverage_members_v2;
DELETE FROM coverage_two_factor_v2;
UPDATE projection_checkpoints SET position = 0, epoch = epoch + 1 WHERE projection = 'coverage' AND version = 2;
