-- As in 0002/commit.sql, with the new tables.
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
                WHEN 'issuer' THEN (
                    SELECT to_jsonb(t) FROM fengling.issuer AS t WHERE t.id = entity_id)
                WHEN 'client' THEN (
                    SELECT to_jsonb(t) FROM fengling.client AS t WHERE t.id = entity_id)
                WHEN 'api_key' THEN (
                    SELECT to_jsonb(t) FROM fengling.api_key AS t WHERE t.id = entity_id)
                WHEN 'management_token' THEN (
                    SELECT to_jsonb(t) FROM fengling.management_token AS t
                    WHERE t.id = entity_id)
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
