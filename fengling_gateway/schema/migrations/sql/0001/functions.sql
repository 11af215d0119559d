-- What people and programs call.

CREATE FUNCTION fengling.describe(comment text, author text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('fengling.comment', coalesce(comment, ''), true);
    IF author IS NOT NULL THEN
        PERFORM set_config('fengling.author', author, true);
    END IF;
    RETURN 'noted for this transaction (without BEGIN, that was this statement only)';
END $$;
COMMENT ON FUNCTION fengling.describe(text, text) IS
    'Says why, and who: kept with the revision that this transaction makes.';

CREATE FUNCTION fengling.reload(comment text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    served bigint;
BEGIN
    SELECT baseline_revision INTO STRICT served FROM fengling.head;
    PERFORM fengling.announce('gateway', 'reload', served,
        jsonb_build_object('by', regexp_replace(left(session_user, 63), '[^ -~]', '?', 'g'),
            'comment', regexp_replace(left(coalesce(comment, ''), 200), '[^ -~]', '?', 'g')));
    RETURN format('every gateway is asked to look; revision %s is the one to serve', served);
END $$;
COMMENT ON FUNCTION fengling.reload(text) IS
    'Makes every gateway read the configuration again. Changes nothing.';

CREATE FUNCTION fengling.confirm(revision bigint, author text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    _head fengling.head;
    this fengling.revision;
BEGIN
    -- Look first: the lock keeps all writers waiting, and whoever reads may call this.
    SELECT * INTO STRICT _head FROM fengling.head;
    IF confirm.revision > _head.baseline_revision AND confirm.revision <= _head.revision THEN
        _head := fengling.wait_for_head();
    END IF;
    SELECT * INTO this FROM fengling.revision AS r WHERE r.id = confirm.revision;
    -- (Or one that has come since that look, and is not locked.)
    IF this.id IS NULL OR this.id > _head.revision THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found',
            MESSAGE = format('there is no revision %s', confirm.revision),
            HINT = format('the newest is %s', _head.revision);
    ELSIF this.id <= _head.baseline_revision THEN
        RETURN format('revision %s is not held; revision %s is served', this.id,
                      _head.baseline_revision);
    END IF;
    -- Up to the confirmed one, all. After it the rule applies again: confirming one revision
    -- must not let a later one pass that removes yet more.
    UPDATE fengling.revision SET
        forced = true, confirmed_at = clock_timestamp(),
        confirmed_by = coalesce(fengling.one_line(confirm.author, 200), session_user),
        confirmed_db_user = session_user
    WHERE held AND NOT forced AND id > _head.baseline_revision AND id <= this.id;
    _head.baseline_routes := this.routes;
    FOR this IN SELECT * FROM fengling.revision WHERE id >= this.id ORDER BY id LOOP
        IF this.forced OR NOT fengling.removes_too_much(
            this.routes, _head.baseline_routes, _head.baseline_revision)
        THEN
            -- It has only waited. What stays held without being forced was never served.
            UPDATE fengling.revision SET held = forced WHERE id = this.id;
            _head.baseline_revision := this.id;
            _head.baseline_token := this.token;
            _head.baseline_routes := this.routes;
        ELSE
            UPDATE fengling.revision SET
                baseline_revision = _head.baseline_revision, baseline_routes = _head.baseline_routes
            WHERE id = this.id;
        END IF;
    END LOOP;
    UPDATE fengling.head SET
        baseline_revision = _head.baseline_revision, baseline_token = _head.baseline_token,
        baseline_routes = _head.baseline_routes;
    PERFORM fengling.announce('gateway', 'update', _head.baseline_revision,
                              jsonb_build_object('confirmed', confirm.revision));
    RETURN format('revision %s is served now', _head.baseline_revision);
END $$;
COMMENT ON FUNCTION fengling.confirm(bigint, text) IS
    'Releases a held revision, with the other ones up to it.';

CREATE FUNCTION fengling.recount() RETURNS integer
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
    UPDATE fengling.head SET
        routes = c.routes,
        baseline_routes = CASE WHEN revision = baseline_revision THEN c.routes
                               ELSE baseline_routes END
    FROM (SELECT count(*)::integer AS routes FROM fengling.route WHERE enabled) AS c
    RETURNING head.routes
$$;
COMMENT ON FUNCTION fengling.recount() IS
    'Counts the enabled routes anew, after rows were written with triggers switched off.';
