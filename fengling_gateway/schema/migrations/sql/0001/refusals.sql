-- Functions behind the CHECKs. A simple rule is a CHECK whose name is the rule; a rule
-- about the inside of an array or a document is a function that names the culprit.
-- They are early help for who writes SQL by hand. The gateway relies on none of them.
--
-- They run with the rights of whoever writes. Without a search_path of their own, they would call
-- what a stranger has put into "public", or the writer into a schema of his.

-- (Volatile, or the planner would evaluate a call with constant arguments beforehand.)
CREATE FUNCTION fengling.refuse(problem text, advice text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF advice IS NULL THEN -- (An empty HINT would be shown.)
        RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = problem;
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = problem, HINT = advice;
END $$;

-- Four that run for almost every row, hence without a SET.

-- In the names and texts of a document: what would end a line of a header, or worse. JSON writes
-- them with a backslash, which documents hardly ever have: to look for one is the quick way to yes.
-- (A tab is allowed, and of an even number of backslashes none is an escape's.)
CREATE FUNCTION fengling.has_only_text(document jsonb, what text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF pg_catalog.strpos(document::pg_catalog.text, E'\\') OPERATOR(pg_catalog.>) 0
        AND document::pg_catalog.text OPERATOR(pg_catalog.~)
            E'(^|[^\\\\])(\\\\\\\\)*\\\\([bfnr]|u00[01])'
    THEN
        RETURN fengling.refuse(
            pg_catalog.format('%s contains a control character: %s', what,
                pg_catalog.left(document::pg_catalog.text, 80)),
            'a line break in it would end its line of the header');
    END IF;
    RETURN true;
END $$;

CREATE FUNCTION fengling.has_only_keys(document jsonb, known text[], what text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    found pg_catalog.text;
BEGIN
    IF pg_catalog.jsonb_typeof(document) OPERATOR(pg_catalog.<>) 'object' THEN
        RETURN fengling.refuse(pg_catalog.format('%s is a JSON object, not %s: %s', what,
            pg_catalog.jsonb_typeof(document), pg_catalog.left(document::pg_catalog.text, 80)));
    END IF;
    FOR found IN SELECT k FROM pg_catalog.jsonb_object_keys(document) AS k LOOP
        IF NOT found OPERATOR(pg_catalog.=) ANY (known)
            AND NOT (what OPERATOR(pg_catalog.=) 'policies'
                     AND pg_catalog.left(found, 2) OPERATOR(pg_catalog.=) 'x-')
        THEN
            RETURN fengling.refuse(pg_catalog.format('unknown key "%s" in %s', found, what),
                pg_catalog.format('known keys: %s', pg_catalog.array_to_string(known, ', ')));
        END IF;
    END LOOP;
    RETURN true;
END $$;

CREATE FUNCTION fengling.are_policies(policies jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    name pg_catalog.text;
    policy pg_catalog.jsonb;
BEGIN
    PERFORM fengling.has_only_keys(policies, ARRAY['path', 'request_headers',
        'response_headers', 'timeouts', 'limits', 'retry'], 'policies');
    FOR name, policy IN SELECT e.key, e.value FROM pg_catalog.jsonb_each(policies) AS e LOOP
        IF pg_catalog.left(name, 2) OPERATOR(pg_catalog.<>) 'x-'
            AND pg_catalog.jsonb_typeof(policy) OPERATOR(pg_catalog.<>) ALL ('{object,"null"}')
        THEN
            RETURN fengling.refuse(pg_catalog.format(
                'policy "%s" is a JSON object, or null for off, not %s', name, policy));
        END IF;
        IF name OPERATOR(pg_catalog.=) ANY ('{path,request_headers,response_headers}') THEN
            PERFORM fengling.has_only_text(policy, pg_catalog.format('policy "%s"', name));
        END IF;
    END LOOP;
    RETURN true;
END $$;

CREATE FUNCTION fengling.are_hosts(hosts text[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    host pg_catalog.text;
BEGIN
    FOREACH host IN ARRAY hosts LOOP
        IF host IS NULL OR pg_catalog.length(host) OPERATOR(pg_catalog.>) 253
            OR host OPERATOR(pg_catalog.!~*)
            '^((\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*|\[[0-9a-f:.]+\])$'
        THEN
            RETURN fengling.refuse(pg_catalog.format('"%s" is not a host', host),
                'a host is like api.example.com, or *.example.com; without scheme and port');
        END IF;
    END LOOP;
    RETURN true;
END $$;

CREATE FUNCTION fengling.is_path(path text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    segment text;
    rest text := '';
BEGIN
    IF left(path, 1) = '~' THEN
        RETURN length(path) > 1 OR fengling.refuse('a regex follows the ~ of a path');
    END IF;
    IF left(path, 1) <> '/' THEN
        RETURN fengling.refuse(format('path "%s" does not begin with /', path),
            'a path is like /orders, /orders/{id} or /orders/{**rest}; ~ begins a regex');
    END IF;
    IF path ~ '[[:space:][:cntrl:]?#]' THEN
        RETURN fengling.refuse(format('path "%s" contains white space, ? or #', path),
            'conditions on the query belong in "match"');
    END IF;
    IF path ~ '//' THEN
        RETURN fengling.refuse(format('path "%s" contains //', path),
            'requests for such paths are refused, so it could match none');
    END IF;
    FOREACH segment IN ARRAY string_to_array(substr(path, 2), '/') LOOP
        IF rest <> '' THEN
            RETURN fengling.refuse(format('path "%s" goes on after %s', path, rest),
                'what matches the rest of a path is its last segment');
        ELSIF segment = '**' OR segment ~ '^\{\*\*[A-Za-z_][A-Za-z0-9_]*\}$' THEN
            rest := segment;
        ELSIF segment ~ '[{}]' AND segment !~ '^\{[A-Za-z_][A-Za-z0-9_]*\}$' THEN
            RETURN fengling.refuse(format('segment "%s" of path "%s" is malformed', segment, path),
                'a placeholder fills a whole segment: {name}, or {**name} at the end');
        END IF;
    END LOOP;
    RETURN true;
END $$;

CREATE FUNCTION fengling.is_split(split jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text;
    weight jsonb;
    total numeric := 0;
BEGIN
    IF jsonb_typeof(split) <> 'object' THEN
        RETURN fengling.refuse('split is a JSON object like {"v1": 90, "v2": 10}');
    END IF;
    FOR name, weight IN SELECT * FROM jsonb_each(split) LOOP
        IF jsonb_typeof(weight) <> 'number' THEN
            RETURN fengling.refuse(format('the weight of "%s" in split is not a number', name),
                'weights are whole numbers from 0 to 65535');
        ELSIF weight::numeric NOT BETWEEN 0 AND 65535 OR weight::numeric % 1 <> 0 THEN
            RETURN fengling.refuse(format('the weight of "%s" in split is %s', name, weight),
                'weights are whole numbers from 0 to 65535');
        END IF;
        total := total + weight::numeric;
    END LOOP;
    RETURN total > 0 OR fengling.refuse('split gives no service a weight above 0');
END $$;
