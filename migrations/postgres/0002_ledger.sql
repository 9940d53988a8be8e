-- The ledger: every event in one dense order, under a Merkle tree with signed checkpoints, and the audit
-- trail that people search, which follows it.

-- How far the ledger goes. One row, made at the first start; moving `size` from where it was read is
-- what keeps two sequencers from both taking a turn.
CREATE TABLE ledger_state (
    only_row      bigint NOT NULL DEFAULT 1 CONSTRAINT ledger_state_only_row_check CHECK (only_row = 1),
    origin        text NOT NULL,
    verifier_key  text NOT NULL,
    size          bigint NOT NULL,
    frontier      text NOT NULL,
    checkpoint    text NOT NULL,
    signed_size   bigint NOT NULL,
    sequenced_at  timestamptz NOT NULL,
    reconciled_to timestamptz NOT NULL,
    CONSTRAINT ledger_state_pkey PRIMARY KEY (only_row)
);

-- The events in the ledger's order. The leaf is the exact text that is hashed, so it is never written
-- anew; its hash stands beside it for proofs, and is not believed when the ledger is verified.
CREATE TABLE ledger_entries (
    position       bigint NOT NULL CONSTRAINT ledger_entries_position_check CHECK (position >= 0),
    aggregate_type text NOT NULL,
    aggregate_id   text NOT NULL,
    sequence       bigint NOT NULL,
    leaf           text NOT NULL,
    leaf_hash      text NOT NULL,
    CONSTRAINT ledger_entries_pkey PRIMARY KEY (position),
    CONSTRAINT ledger_entries_event_key UNIQUE (aggregate_type, aggregate_id, sequence)
);

CREATE FUNCTION refuse_change_of_ledger_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger entries are append-only'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_entries_append_only', TABLE = 'ledger_entries';
END
$$;

CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_ledger_entries();

-- The tree's hashes, 256 to a row, in base64. At level 0 only full tiles are here: the hashes of the
-- last one are those of the last entries. Higher up the last tile of a level grows.
CREATE TABLE ledger_tiles (
    level      bigint NOT NULL,
    tile_index bigint NOT NULL,
    hashes     text NOT NULL,
    CONSTRAINT ledger_tiles_pkey PRIMARY KEY (level, tile_index)
);

-- How far each version of each projection has read the ledger; it moves with the projection's rows.
CREATE TABLE projection_checkpoints (
    projection text NOT NULL,
    version    bigint NOT NULL,
    position   bigint NOT NULL,
    CONSTRAINT projection_checkpoints_pkey PRIMARY KEY (projection, version)
);

-- The audit trail: by what people search, newest first. What an entry says is read from its event.
CREATE TABLE audit_trail_v1 (
    position       bigint NOT NULL,
    recorded_at    timestamptz NOT NULL,
    event_type     text NOT NULL,
    aggregate_type text NOT NULL,
    aggregate_id   text NOT NULL,
    sequence       bigint NOT NULL,
    user_id        text,
    agreement_id   text,
    actor_id       text,
    CONSTRAINT audit_trail_v1_pkey PRIMARY KEY (position)
);
CREATE INDEX audit_trail_v1_recorded_at ON audit_trail_v1 (recorded_at, position);
CREATE INDEX audit_trail_v1_event_type ON audit_trail_v1 (event_type, recorded_at, position);
CREATE INDEX audit_trail_v1_user_id ON audit_trail_v1 (user_id, recorded_at, position)
    WHERE user_id IS NOT NULL;
CREATE INDEX audit_trail_v1_agreement_id ON audit_trail_v1 (agreement_id, recorded_at, position)
    WHERE agreement_id IS NOT NULL;
CREATE INDEX audit_trail_v1_actor_id ON audit_trail_v1 (actor_id, recorded_at, position)
    WHERE actor_id IS NOT NULL;

-- Where the entries of the ledger are sent as they come. The address and the secret are sealed; the
-- secret is a row of the vault.
CREATE TABLE webhooks (
    webhook_id    text NOT NULL,
    url           text NOT NULL,
    types         text NOT NULL,
    secret_row    text NOT NULL,
    registered_at timestamptz NOT NULL,
    CONSTRAINT webhooks_pkey PRIMARY KEY (webhook_id)
);

-- How far each webhook was served. Deliveries are no history: losing this row repeats some of them.
CREATE TABLE webhook_cursors (
    webhook_id      text NOT NULL,
    position        bigint NOT NULL,
    attempts        bigint NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    last_error      text,
    delivered_at    timestamptz,
    CONSTRAINT webhook_cursors_pkey PRIMARY KEY (webhook_id)
);

-- The trail has tables of its own now, and these made every append pay for searches. The one by time
-- stays: by it, events that are not in the ledger are found.
DROP INDEX events_user_id;
DROP INDEX events_agreement_id;
DROP INDEX events_actor_id;
DROP INDEX events_event_type;
