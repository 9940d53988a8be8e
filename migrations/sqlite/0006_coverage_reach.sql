-- Ticking enforcement says how many people it reaches. Counting a hundred thousand of them takes a second,
-- so coverage counts along.
--
-- No release has filled version 2 of coverage yet, so that it gets two more columns instead of a version 3, and
-- begins again with the ledger's first entry.

-- The people of the agreement, and of the open agreements that it administers, each counted once.
ALTER TABLE coverage_v2 ADD COLUMN reached INTEGER NOT NULL DEFAULT 0;
ALTER TABLE coverage_v2 ADD COLUMN reached_with_two_factor INTEGER NOT NULL DEFAULT 0;

DELETE FROM coverage_v2;
DELETE FROM coverage_members_v2;
DELETE FROM coverage_two_factor_v2;
UPDATE projection_checkpoints SET position = 0, epoch = epoch + 1 WHERE projection = 'coverage' AND version = 2;

-- Where the administration of an agreement changes, its people are gone through.
CREATE INDEX coverage_members_v2_agreement_id ON coverage_members_v2 (agreement_id, user_id);
