DO $$
DECLARE
    entity text;
BEGIN
    FOREACH entity IN ARRAY ARRAY['issuer', 'client', 'api_key', 'management_token'] LOOP
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
