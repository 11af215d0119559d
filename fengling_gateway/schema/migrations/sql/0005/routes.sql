-- What a route can say since the Gateway API's rules are among them.

ALTER TABLE fengling.route
    DROP CONSTRAINT "match has known conditions",
    ADD CONSTRAINT "match has known conditions"
        CHECK (match = '{}' OR fengling.has_only_keys(match, ARRAY['headers', 'query',
            'cookies', 'client_ip', 'claims', 'listeners', 'counts_as'], 'match')),
    DROP CONSTRAINT "redirect has a status and a location",
    ADD CONSTRAINT "redirect has a status and a location"
        CHECK (redirect IS NULL OR (fengling.has_only_keys(redirect, ARRAY['status', 'location',
            'path'], 'redirect')
            AND fengling.has_only_text(redirect -> 'location', 'redirect.location')
            AND fengling.has_only_text(redirect -> 'path', 'redirect.path')));

-- As in 0004/ejection.sql, with the policy that has come since. (It runs for almost every row, hence
-- without a SET.)
CREATE OR REPLACE FUNCTION fengling.are_policies(policies jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    name pg_catalog.text;
    policy pg_catalog.jsonb;
BEGIN
    PERFORM fengling.has_only_keys(policies, ARRAY['access', 'auth', 'concurrency', 'cors',
        'ejection', 'host_header', 'limits', 'path', 'rate_limit', 'request_headers',
        'response_headers', 'retry', 'security_headers', 'timeouts', 'upgrade'], 'policies');
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
        IF name OPERATOR(pg_catalog.=) ANY ('{host_header,path,request_headers,response_headers}') THEN
            PERFORM fengling.has_only_text(policy, pg_catalog.format('policy "%s"', name));
        ELSIF name OPERATOR(pg_catalog.=) 'auth'
            AND pg_catalog.jsonb_typeof(policy) OPERATOR(pg_catalog.=) 'object'
        THEN
            PERFORM fengling.is_auth(policy);
        END IF;
    END LOOP;
    RETURN true;
END $$;
