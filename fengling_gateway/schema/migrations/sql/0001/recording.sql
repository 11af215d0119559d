-- From a changed row to a revision.
--
-- 1. A statement changes rows. Row triggers stamp versions. A statement trigger notes every
--    touched entity in pending_change, with its image before this transaction touched it, and
--    makes sure that the transaction has a row in txn.
-- 2. At COMMIT (or SET CONSTRAINTS ALL IMMEDIATE) the deferred trigger on txn fires. It fires a
--    second time, for an update it makes itself: by then the foreign keys of the whole
--    transaction have been checked, so that nothing is waited for under the lock of step 3.
-- 3. It locks the one row of head, writes the next revision and its changes, and notifies.
--
-- A number taken at commit under a lock has no gaps and its order is that of the commits. What
-- comes after SET CONSTRAINTS ALL IMMEDIATE makes a new row in txn and joins the same revision.
-- A savepoint rolled back takes its notes with it, because they are rows.

-- What runs for every row names the schema of everything, operators too: a SET search_path would
-- do the same for a microsecond more.
CREATE FUNCTION fengling.stamp() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
        NEW.version := pg_catalog.nextval('fengling.version_seq'::pg_catalog.regclass);
        RETURN NEW;
    END IF;
    NEW.version := OLD.version;
    NEW.created_at := OLD.created_at;
    NEW.updated_at := OLD.updated_at;
    -- By bytes: 1 and 1.0 are equal as jsonb and yet not the same configuration.
    IF NEW OPERATOR(pg_catalog.*<>) OLD THEN
        NEW.version := pg_catalog.nextval('fengling.version_seq'::pg_catalog.regclass);
        NEW.updated_at := pg_catalog.now();
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION fengling.stamp_health() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.health OPERATOR(pg_catalog.=) OLD.health THEN
        NEW.since := OLD.since;
    ELSIF NEW.since OPERATOR(pg_catalog.=) OLD.since THEN
        NEW.since := pg_catalog.now();
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION fengling.refuse_new_id() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'check_violation',
        MESSAGE = format('the %s of %s "%s" cannot change', TG_ARGV[0], TG_TABLE_NAME,
                         to_jsonb(OLD) ->> TG_ARGV[0]),
        HINT = 'insert the new one and delete the old one, in one transaction';
END $$;

-- One body for all tables: plpgsql compiles it once per trigger, and a branch that is never
-- taken is never checked against the columns of the table.
CREATE FUNCTION fengling.record_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    CASE TG_TABLE_NAME
        WHEN 'setting' THEN
            INSERT INTO fengling.pending_change (entity, entity_id, version)
            SELECT 'setting', key, version FROM new_rows ON CONFLICT DO NOTHING;
        WHEN 'instance_health' THEN
            INSERT INTO fengling.pending_change (entity, entity_id)
            SELECT 'instance_health', instance_id FROM new_rows ON CONFLICT DO NOTHING;
        ELSE
            INSERT INTO fengling.pending_change (entity, entity_id, version)
            SELECT TG_TABLE_NAME, id, version FROM new_rows ON CONFLICT DO NOTHING;
    END CASE;
    IF EXISTS (SELECT FROM new_rows) THEN
        INSERT INTO fengling.txn DEFAULT VALUES ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;

-- One statement that deletes a row and inserts it again (WITH ... AS (DELETE ...) INSERT ...) may
-- note the new one first: then the image of the old one, known by its version, comes after.
-- (Health has no versions. There, the log would call such a change a creation, and no more.)
CREATE FUNCTION fengling.record_update_or_delete() RETURNS trigger
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

-- Called before, because afterwards nothing is left to note, and after, because with immediate
-- constraints the revision is made at once and has to find nothing. The lock keeps other writers
-- out, but what they committed since the snapshot of a REPEATABLE READ transaction it would miss.
CREATE FUNCTION fengling.record_truncate() RETURNS trigger
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
        'SELECT %L, %I, to_jsonb(t) FROM fengling.%I AS t ON CONFLICT DO NOTHING',
        TG_TABLE_NAME, TG_ARGV[0], TG_TABLE_NAME);
    RETURN NULL;
END $$;

DO $$
DECLARE
    entity text;
    id_column text;
BEGIN
    FOR entity, id_column IN VALUES ('setting', 'key'), ('tenant', 'id'), ('service', 'id'),
        ('instance', 'id'), ('instance_health', 'instance_id'), ('route', 'id')
    LOOP
        EXECUTE format('CREATE TRIGGER stamp BEFORE %s ON fengling.%I FOR EACH ROW '
            'EXECUTE FUNCTION fengling.%I()',
            CASE entity WHEN 'instance_health' THEN 'UPDATE' ELSE 'INSERT OR UPDATE' END, entity,
            CASE entity WHEN 'instance_health' THEN 'stamp_health' ELSE 'stamp' END);
        EXECUTE format('CREATE TRIGGER same_id BEFORE UPDATE OF %1$I ON fengling.%2$I '
            'FOR EACH ROW WHEN (OLD.%1$I IS DISTINCT FROM NEW.%1$I) '
            'EXECUTE FUNCTION fengling.refuse_new_id(%1$L)', id_column, entity);
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
            'EXECUTE FUNCTION fengling.record_truncate(%L)', entity, id_column);
        EXECUTE format('CREATE TRIGGER record_truncated AFTER TRUNCATE ON fengling.%I '
            'EXECUTE FUNCTION fengling.record_truncate()', entity);
    END LOOP;
END $$;
