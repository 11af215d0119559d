-- The policy ejection: of services and of the setting defaults.

-- As in 0003/refusals.sql, with the policy that has come since. (It runs for almost every row, hence
-- without a SET.)
CREATE OR REPLACE FUNCTION fengling.are_policies(policies jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    name pg_catalog.text;
    policy pg_catalog.jsonb;
BEGIN
    PERFORM fengling.has_only_keys(policies, ARRAY['access', 'auth', 'concurrency', 'cors',
        'ejection', 'limits', 'path', 'rate_limit', 'request_headers', 'response_headers', 'retry',
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

ALTER TABLE fengling.route ADD CONSTRAINT "routes have no policy ejection"
    CHECK (policies = '{}' OR NOT policies ? 'ejection' OR fengling.refuse(
        'policy "ejection" is of services, or of the setting defaults, and not of routes'));
