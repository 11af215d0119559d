-- As in 0001/commit.sql, with the two new tables.
CREATE OR REPLACE FUNCTION fengling.write_changes(_revision bigint, OUT written integer, OUT routes integer,
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
                WHEN 'certificate' THEN (
                    SELECT to_jsonb(t) FROM fengling.certificate AS t WHERE t.id = entity_id)
                WHEN 'secret' THEN (
                    SELECT fengling.without_value(to_jsonb(t)) FROM fengling.secret AS t
                    WHERE t.id = entity_id)
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

-- While a revision is held, what was before it is served, and whoever starts then finds it by
-- taking back from the tables what is held. Of a secret there is nothing to take back to: so its
-- value, the one there is, must be that of what is served. (A new one can be left out.)
CREATE FUNCTION fengling.refuse_held_secret() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    secret text;
    culprit bigint;
BEGIN
    SELECT c.entity_id INTO secret FROM fengling.revision_change AS c
    WHERE c.revision = NEW.id AND c.entity = 'secret' AND c.before IS NOT NULL
    ORDER BY c.ordinal LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(min(r.id), NEW.id) INTO culprit FROM fengling.revision AS r
    WHERE r.held AND NOT r.forced AND r.id > NEW.baseline_revision;
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = format('secret "%s" cannot change in a revision that is held', secret),
        DETAIL = CASE WHEN culprit = NEW.id
            THEN format('This transaction removes %s of %s routes.',
                        NEW.baseline_routes - NEW.routes, NEW.baseline_routes)
            ELSE format('Revision %s is held, and what comes after it waits.', culprit) END,
        HINT = CASE WHEN culprit = NEW.id
            THEN 'change the secret in a transaction of its own, or SET LOCAL fengling.force = on'
            ELSE format('confirm or undo revision %s first', culprit) END;
END $$;
CREATE TRIGGER refuse_held_secret AFTER INSERT OR UPDATE ON fengling.revision
    FOR EACH ROW WHEN (NEW.held AND NOT NEW.forced)
    EXECUTE FUNCTION fengling.refuse_held_secret();
