-- The queue's file keeps its size, and mostly holds few rows. Where PostgreSQL knows that rows stand in the order of
-- their numbers, it takes going through the index for going through all of that file, and reads and sorts the file
-- instead. The type stays what it is; saying it again is what throws away the statistics that are there.
ALTER TABLE ledger_pending ALTER COLUMN pending_id SET STATISTICS 0, ALTER COLUMN pending_id TYPE bigint;
