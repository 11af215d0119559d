-- The log of changes, and where a transaction notes what it changes until it commits.

CREATE TABLE fengling.head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    database uuid NOT NULL DEFAULT gen_random_uuid(),
    revision bigint NOT NULL,
    token uuid NOT NULL,
    transaction xid8 NOT NULL,
    committed_at timestamptz NOT NULL,
    routes integer NOT NULL,
    baseline_revision bigint NOT NULL,
    baseline_token uuid NOT NULL,
    baseline_routes integer NOT NULL
) WITH (fillfactor = 10);
COMMENT ON TABLE fengling.head IS
    'One row: the newest revision, and the baseline, which is what gateways serve. '
    'They differ only while a revision is held. Whoever commits a change holds its lock.';
COMMENT ON COLUMN fengling.head.routes IS 'Enabled routes, kept by counting changes.';

CREATE TABLE fengling.revision (
    id bigint PRIMARY KEY,
    token uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('config', 'health')),
    committed_at timestamptz NOT NULL,
    author text NOT NULL,
    author_verified boolean NOT NULL,
    db_user text NOT NULL,
    application text NOT NULL,
    client_addr inet,
    comment text,
    forced boolean NOT NULL,
    held boolean NOT NULL,
    changes integer NOT NULL,
    routes integer NOT NULL,
    baseline_revision bigint NOT NULL,
    baseline_routes integer NOT NULL,
    confirmed_by text,
    confirmed_db_user text,
    confirmed_at timestamptz
);
COMMENT ON COLUMN fengling.revision.author IS
    'What the writer claims; vouched for by a console where author_verified is true.';
COMMENT ON COLUMN fengling.revision.db_user IS 'Who was logged in: nobody can claim that.';
COMMENT ON COLUMN fengling.revision.held IS 'Not served until confirmed: it removes too much.';
COMMENT ON COLUMN fengling.revision.forced IS
    'Committed with fengling.force, or confirmed afterwards.';
COMMENT ON COLUMN fengling.revision.baseline_revision IS 'What was served when it came.';
CREATE INDEX revision_held ON fengling.revision (id) WHERE held AND NOT forced;
CREATE INDEX revision_health ON fengling.revision (id) WHERE kind = 'health';

CREATE TABLE fengling.revision_change (
    revision bigint NOT NULL,
    ordinal integer NOT NULL,
    entity text COLLATE "C" NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    action text NOT NULL CHECK (action IN ('create', 'update', 'delete')),
    before jsonb,
    after jsonb,
    PRIMARY KEY (revision, ordinal)
);
COMMENT ON TABLE fengling.revision_change IS
    'What each revision changed: one row per entity, with the whole row before and after. '
    'Written by triggers only.';
CREATE UNIQUE INDEX revision_change_entity
    ON fengling.revision_change (entity, entity_id, revision);

CREATE TABLE fengling.retention (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    keep interval DEFAULT '1 year'
        CONSTRAINT "keep is at least 7 days, or null: for good" CHECK (keep >= '7 days'),
    keep_health interval DEFAULT '1 day'
        CONSTRAINT "keep_health is at least 1 hour, or null: as long as the rest"
        CHECK (keep_health >= '1 hour'),
    pruned_to bigint NOT NULL DEFAULT 0,
    config_to bigint,
    health_to bigint,
    walked_to bigint NOT NULL DEFAULT 0,
    round_ended_at timestamptz NOT NULL DEFAULT '-infinity'
);
COMMENT ON TABLE fengling.retention IS
    'One row: for how long the log is kept, and how far it has been shortened. Not in head, '
    'because writers wait for that.';
COMMENT ON COLUMN fengling.retention.keep_health IS 'The same for revisions of health alone.';
COMMENT ON COLUMN fengling.retention.pruned_to IS
    'Up to here the log has holes: who is further behind reads everything.';
COMMENT ON COLUMN fengling.retention.config_to IS
    'To where the round of pruning goes that is under way, and where it is: walked_to.';

-- The two tables below are empty whenever nobody is in a transaction. Unlogged: what a crash
-- would lose belongs to transactions that the crash has ended.

CREATE UNLOGGED TABLE fengling.pending_change (
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    entity text COLLATE "C" NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    before jsonb,
    version bigint,
    PRIMARY KEY (transaction, entity, entity_id)
);
COMMENT ON COLUMN fengling.pending_change.version IS
    'With which it was inserted: an older image is of what was there before this transaction.';
COMMENT ON TABLE fengling.pending_change IS
    'What running transactions have changed: the first image of each entity they touched.';

CREATE UNLOGGED TABLE fengling.txn (
    transaction xid8 PRIMARY KEY DEFAULT pg_current_xact_id(),
    checked boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE fengling.txn IS
    'One row per running transaction that has changes; its deferred trigger makes the revision.';

INSERT INTO fengling.retention DEFAULT VALUES;

WITH first AS (
    SELECT gen_random_uuid() AS token, clock_timestamp() AS at
), head AS (
    INSERT INTO fengling.head (revision, token, transaction, committed_at, routes,
                               baseline_revision, baseline_token, baseline_routes)
    SELECT 0, token, '0', at, 0, 0, token, 0 FROM first
)
INSERT INTO fengling.revision (id, token, kind, committed_at, author, author_verified, db_user,
                               application, comment, forced, held, changes, routes,
                               baseline_revision, baseline_routes)
SELECT 0, token, 'config', at, session_user, true, session_user,
       current_setting('application_name'), 'an empty configuration', false, false, 0, 0, 0, 0
FROM first;
