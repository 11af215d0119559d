-- Who probes instances, and since when: one row, written by the console that does.

CREATE TABLE fengling.prober (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    term bigint NOT NULL DEFAULT 0,
    holder text,
    since timestamptz,
    heartbeat_at timestamptz
) WITH (fillfactor = 10);
COMMENT ON TABLE fengling.prober IS
    'One row: the console that probes instances now. It is no configuration: it makes no revision.';
COMMENT ON COLUMN fengling.prober.term IS 'Grows by one with each console that takes over.';
INSERT INTO fengling.prober DEFAULT VALUES;

ALTER TABLE fengling.instance_health
    ADD COLUMN term bigint CONSTRAINT "term is more than 0, or null" CHECK (term > 0),
    ADD COLUMN address text CONSTRAINT "address has 1 to 300 characters"
        CHECK (length(address) BETWEEN 1 AND 300);
COMMENT ON COLUMN fengling.instance_health.term IS
    'Of the prober that wrote it: see fengling.prober. Null, the default, of all other writers.';
COMMENT ON COLUMN fengling.instance_health.address IS
    'What was probed: of another address it says nothing. Null: whatever the address.';

-- A prober that was stopped, and goes on after another has taken over, must not have the last word.
-- Other writers name no term, and are none of this trigger's business.
CREATE FUNCTION fengling.refuse_old_term() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    prober fengling.prober;
BEGIN
    SELECT * INTO STRICT prober FROM fengling.prober;
    IF NEW.term < prober.term THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('health of instance "%s": term %s is over, %s probes in term %s',
                             NEW.instance_id, NEW.term, coalesce(prober.holder, 'nobody'),
                             prober.term),
            HINT = 'whoever is no prober leaves the column "term" out';
    ELSIF NEW.term > prober.term THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('health of instance "%s": there has been no term %s yet',
                             NEW.instance_id, NEW.term),
            HINT = 'whoever is no prober leaves the column "term" out';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER right_term BEFORE INSERT OR UPDATE OF term ON fengling.instance_health
    FOR EACH ROW WHEN (NEW.term IS NOT NULL) EXECUTE FUNCTION fengling.refuse_old_term();

-- Early help, as in 0001/refusals.sql; a gateway judges all of it, and so does a console.
CREATE FUNCTION fengling.is_health_check(health_check jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text;
    value jsonb;
    kind text := coalesce(health_check ->> 'type', 'http');
BEGIN
    PERFORM fengling.has_only_keys(health_check, ARRAY['type', 'path', 'method', 'host', 'headers',
        'expected', 'body', 'interval', 'timeout', 'rise', 'fall', 'jitter', 'unhealthy_interval',
        'idle_interval'], 'health_check');
    IF kind <> ALL ('{http,tcp}') THEN
        RETURN fengling.refuse(format('the type of health_check is "%s"', kind),
            'it is "http" or "tcp"');
    END IF;
    IF kind = 'tcp' AND health_check ?| '{path,method,host,headers,expected,body}' THEN
        RETURN fengling.refuse('health_check of type "tcp" asks nothing by HTTP',
            'leave out path, method, host, headers, expected and body');
    ELSIF left(health_check ->> 'path', 1) <> '/' THEN
        RETURN fengling.refuse(
            format('the path of health_check, "%s", does not begin with /', health_check ->> 'path'));
    END IF;
    FOR name, value IN SELECT e.key, e.value FROM jsonb_each(health_check) AS e LOOP
        IF name = ANY ('{rise,fall}') AND jsonb_typeof(value) <> 'number' THEN
            RETURN fengling.refuse(format('health_check.%s is a number', name));
        ELSIF name = 'expected' AND jsonb_typeof(value) <> 'array' THEN
            RETURN fengling.refuse('health_check.expected is a list like ["200-299", 404]');
        ELSIF name = ANY ('{interval,timeout}') AND jsonb_typeof(value) <> ALL ('{string,number}') THEN
            RETURN fengling.refuse(format('health_check.%s is a duration like "5s"', name));
        END IF;
    END LOOP;
    RETURN true;
END $$;

-- Earlier versions took any object: what is there already is the gateways' to judge, by name.
ALTER TABLE fengling.service
    ADD CONSTRAINT "health_check has known fields"
        CHECK (health_check IS NULL OR fengling.is_health_check(health_check)) NOT VALID;
