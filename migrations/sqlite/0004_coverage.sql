-- Coverage: how many people of an agreement had two-factor, day by day. It follows the ledger.

-- One row for each agreement and each day on which something changed it, as it was at the end of that day.
-- Who must have two-factor, and whether that is due, is not counted here: a deadline passes without an event,
-- and an administrator's tick would change a row for each agreement. Both follow from the last four columns of
-- this row and of the administrator's.
CREATE TABLE coverage_v1 (
    agreement_id    text NOT NULL,
    day             text NOT NULL,
    members         INTEGER NOT NULL,
    with_two_factor INTEGER NOT NULL,
    enforced        INTEGER NOT NULL,
    deadline        text,
    administered_by text,
    closed          INTEGER NOT NULL,
    CONSTRAINT coverage_v1_pkey PRIMARY KEY (agreement_id, day)
);

-- Who is linked to which agreement, as far as coverage has followed the ledger.
CREATE TABLE coverage_members_v1 (
    user_id      text NOT NULL,
    agreement_id text NOT NULL,
    CONSTRAINT coverage_members_v1_pkey PRIMARY KEY (user_id, agreement_id)
);

-- Who has two-factor, as far as coverage has followed the ledger.
CREATE TABLE coverage_two_factor_v1 (
    user_id text NOT NULL,
    CONSTRAINT coverage_two_factor_v1_pkey PRIMARY KEY (user_id)
);
