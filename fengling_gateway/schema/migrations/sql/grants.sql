-- After the migrations, every time: also for roles that were made since the last one.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA fengling FROM PUBLIC;

DO $$
DECLARE
    reader text;
BEGIN
    FOR reader IN SELECT rolname FROM pg_roles
                  WHERE rolname IN ('fengling_console', 'fengling_gateway') LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA fengling TO %I', reader);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA fengling TO %I', reader);
        EXECUTE format('REVOKE ALL ON fengling.pending_change, fengling.txn, '
                       'fengling.spent_credential FROM %I', reader);
        EXECUTE format('GRANT EXECUTE ON FUNCTION fengling.epoch(), fengling.reload(text), '
                       'fengling.confirm(bigint, text), fengling.prune_step(), '
                       'fengling.fingerprint(text) TO %I', reader);
    END LOOP;
    IF to_regrole('fengling_console') IS NOT NULL THEN
        GRANT INSERT, UPDATE, DELETE ON fengling.setting, fengling.tenant, fengling.service,
            fengling.instance, fengling.instance_health, fengling.route, fengling.secret,
            fengling.certificate, fengling.issuer, fengling.client, fengling.api_key,
            fengling.management_token TO fengling_console;
        GRANT UPDATE (keep, keep_health) ON fengling.retention TO fengling_console;
        GRANT UPDATE (term, holder, since, heartbeat_at) ON fengling.prober TO fengling_console;
        GRANT UPDATE (term, holder, since, heartbeat_at, status) ON fengling.discovery
            TO fengling_console;
        GRANT INSERT, UPDATE, DELETE ON fengling.discovered_service, fengling.discovered_entity
            TO fengling_console;
        GRANT SELECT, INSERT, DELETE ON fengling.spent_credential TO fengling_console;
        GRANT USAGE ON SEQUENCE fengling.version_seq TO fengling_console;
        -- What CHECKs call runs with the rights of the writer.
        GRANT EXECUTE ON FUNCTION fengling.describe(text, text), fengling.undo(bigint),
            fengling.put_back(fengling.revision_change), fengling.without_access(jsonb, jsonb),
            fengling.prune(interval, interval), fengling.refuse(text, text),
            fengling.has_only_text(jsonb, text), fengling.has_only_keys(jsonb, text[], text),
            fengling.are_policies(jsonb), fengling.are_hosts(text[]), fengling.is_path(text),
            fengling.is_split(jsonb), fengling.is_secret_value(text),
            fengling.are_certificates(text, text), fengling.is_tls(jsonb),
            fengling.are_words(text[], text), fengling.is_key_digest(text),
            fengling.is_key_set(jsonb), fengling.are_ids(text[]), fengling.is_auth(jsonb),
            fengling.is_health_check(jsonb), fengling.require_discovery(bigint),
            fengling.confirm_removal(text),
            fengling.confirm_loss(integer, integer, integer, integer), fengling.max_removed_share(bigint),
            fengling.removes_too_much(integer, integer, bigint)
            TO fengling_console;
    END IF;
END $$;
