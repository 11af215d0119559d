-- Before the migrations, every time: roles, the schema, and who runs the rest.

-- An administrator runs this. CHECKs, defaults, views and RETURN bodies keep what they find now.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL standard_conforming_strings = on;

DO $$
DECLARE
    role text;
    owner text;
BEGIN
    -- Group roles: make users and grant them one of these. Roles belong to the whole cluster, so
    -- they may be there already, or be made at this moment for another database.
    FOREACH role IN ARRAY ARRAY['fengling_owner', 'fengling_console', 'fengling_gateway',
                                'fengling_voucher'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            IF role <> 'fengling_voucher' THEN
                EXECUTE format('GRANT %I TO %I', role, current_user);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE WARNING USING
                    MESSAGE = format('fengling: %s may not create role %s: going on without it',
                                     current_user, role),
                    HINT = 'let an administrator create it, then upgrade again';
        END;
    END LOOP;

    IF to_regnamespace('fengling') IS NULL THEN
        CREATE SCHEMA fengling;
        COMMENT ON SCHEMA fengling IS 'Fengling Gateway: its configuration and the log of changes.';
        BEGIN
            ALTER SCHEMA fengling OWNER TO fengling_owner;
        EXCEPTION WHEN insufficient_privilege OR undefined_object THEN NULL;
        END;
    END IF;

    -- As the owner of the schema, so that it does not matter who runs the next migration.
    SELECT nspowner::regrole INTO owner FROM pg_namespace WHERE nspname = 'fengling';
    BEGIN
        EXECUTE 'SET LOCAL ROLE ' || owner;
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END;
END $$;
