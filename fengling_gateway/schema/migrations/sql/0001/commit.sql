-- Steps 2 and 3 of what recording.sql describes.

-- The references that no foreign key can state. The locks are those that one would take, in an
-- order that keeps two transactions from waiting for each other.
CREATE FUNCTION fengling.check_splits() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted text[];
    missing text[];
    route text;
BEGIN
    SELECT array_agg(DISTINCT wants) INTO wanted FROM (
        SELECT jsonb_object_keys(split) AS wants FROM (
            -- (A transaction with a snapshot may see two rows of one id: its own, and one that
            -- somebody has deleted since. It fails in step 3, with a code that says so.)
            SELECT (SELECT r.split FROM fengling.route AS r WHERE r.id = p.entity_id
                    LIMIT 1) AS split
            FROM fengling.pending_change AS p
            WHERE p.transaction = pg_current_xact_id() AND p.entity = 'route') AS touched
        WHERE jsonb_typeof(split) = 'object') AS wants;
    IF wanted IS NOT NULL THEN
        PERFORM FROM fengling.service AS s WHERE s.id = ANY (wanted) ORDER BY s.id FOR KEY SHARE;
        SELECT array_agg(w.id) INTO missing FROM unnest(wanted) AS w (id)
        WHERE NOT EXISTS (SELECT FROM fengling.service AS s WHERE s.id = w.id);
    END IF;
    IF missing IS NOT NULL THEN
        SELECT r.id INTO route FROM fengling.route AS r WHERE r.split ?| missing LIMIT 1;
        RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation', MESSAGE = format(
            'the split of route "%s" names a service that does not exist: "%s"',
            route, array_to_string(missing, '", "'));
    END IF;
    SELECT array_agg(p.entity_id) INTO missing FROM fengling.pending_change AS p
    WHERE p.transaction = pg_current_xact_id() AND p.entity = 'service'
      AND NOT EXISTS (SELECT FROM fengling.service AS s WHERE s.id = p.entity_id);
    IF missing IS NOT NULL THEN
        SELECT r.id INTO route FROM fengling.route AS r WHERE r.split ?| missing LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation', MESSAGE = format(
                'the split of route "%s" names a service that you delete: "%s"',
                route, array_to_string(missing, '", "'));
        END IF;
    END IF;
END $$;

CREATE FUNCTION fengling.is_on(name text) RETURNS boolean
LANGUAGE sql STABLE
RETURN lower(coalesce(current_setting(name, true), '')) IN ('on', 'true', 'yes', '1');

-- Whether the word of this user on who the author is counts.
CREATE FUNCTION fengling.may_vouch() RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (SELECT FROM pg_roles WHERE rolname = 'fengling_voucher'
               AND pg_has_role(session_user, oid, 'MEMBER'));

-- What people claim is shown in terminals and logs: no line ends, no escape sequences, nothing
-- that turns the direction of writing.
CREATE FUNCTION fengling.one_line(claim text, length integer) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN nullif(regexp_replace(left(claim, length),
    '[\u0001-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]', ' ', 'g'), '');

CREATE FUNCTION fengling.epoch() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat_ws(':', (SELECT database FROM fengling.head),
        (SELECT system_identifier FROM pg_control_system()),
        CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
             -- The control file tells of a promotion only after the next checkpoint.
             ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer
        END)
$$;
COMMENT ON FUNCTION fengling.epoch() IS
    'Names the history that revisions count in: database, cluster and timeline.';

CREATE FUNCTION fengling.announce(event_type text, action text, revision bigint, details jsonb)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
RETURN pg_notify('gateway_config_changed', json_build_object(
    'eventType', event_type, 'action', action,
    'timestamp', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'epoch', fengling.epoch(), 'revision', revision, 'details', details)::text);
COMMENT ON FUNCTION fengling.announce(text, text, bigint, jsonb) IS
    'Sends what consoles and gateways listen for. Give it ASCII only and less than 7 KB.';

