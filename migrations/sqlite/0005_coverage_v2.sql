-- Coverage tells superusers apart: those who may tick enforcement should have two-factor before anybody else.
-- Version 2 is filled from the ledger's first entry; nodes of the release before go on with version 1
-- while one of them leads.

-- One row for each agreement and each day on which something changed it, as it was at the end of that day.
-- What was required, and due, follows from the last four columns of this row and of the administrator's.
CREATE TABLE coverage_v2 (
    agreement_id               text NOT NULL,
    day                        text NOT NULL,
    members                    INTEGER NOT NULL,
    with_two_factor            INTEGER NOT NULL,
    superusers                 INTEGER NOT NULL,
    superusers_with_two_factor INTEGER NOT NULL,
    enforced                   INTEGER NOT NULL,
    deadline                   text,
    administered_by            text,
    closed                     INTEGER NOT NULL,
    CONSTRAINT coverage_v2_pkey PRIMARY KEY (agreement_id, day)
);

-- Who is linked to which agreement, as far as coverage has followed the ledger.
CREATE TABLE coverage_members_v2 (
    user_id      text NOT NULL,
    agreement_id text NOT NULL,
    superuser    INTEGER NOT NULL,
    CONSTRAINT coverage_members_v2_pkey PRIMARY KEY (user_id, agreement_id)
);

-- Who has two-factor, as far as coverage has followed the ledger.
CREATE TABLE coverage_two_factor_v2 (
    user_id text NOT NULL,
    CONSTRAINT coverage_two_factor_v2_pkey PRIMARY KEY (user_id)
);

-- Raised whenever rows of a read model were replaced: whoever had read them before must read them again.
ALTER TABLE projection_checkpoints ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;

-- By which the links of some people are found, without all else that they did.
CREATE INDEX audit_trail_v1_links ON audit_trail_v1 (user_id, position)
    WHERE event_type IN ('UserLinked', 'UserRoleChanged', 'UserUnlinked');
