-- Taking a revision back: the opposite changes, as a revision of their own.

CREATE FUNCTION fengling.undo(revision bigint) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    change fengling.revision_change;
    later bigint;
    undone integer := 0;
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
        PERFORM fengling.put_back(change);
        undone := undone + 1;
    END LOOP;
    IF undone = 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format(
            'revision %s changed no configuration that the log still has', undo.revision);
    END IF;
    RETURN format('undid %s change%s of revision %s', undone,
                  CASE undone WHEN 1 THEN '' ELSE 's' END, undo.revision);
END $$;
COMMENT ON FUNCTION fengling.undo(bigint) IS
    'Makes the opposite changes of a revision, if nothing has changed the same entities since.';

-- Only columns that the image has: a migration may have added others since.
CREATE FUNCTION fengling.put_back(change fengling.revision_change) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    key text := CASE change.entity WHEN 'setting' THEN 'key' ELSE 'id' END;
    columns text;
BEGIN
    SELECT string_agg(format('%I', a.attname), ', ') INTO columns FROM pg_attribute AS a
    WHERE a.attrelid = format('fengling.%I', change.entity)::regclass
      AND a.attnum > 0 AND NOT a.attisdropped AND change.before ? a.attname::text;
    IF change.before IS NULL THEN
        EXECUTE format('DELETE FROM fengling.%I WHERE %I = $1', change.entity, key)
        USING change.entity_id;
    ELSIF change.after IS NULL THEN
        EXECUTE format('INSERT INTO fengling.%1$I (%2$s) SELECT %2$s '
            'FROM jsonb_populate_record(NULL::fengling.%1$I, $1)', change.entity, columns)
        USING change.before;
    ELSE
        EXECUTE format('UPDATE fengling.%1$I AS t SET (%2$s) = (SELECT %2$s '
            'FROM jsonb_populate_record(t, $1)) WHERE t.%3$I = $2', change.entity, columns, key)
        USING change.before, change.entity_id;
    END IF;
END $$;
