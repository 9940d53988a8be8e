-- The queue is emptied several times a second, and vacuumed often. Giving its empty end back to the system each time
-- needs the table for itself, so that appends wait for it; it fills again in a moment.
ALTER TABLE ledger_pending SET (vacuum_truncate = off);
