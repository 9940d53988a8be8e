-- The foundation: events, what an append derives from them, and the keys and sealed rows beside them.
--
-- No foreign keys, and no unique index that spans streams except the two claim tables: the tables
-- can then be spread over several databases by stream. Ids and digests are text on both databases;
-- here a time is text too (RFC 3339 in UTC with six fraction digits, so that it sorts), a boolean is
-- 0 or 1, and JSON is checked text.

-- Everything that ever happened. The columns up to `metadata` are postgres-es's layout, so that its
-- refolding reads work unchanged; ours follow and have defaults, so that its INSERT works as well.
CREATE TABLE events (
    aggregate_type text NOT NULL,
    aggregate_id   text NOT NULL,
    sequence       INTEGER NOT NULL CONSTRAINT events_sequence_check CHECK (sequence >= 1),
    event_type     text NOT NULL,
    event_version  text NOT NULL,
    payload        text NOT NULL CONSTRAINT events_payload_check CHECK (json_valid(payload)),
    metadata       text NOT NULL CONSTRAINT events_metadata_check CHECK (json_valid(metadata)),
    event_id       text NOT NULL DEFAULT (lower(hex(randomblob(16)))),
    recorded_at    text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    user_id        text,
    agreement_id   text,
    actor_id       text,
    CONSTRAINT events_pkey PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);

-- Newest-first listings page by (recorded_at, event_id), alone or under one of the filters. Each of
-- these costs every append more than the event itself does, so rows that no filter finds stay out.
CREATE INDEX events_recorded_at ON events (recorded_at, event_id);
CREATE INDEX events_user_id ON events (user_id, recorded_at, event_id) WHERE user_id IS NOT NULL;
CREATE INDEX events_agreement_id ON events (agreement_id, recorded_at, event_id) WHERE agreement_id IS NOT NULL;
CREATE INDEX events_actor_id ON events (actor_id, recorded_at, event_id) WHERE actor_id IS NOT NULL;
CREATE INDEX events_event_type ON events (event_type, recorded_at, event_id);

-- Nothing the program does changes history; these refuse whoever else tries.
CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events_append_only');
END;

CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events_append_only');
END;

-- The state of each stream after its last event, so that loading costs the same however long the
-- stream is. Moving `last_sequence` from its previous value is what decides who wins a conflict.
CREATE TABLE snapshots (
    aggregate_type    text NOT NULL,
    aggregate_id      text NOT NULL,
    last_sequence     INTEGER NOT NULL,
    previous_sequence INTEGER NOT NULL,
    current_snapshot  INTEGER NOT NULL DEFAULT 1,
    payload           text NOT NULL CONSTRAINT snapshots_payload_check CHECK (json_valid(payload)),
    CONSTRAINT snapshots_pkey PRIMARY KEY (aggregate_type, aggregate_id)
);

-- Events that have no place in the ledger yet, written with them and drained by the sequencer.
-- AUTOINCREMENT, because a number must never come back after its row was drained.
CREATE TABLE ledger_pending (
    pending_id     INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id       text NOT NULL,
    aggregate_type text NOT NULL,
    aggregate_id   text NOT NULL,
    sequence       INTEGER NOT NULL
);

-- Which user holds an e-mail address. The key is a digest, since the address itself is sealed;
-- the primary key is what refuses a second user with it.
CREATE TABLE email_claims (
    digest  text NOT NULL,
    user_id text NOT NULL,
    CONSTRAINT email_claims_pkey PRIMARY KEY (digest)
);

-- Which agreement holds an agreement number; the primary key is what refuses a second one.
CREATE TABLE agreement_number_claims (
    number       text NOT NULL,
    agreement_id text NOT NULL,
    CONSTRAINT agreement_number_claims_pkey PRIMARY KEY (number)
);

-- One data key per owner, wrapped under a master key. Deleting the row erases the person: what was
-- sealed under the key stays in the events, which the ledger still proves, and nobody can read it.
CREATE TABLE data_keys (
    key_id        text NOT NULL,
    owner_id      text NOT NULL,
    wrapped       text NOT NULL,
    master_key_id text NOT NULL,
    created_at    text NOT NULL,
    CONSTRAINT data_keys_pkey PRIMARY KEY (key_id)
);
CREATE INDEX data_keys_owner_id ON data_keys (owner_id);

