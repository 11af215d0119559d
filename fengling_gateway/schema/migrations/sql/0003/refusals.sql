-- Functions behind the CHECKs of this migration; see 0001/refusals.sql.

CREATE FUNCTION fengling.are_words(words text[], what text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    word text;
BEGIN
    IF cardinality(words) > 200 OR array_ndims(words) > 1 THEN
        RETURN fengling.refuse(format('%s are at most 200, in one list', what));
    END IF;
    FOREACH word IN ARRAY words LOOP
        IF word IS NULL OR word !~ '^[\x21\x23-\x5b\x5d-\x7e]{1,200}$' THEN
            RETURN fengling.refuse(
                format('%s have 1 to 200 visible ASCII characters', what),
                'without spaces, quotes and backslashes (RFC 6749, 3.3)');
        END IF;
    END LOOP;
    RETURN true;
END $$;

-- It does not quote what it refuses: that may be a key.
CREATE FUNCTION fengling.is_key_digest(digest text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN digest ~ '^[0-9a-f]{64}$'
        OR fengling.refuse('digest is not the SHA-256 of a key, 64 hexadecimal digits',
            'the key itself is shown once, by "fenglingctl key create", and never kept');
END $$;

CREATE FUNCTION fengling.is_key_set(keys jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(keys) <> 'object' OR jsonb_typeof(keys -> 'keys') IS DISTINCT FROM 'array' THEN
        RETURN fengling.refuse('keys is no key set', 'it is {"keys": […]} (RFC 7517)');
    ELSIF EXISTS (SELECT FROM jsonb_array_elements(keys -> 'keys') AS k
                  WHERE jsonb_typeof(k) = 'object' AND k ?| '{d,p,q,dp,dq,qi,oth,k}') THEN
        RETURN fengling.refuse('keys holds a private key or a secret',
            'it would stay in the log of changes; give the public half, or a key_secret');
    END IF;
    RETURN true;
END $$;

CREATE FUNCTION fengling.are_ids(ids text[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN ids IS NULL OR (cardinality(ids) BETWEEN 1 AND 50 AND array_ndims(ids) = 1
            AND array_position(ids, NULL) IS NULL
            AND NOT EXISTS (SELECT FROM unnest(ids) AS id
                            WHERE id !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'))
        OR fengling.refuse('tenants is no list of 1 to 50 ids', 'null is no limit to any tenant');
END $$;

-- A token without a row holds, for its signature does. So what is revoked has to stay known for as
-- long as any token lives, which is 366 days: also when an older revision or file is put back.
CREATE FUNCTION fengling.stay_revoked() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    token text;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        SELECT min(t.id) INTO token FROM fengling.management_token AS t
        WHERE greatest(t.created_at, t.revoked_at) > now() - interval '366 days'
          AND t.revoked_at IS NOT NULL;
    ELSIF TG_OP = 'DELETE' THEN
        IF greatest(OLD.created_at, OLD.revoked_at) <= now() - interval '366 days' THEN
            RETURN OLD;
        END IF;
        token := OLD.id;
    ELSIF NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
        token := OLD.id;
    END IF;
    IF token IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('management token "%s" is revoked, and stays so', token),
            HINT = 'a year later its row can go; make a new one with "fenglingctl token create"';
    END IF;
    RETURN NEW;
END $$;

-- Elsewhere, taking a key's row away takes the key away. Here it takes away what was known of it.
CREATE FUNCTION fengling.warn_of_good_tokens() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    token text;
    others bigint;
BEGIN
    SELECT min(t.id), count(*) - 1 INTO token, others FROM gone AS t
    WHERE t.revoked_at IS NULL AND coalesce(t.expires_at, 'infinity') > now();
    IF token IS NOT NULL THEN
        RAISE WARNING USING
            MESSAGE = format('management token "%s"%s: as good as before, and in no list any more',
                             token, CASE WHEN others > 0 THEN format(' and %s more', others)
                                    ELSE '' END),
            HINT = format('to have it refused: fenglingctl token revoke %s', token);
    END IF;
    RETURN NULL;
END $$;

-- As in 0001/refusals.sql, with the policies that have come since. (It runs for almost every row,
-- hence without a SET.)
CREATE OR REPLACE FUNCTION fengling.are_policies(policies jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    name pg_catalog.text;
    policy pg_catalog.jsonb;
BEGIN
    PERFORM fengling.has_only_keys(policies, ARRAY['access', 'auth', 'concurrency', 'cors',
        'limits', 'path', 'rate_limit', 'request_headers', 'response_headers', 'retry',
        'security_headers', 'timeouts', 'upgrade'], 'policies');
    FOR name, policy IN SELECT e.key, e.value FROM pg_catalog.jsonb_each(policies) AS e LOOP
        IF name OPERATOR(pg_catalog.=) 'rate_limit'
            AND pg_catalog.jsonb_typeof(policy) OPERATOR(pg_catalog.=) 'array'
        THEN
            CONTINUE;
        ELSIF pg_catalog.left(name, 2) OPERATOR(pg_catalog.<>) 'x-'
            AND pg_catalog.jsonb_typeof(policy) OPERATOR(pg_catalog.<>) ALL ('{object,"null"}')
        THEN
            RETURN fengling.refuse(pg_catalog.format(
                'policy "%s" is a JSON object, or null for off, not %s', name, policy));
        END IF;
        IF name OPERATOR(pg_catalog.=) ANY ('{path,request_headers,response_headers}') THEN
            PERFORM fengling.has_only_text(policy, pg_catalog.format('policy "%s"', name));
        ELSIF name OPERATOR(pg_catalog.=) 'auth'
            AND pg_catalog.jsonb_typeof(policy) OPERATOR(pg_catalog.=) 'object'
        THEN
            PERFORM fengling.is_auth(policy);
        END IF;
    END LOOP;
    RETURN true;
END $$;

-- What lets in whom nobody meant to let in is worth an early word.
CREATE FUNCTION fengling.is_auth(policy jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM fengling.has_only_keys(policy, ARRAY['mode', 'methods', 'issuers', 'scopes', 'roles',
        'claims', 'cookie', 'query', 'api_key_header', 'forward'], 'policy "auth"');
    IF policy ->> 'mode' IS NULL
        OR policy ->> 'mode' <> ALL ('{anonymous,optional,required}')
    THEN
        RETURN fengling.refuse(
            format('the mode of policy "auth" is %s', coalesce(policy -> 'mode', 'null')),
            'it is "anonymous", "optional" or "required"');
    END IF;
    RETURN true;
END $$;

-- The unique index would not say whose it is; it stays for those who write at the same time.
CREATE FUNCTION fengling.refuse_same_iss() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    other text;
BEGIN
    SELECT i.id INTO other FROM fengling.issuer AS i
    WHERE i.issuer = NEW.issuer AND i.id <> NEW.id;
    IF other IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'unique_violation',
            MESSAGE = format('issuers "%s" and "%s" would be one to tokens: both say iss "%s"',
                             other, NEW.id, NEW.issuer),
            HINT = format('change "%s", or delete it first', other);
    END IF;
    RETURN NEW;
END $$;