-- As jsonb, 1 and 1.0 are equal; as configuration they are not the same bytes.
CREATE FUNCTION fengling.differ(a jsonb, b jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN a <> b OR a::text <> b::text;

-- Moves the changes of this transaction into the log. "routes" counts enabled routes that it adds;
-- the others say of what kind the changes are.
-- (plpgsql, although it is one statement: that is planned once per session, not at each COMMIT.)
CREATE FUNCTION fengling.write_changes(_revision bigint, OUT written integer, OUT routes integer,
    OUT entity text, OUT one_entity boolean, OUT action text, OUT one_action boolean,
    OUT entity_id text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET intervalstyle = iso_8601
SET timezone = 'UTC'
SET work_mem = '64MB' AS $$
#variable_conflict use_column
BEGIN
    WITH touched AS (
        DELETE FROM fengling.pending_change
        WHERE transaction = pg_current_xact_id() RETURNING entity, entity_id, before
    ), net AS MATERIALIZED (
        SELECT entity, entity_id, before, after,
               CASE WHEN before IS NULL THEN 'create' WHEN after IS NULL THEN 'delete'
                    ELSE 'update' END AS action,
               row_number() OVER () AS ordinal
        FROM touched CROSS JOIN LATERAL (
            -- Scalar subqueries: whatever the statistics say, an index look-up for each.
            SELECT CASE entity
                WHEN 'route' THEN (
                    SELECT to_jsonb(t) FROM fengling.route AS t WHERE t.id = entity_id)
                WHEN 'instance' THEN (
                    SELECT to_jsonb(t) FROM fengling.instance AS t WHERE t.id = entity_id)
                WHEN 'instance_health' THEN (
                    SELECT to_jsonb(t) FROM fengling.instance_health AS t
                    WHERE t.instance_id = entity_id)
                WHEN 'service' THEN (
                    SELECT to_jsonb(t) FROM fengling.service AS t WHERE t.id = entity_id)
                WHEN 'tenant' THEN (
                    SELECT to_jsonb(t) FROM fengling.tenant AS t WHERE t.id = entity_id)
                WHEN 'setting' THEN (
                    SELECT to_jsonb(t) FROM fengling.setting AS t WHERE t.key = entity_id)
            END AS after OFFSET 0) AS now
        -- There and back again within one transaction is no change.
        WHERE CASE
            WHEN before IS NULL OR after IS NULL OR entity = 'instance_health'
            THEN before IS DISTINCT FROM after
            ELSE fengling.differ(before - '{version,created_at,updated_at}'::text[],
                                 after - '{version,created_at,updated_at}'::text[])
            END
    ), log AS (
        INSERT INTO fengling.revision_change AS c
            (revision, ordinal, entity, entity_id, action, before, after)
        SELECT _revision,
               (SELECT coalesce(max(ordinal), 0) FROM fengling.revision_change
                WHERE revision = _revision) + ordinal,
               entity, entity_id, action, before, after
        FROM net
        ON CONFLICT (entity, entity_id, revision) DO UPDATE SET
            after = EXCLUDED.after,
            action = CASE WHEN c.before IS NULL THEN 'create'
                          WHEN EXCLUDED.after IS NULL THEN 'delete' ELSE 'update' END
    )
    SELECT count(*)::integer,
           coalesce(sum(coalesce((after -> 'enabled' = 'true')::integer, 0)
                        - coalesce((before -> 'enabled' = 'true')::integer, 0))
                    FILTER (WHERE entity = 'route'), 0)::integer,
           min(entity), min(entity) = max(entity), min(action), min(action) = max(action),
           min(entity_id)
    INTO written, routes, entity, one_entity, action, one_action, entity_id
    FROM net;
END $$;

-- The setting as it is served: what a revision says of it counts once that revision is served, or
-- whoever removes all routes could allow it to himself.
CREATE FUNCTION fengling.max_removed_share(served bigint) RETURNS numeric
LANGUAGE sql STABLE
RETURN coalesce((
    SELECT CASE WHEN jsonb_typeof(share) = 'number' AND share::numeric BETWEEN 0 AND 1
                THEN share::numeric END
    FROM (SELECT value -> 'max_removed_share' AS share FROM (
              (SELECT c.before -> 'value' AS value, true AS is_older
               FROM fengling.revision_change AS c
               WHERE c.entity = 'setting' AND c.entity_id = 'hold' AND c.revision > served
               ORDER BY c.revision LIMIT 1)
              UNION ALL
              SELECT s.value, false FROM fengling.setting AS s WHERE s.key = 'hold'
              ORDER BY is_older DESC LIMIT 1) AS known) AS hold), 0.5);

-- (Most revisions remove nothing, and look no further.)
CREATE FUNCTION fengling.removes_too_much(routes integer, baseline_routes integer, served bigint)
RETURNS boolean
LANGUAGE sql STABLE
RETURN routes < baseline_routes
    AND (routes = 0 OR routes < (1 - fengling.max_removed_share(served)) * baseline_routes);

-- At COMMIT, PostgreSQL has switched statement_timeout off already: without a limit of its own, a
-- transaction that somebody forgot to end would stop all writers for as long as it likes.
CREATE FUNCTION fengling.wait_for_head() RETURNS fengling.head
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head fengling.head;
    is_unlimited boolean := current_setting('lock_timeout') = '0';
BEGIN
    IF is_unlimited THEN
        PERFORM set_config('lock_timeout', '10s', true);
    END IF;
    SELECT * INTO STRICT head FROM fengling.head FOR NO KEY UPDATE;
    IF is_unlimited THEN
        PERFORM set_config('lock_timeout', '0', true);
    END IF;
    RETURN head;
END $$;

CREATE FUNCTION fengling.make_revision() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head fengling.head;
    this fengling.revision;
    change record;
    joins boolean;
BEGIN
    IF NOT NEW.checked THEN
        PERFORM fengling.check_splits();
        UPDATE fengling.txn SET checked = true WHERE transaction = NEW.transaction;
        RETURN NULL;
    END IF;
    DELETE FROM fengling.txn WHERE transaction = NEW.transaction;

    SELECT * INTO head FROM fengling.head FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        head := fengling.wait_for_head();
    END IF;
    -- The time guards against the transaction number of a dump from another cluster.
    joins := head.transaction = pg_current_xact_id() AND head.committed_at >= now();
    IF joins THEN
        SELECT * INTO STRICT this FROM fengling.revision WHERE id = head.revision;
    ELSE
        this.id := head.revision + 1;
        this.token := gen_random_uuid();
        this.baseline_revision := head.baseline_revision;
        this.baseline_routes := head.baseline_routes;
    END IF;

    SELECT * INTO change FROM fengling.write_changes(this.id);
    IF change.written = 0 THEN
        RETURN NULL;
    END IF;
    IF joins THEN
        DELETE FROM fengling.revision_change AS c
        WHERE c.revision = this.id AND NOT CASE
            WHEN c.before IS NULL OR c.after IS NULL OR c.entity = 'instance_health'
            THEN c.before IS DISTINCT FROM c.after
            ELSE fengling.differ(c.before - '{version,created_at,updated_at}'::text[],
                                 c.after - '{version,created_at,updated_at}'::text[])
            END;
        SELECT count(*)::integer AS written, change.routes AS routes,
               min(c.entity) AS entity, min(c.entity) = max(c.entity) AS one_entity,
               min(c.action) AS action, min(c.action) = max(c.action) AS one_action,
               min(c.entity_id) AS entity_id
        INTO change FROM fengling.revision_change AS c WHERE c.revision = this.id;
    END IF;

    this.kind := CASE WHEN change.one_entity AND change.entity = 'instance_health'
                      THEN 'health' ELSE 'config' END;
    this.committed_at := clock_timestamp();
    this.db_user := session_user;
    this.author := coalesce(fengling.one_line(current_setting('fengling.author', true), 200),
                            session_user);
    this.author_verified := this.author = session_user
        OR fengling.is_on('fengling.author_verified') AND fengling.may_vouch();
    -- (PostgreSQL has replaced what isn't ASCII in it.)
    this.application := left(current_setting('application_name'), 200);
    this.client_addr := inet_client_addr();
    this.comment := fengling.one_line(current_setting('fengling.comment', true), 2000);
    this.forced := fengling.is_on('fengling.force');
    this.changes := change.written;
    this.routes := head.routes + change.routes;
    this.held := NOT this.forced
        AND fengling.removes_too_much(this.routes, this.baseline_routes, this.baseline_revision);

    INSERT INTO fengling.revision SELECT this.*
    ON CONFLICT (id) DO UPDATE SET
        kind = EXCLUDED.kind, committed_at = EXCLUDED.committed_at, author = EXCLUDED.author,
        author_verified = EXCLUDED.author_verified, comment = EXCLUDED.comment,
        forced = EXCLUDED.forced, held = EXCLUDED.held, changes = EXCLUDED.changes,
        routes = EXCLUDED.routes;
    UPDATE fengling.head AS h SET
        revision = this.id, token = this.token, transaction = pg_current_xact_id(),
        committed_at = this.committed_at, routes = this.routes,
        baseline_revision = CASE WHEN this.held THEN this.baseline_revision ELSE this.id END,
        baseline_token = CASE WHEN this.held
            THEN (SELECT token FROM fengling.revision WHERE id = this.baseline_revision)
            ELSE this.token END,
        baseline_routes = CASE WHEN this.held THEN this.baseline_routes ELSE this.routes END;
    PERFORM fengling.tell(this, change.entity, change.one_entity, change.action,
                          change.one_action, change.entity_id);
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER make_revision AFTER INSERT OR UPDATE ON fengling.txn
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fengling.make_revision();

-- Tells the gateways by a notification and the writer by a notice.
CREATE FUNCTION fengling.tell(this fengling.revision, entity text, one_entity boolean,
                              action text, one_action boolean, entity_id text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changes text := format('%s change%s', this.changes, CASE this.changes WHEN 1 THEN '' ELSE 's' END);
    culprit fengling.revision;
BEGIN
    PERFORM fengling.announce(
        CASE WHEN NOT one_entity THEN 'gateway' WHEN entity IN ('service', 'route') THEN entity
             WHEN entity IN ('instance', 'instance_health') THEN 'instance' ELSE 'gateway' END,
        CASE WHEN one_action THEN action ELSE 'update' END,
        this.id,
        jsonb_build_object('kind', this.kind, 'held', this.held, 'changes', this.changes,
                           'token', this.token)
        || CASE WHEN this.changes = 1 AND entity_id ~ '^[A-Za-z0-9._-]{1,100}$'
                THEN jsonb_build_object('entity', entity, 'id', entity_id) ELSE '{}' END);
    IF this.held THEN
        SELECT * INTO culprit FROM fengling.revision
        WHERE held AND NOT forced AND id > this.baseline_revision ORDER BY id LIMIT 1;
        RAISE WARNING USING MESSAGE = format(
            'fengling: revision %s held: %s %s of %s routes; '
            'confirm with fengling.confirm(%s) or fenglingctl confirm %s',
            this.id,
            CASE WHEN culprit.id = this.id THEN 'removes'
                 ELSE format('waits for revision %s, which removes', culprit.id) END,
            culprit.baseline_routes - culprit.routes, culprit.baseline_routes,
            culprit.id, culprit.id);
    ELSIF this.kind = 'config' THEN
        RAISE NOTICE 'fengling: revision % (%)', this.id, changes;
    END IF;
END $$;
