-- The log has a fingerprint of a secret instead of its value, also while the transaction runs.
-- What is encrypted must not be there either: the log is kept for a year and in every backup, and
-- a key that is given away one day would open all that has ever been.

CREATE FUNCTION fengling.fingerprint(value text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN 'sha256:' || encode(sha256(convert_to(value, 'UTF8')), 'hex');
COMMENT ON FUNCTION fengling.fingerprint(text) IS
    'What the log of changes has instead of the value of a secret.';

CREATE FUNCTION fengling.without_value(image jsonb) RETURNS jsonb
LANGUAGE sql STABLE
RETURN image - 'value'
    || jsonb_build_object('fingerprint', fengling.fingerprint(image ->> 'value'));

-- As in 0001/recording.sql, with the branch of secrets.
CREATE OR REPLACE FUNCTION fengling.record_update_or_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET intervalstyle = iso_8601
SET timezone = 'UTC' AS $$
BEGIN
    CASE TG_TABLE_NAME
        WHEN 'setting' THEN
            INSERT INTO fengling.pending_change AS p (entity, entity_id, before)
            SELECT 'setting', key, to_jsonb(o) FROM old_rows AS o
            ON CONFLICT (transaction, entity, entity_id) DO UPDATE SET before = EXCLUDED.before
            WHERE p.before IS NULL AND (EXCLUDED.before ->> 'version')::bigint < p.version;
        WHEN 'instance_health' THEN
            INSERT INTO fengling.pending_change (entity, entity_id, before)
            SELECT 'instance_health', instance_id, to_jsonb(o) FROM old_rows AS o
            ON CONFLICT DO NOTHING;
        WHEN 'secret' THEN
            INSERT INTO fengling.pending_change AS p (entity, entity_id, before)
            SELECT 'secret', id, fengling.without_value(to_jsonb(o)) FROM old_rows AS o
            ON CONFLICT (transaction, entity, entity_id) DO UPDATE SET before = EXCLUDED.before
            WHERE p.before IS NULL AND (EXCLUDED.before ->> 'version')::bigint < p.version;
        ELSE
            INSERT INTO fengling.pending_change AS p (entity, entity_id, before)
            SELECT TG_TABLE_NAME, id, to_jsonb(o) FROM old_rows AS o
            ON CONFLICT (transaction, entity, entity_id) DO UPDATE SET before = EXCLUDED.before
            WHERE p.before IS NULL AND (EXCLUDED.before ->> 'version')::bigint < p.version;
    END CASE;
    IF EXISTS (SELECT FROM old_rows) THEN
        INSERT INTO fengling.txn DEFAULT VALUES ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION fengling.record_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET intervalstyle = iso_8601
SET timezone = 'UTC' AS $$
BEGIN
    IF TG_WHEN = 'AFTER' THEN
        INSERT INTO fengling.txn DEFAULT VALUES ON CONFLICT DO NOTHING;
        RETURN NULL;
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = format('TRUNCATE of fengling.%s needs READ COMMITTED', TG_TABLE_NAME),
            HINT = 'use DELETE';
    END IF;
    EXECUTE format(
        'INSERT INTO fengling.pending_change (entity, entity_id, before) '
        'SELECT %L, %I, %s FROM fengling.%I AS t ON CONFLICT DO NOTHING',
        TG_TABLE_NAME, TG_ARGV[0],
        CASE TG_TABLE_NAME WHEN 'secret' THEN 'fengling.without_value(to_jsonb(t))'
                           ELSE 'to_jsonb(t)' END,
        TG_TABLE_NAME);
    RETURN NULL;
END $$;

DO $$
DECLARE
    entity text;
BEGIN
    FOREACH entity IN ARRAY ARRAY['secret', 'certificate'] LOOP
        EXECUTE format('CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON fengling.%I '
            'FOR EACH ROW EXECUTE FUNCTION fengling.stamp()', entity);
        EXECUTE format('CREATE TRIGGER same_id BEFORE UPDATE OF id ON fengling.%I FOR EACH ROW '
            'WHEN (OLD.id IS DISTINCT FROM NEW.id) '
            'EXECUTE FUNCTION fengling.refuse_new_id(''id'')', entity);
        EXECUTE format('CREATE TRIGGER record_insert AFTER INSERT ON fengling.%I '
            'REFERENCING NEW TABLE AS new_rows EXECUTE FUNCTION fengling.record_insert()',
            entity);
        EXECUTE format('CREATE TRIGGER record_update AFTER UPDATE ON fengling.%I '
            'REFERENCING OLD TABLE AS old_rows '
            'EXECUTE FUNCTION fengling.record_update_or_delete()', entity);
        EXECUTE format('CREATE TRIGGER record_delete AFTER DELETE ON fengling.%I '
            'REFERENCING OLD TABLE AS old_rows '
            'EXECUTE FUNCTION fengling.record_update_or_delete()', entity);
        EXECUTE format('CREATE TRIGGER record_truncate BEFORE TRUNCATE ON fengling.%I '
            'EXECUTE FUNCTION fengling.record_truncate(''id'')', entity);
        EXECUTE format('CREATE TRIGGER record_truncated AFTER TRUNCATE ON fengling.%I '
            'EXECUTE FUNCTION fengling.record_truncate()', entity);
    END LOOP;
END $$;