-- Keys of the whole installation that belong to no owner (the e-mail digest key, say), wrapped
-- under a master key like the others.
CREATE TABLE instance_keys (
    name          text NOT NULL,
    wrapped       text NOT NULL,
    master_key_id text NOT NULL,
    created_at    text NOT NULL,
    CONSTRAINT instance_keys_pkey PRIMARY KEY (name)
);

-- Secrets, sealed under a data key: no event, snapshot or view ever holds one. Events name a row
-- by its id.
CREATE TABLE vault (
    row_id     text NOT NULL,
    user_id    text NOT NULL,
    kind       text NOT NULL,
    key_id     text NOT NULL,
    sealed     text NOT NULL,
    created_at text NOT NULL,
    CONSTRAINT vault_pkey PRIMARY KEY (row_id)
);
CREATE INDEX vault_user_id ON vault (user_id);

-- What the question at sign-in needs to know of a user. Written in the append's own transaction,
-- so that the answer is never stale.
CREATE TABLE login_check_users (
    user_id                    text NOT NULL,
    email                      text,
    display_name               text,
    two_factor_enabled         INTEGER NOT NULL,
    totp_usable                INTEGER NOT NULL,
    recovery_code_usable       INTEGER NOT NULL,
    codes_locked_until         text,
    recovery_code_locked_until text,
    registered_at              text NOT NULL,
    CONSTRAINT login_check_users_pkey PRIMARY KEY (user_id)
);

-- Who is linked to which agreement. An agreement may have a hundred thousand members, too many for
-- its state, so this table is the membership.
CREATE TABLE login_check_links (
    user_id      text NOT NULL,
    agreement_id text NOT NULL,
    role         text NOT NULL,
    linked_at    text NOT NULL,
    CONSTRAINT login_check_links_pkey PRIMARY KEY (user_id, agreement_id)
);
CREATE INDEX login_check_links_agreement_id ON login_check_links (agreement_id, user_id);

-- What each agreement requires, and which agreement administers it. Joined with the links, this
-- answers whether a user must have two-factor, and because of whom.
CREATE TABLE login_check_agreements (
    agreement_id    text NOT NULL,
    number          text NOT NULL,
    name            text NOT NULL,
    kind            text NOT NULL,
    administered_by text,
    administered_since text,
    enforced        INTEGER NOT NULL,
    enforced_since  text,
    enforced_by     text,
    deadline        text,
    reason          text,
    closed          INTEGER NOT NULL,
    opened_at       text NOT NULL,
    CONSTRAINT login_check_agreements_pkey PRIMARY KEY (agreement_id)
);
CREATE INDEX login_check_agreements_administered_by ON login_check_agreements (administered_by);

-- The keys that applications present. Only a digest of the token is kept, and each request is
-- checked against this table alone.
CREATE TABLE api_keys (
    key_id       text NOT NULL,
    name         text NOT NULL,
    token_sha256 text NOT NULL,
    scopes       text NOT NULL,
    created_at   text NOT NULL,
    expires_at   text,
    revoked_at   text,
    CONSTRAINT api_keys_pkey PRIMARY KEY (key_id)
);

-- When a session was last used. Not history: an event per page view would say nothing worth keeping.
CREATE TABLE session_uses (
    session_id   text NOT NULL,
    user_id      text NOT NULL,
    last_used_at text NOT NULL,
    CONSTRAINT session_uses_pkey PRIMARY KEY (session_id)
);
CREATE INDEX session_uses_user_id ON session_uses (user_id);
CREATE INDEX session_uses_last_used_at ON session_uses (last_used_at);

-- Attempts per bucket (an address, an account) in the current window. `unrecorded` counts those
-- that were turned away without an event, so that a flood does not become history row by row.
CREATE TABLE throttle (
    bucket            text NOT NULL,
    window_started_at text NOT NULL,
    attempts          INTEGER NOT NULL,
    unrecorded        INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT throttle_pkey PRIMARY KEY (bucket)
);
CREATE INDEX throttle_window_started_at ON throttle (window_started_at);
