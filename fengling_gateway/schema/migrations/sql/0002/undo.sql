-- As in 0001/undo.sql, but a secret's value cannot be put back: the log has never had it.
CREATE OR REPLACE FUNCTION fengling.put_back(change fengling.revision_change) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    key text := CASE change.entity WHEN 'setting' THEN 'key' ELSE 'id' END;
    columns text;
BEGIN
    IF change.entity = 'secret' AND change.before IS NOT NULL
        AND (change.before -> 'fingerprint') IS DISTINCT FROM (change.after -> 'fingerprint')
    THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('the value that secret "%s" had before revision %s is not kept',
                             change.entity_id, change.revision),
            HINT = 'set it anew (fenglingctl secret set), and write the other changes you want';
    END IF;
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
