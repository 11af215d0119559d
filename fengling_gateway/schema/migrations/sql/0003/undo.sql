-- As in 0001/undo.sql and 0002/undo.sql, but undoing lets nobody in who is shut out now: who
-- revoked a key in the revision, or since, has to say so himself if that is no longer meant.

CREATE OR REPLACE FUNCTION fengling.undo(revision bigint) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    change fengling.revision_change;
    later bigint;
    undone integer := 0;
    left_alone integer := 0;
    made integer;
    kept integer;
BEGIN
    SELECT r.changes INTO made FROM fengling.revision AS r WHERE r.id = undo.revision;
    SELECT count(*) INTO kept FROM fengling.revision_change AS c
    WHERE c.revision = undo.revision;
    IF kept BETWEEN 1 AND made - 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('of the %s changes of revision %s, the log still has %s',
                             made, undo.revision, kept),
            HINT = 'it has been shortened; write the changes you want';
    END IF;
    IF coalesce(current_setting('fengling.comment', true), '') = '' THEN
        PERFORM set_config('fengling.comment', format('undo of revision %s', undo.revision), true);
    END IF;
    -- Two instances may have swapped addresses, or one has taken that of another which went. So
    -- first out of the way, to names that nobody resolves; and what was made goes before the rest.
    UPDATE fengling.instance AS i SET address = format('http://%s.undo.invalid', i.id)
    FROM fengling.revision_change AS c
    WHERE c.revision = undo.revision AND c.entity = 'instance' AND c.entity_id = i.id
      AND c.before IS NOT NULL
      AND (c.before -> 'address', c.before -> 'service_id', c.before -> 'tenant_id')
          IS DISTINCT FROM
          (c.after -> 'address', c.after -> 'service_id', c.after -> 'tenant_id');
    FOR change IN SELECT * FROM fengling.revision_change AS c
        WHERE c.revision = undo.revision AND c.entity <> 'instance_health'
        ORDER BY c.before IS NOT NULL, c.ordinal DESC
    LOOP
        SELECT min(c.revision) INTO later FROM fengling.revision_change AS c
        WHERE c.entity = change.entity AND c.entity_id = change.entity_id
          AND c.revision > undo.revision;
        IF later IS NOT NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
                MESSAGE = format('%s "%s" has changed again since, in revision %s',
                                 change.entity, change.entity_id, later),
                HINT = 'undo that one first, or write the change you want';
        END IF;
        IF fengling.put_back(change) THEN
            undone := undone + 1;
        ELSE
            left_alone := left_alone + 1;
        END IF;
    END LOOP;
    IF undone + left_alone = 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format(
            'revision %s changed no configuration that the log still has', undo.revision);
    END IF;
    RETURN format('undid %s change%s of revision %s', undone,
                  CASE undone WHEN 1 THEN '' ELSE 's' END, undo.revision)
        || CASE WHEN left_alone > 0 THEN format('; left %s alone', left_alone) ELSE '' END;
END $$;

-- What of an API key or client is put back: as it was, but no more open than it is now.
CREATE FUNCTION fengling.without_access(before jsonb, after jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN before
    || jsonb_build_object('enabled', before -> 'enabled' = 'true'
        AND coalesce(after -> 'enabled' = 'true', false))
    || CASE WHEN after ? 'digest' THEN jsonb_build_object('digest', after -> 'digest')
       ELSE '{}' END
    || CASE WHEN (after ->> 'expires_at')::timestamptz
                 < coalesce((before ->> 'expires_at')::timestamptz, 'infinity')
       THEN jsonb_build_object('expires_at', after -> 'expires_at') ELSE '{}' END;

DROP FUNCTION fengling.put_back(fengling.revision_change);
CREATE FUNCTION fengling.put_back(change fengling.revision_change) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    key text := CASE change.entity WHEN 'setting' THEN 'key' ELSE 'id' END;
    image jsonb := change.before;
    columns text;
BEGIN
    IF change.entity = 'secret' AND change.before IS NOT NULL
        AND (change.before -> 'fingerprint') IS DISTINCT FROM (change.after -> 'fingerprint')
    THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('the value that secret "%s" had before revision %s is not kept',
                             change.entity_id, change.revision),
            HINT = 'set it anew (fenglingctl secret set), and write the other changes you want';
    ELSIF image IS NOT NULL
        AND (change.entity = 'api_key' OR change.entity = 'client' AND change.after IS NOT NULL)
    THEN
        image := fengling.without_access(change.before, change.after);
        IF image <> change.before THEN
            RAISE WARNING USING
                MESSAGE = format('%s "%s" is not let in again by undoing revision %s',
                                 CASE change.entity WHEN 'client' THEN 'client' ELSE 'API key' END,
                                 change.entity_id, change.revision),
                HINT = format('if you mean it, and only then: '
                    'UPDATE fengling.%s SET enabled = true WHERE id = %L',
                    change.entity, change.entity_id);
        END IF;
        IF image - '{version,created_at,updated_at}'::text[]
            = change.after - '{version,created_at,updated_at}'::text[]
        THEN
            RETURN false;
        END IF;
    END IF;
    SELECT string_agg(format('%I', a.attname), ', ') INTO columns FROM pg_attribute AS a
    WHERE a.attrelid = format('fengling.%I', change.entity)::regclass
      AND a.attnum > 0 AND NOT a.attisdropped AND image ? a.attname::text;
    IF image IS NULL THEN
        EXECUTE format('DELETE FROM fengling.%I WHERE %I = $1', change.entity, key)
        USING change.entity_id;
    ELSIF change.after IS NULL THEN
        EXECUTE format('INSERT INTO fengling.%1$I (%2$s) SELECT %2$s '
            'FROM jsonb_populate_record(NULL::fengling.%1$I, $1)', change.entity, columns)
        USING image;
    ELSE
        EXECUTE format('UPDATE fengling.%1$I AS t SET (%2$s) = (SELECT %2$s '
            'FROM jsonb_populate_record(t, $1)) WHERE t.%3$I = $2', change.entity, columns, key)
        USING image, change.entity_id;
    END IF;
    RETURN true;
END $$;
