-- What runs in a Kubernetes cluster: who watches it, what has been decided of its services, and what
-- it has said of the entities that it owns. None of it is configuration: it makes no revision.

CREATE TABLE fengling.discovery (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- (UNIQUE, so that a takeover waits for who writes in the old term and holds it FOR KEY SHARE.
    -- A heartbeat, which leaves the term alone, does not.)
    term bigint NOT NULL DEFAULT 0 UNIQUE,
    holder text,
    since timestamptz,
    heartbeat_at timestamptz,
    status jsonb
) WITH (fillfactor = 10);
COMMENT ON TABLE fengling.discovery IS
    'One row: the console that watches Kubernetes now.';
COMMENT ON COLUMN fengling.discovery.term IS 'Grows by one with each console that takes over.';
COMMENT ON COLUMN fengling.discovery.status IS
    'How it gets on, as it has said itself, with a heartbeat.';
INSERT INTO fengling.discovery DEFAULT VALUES;

CREATE FUNCTION fengling.require_discovery(term bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_is fengling.discovery;
BEGIN
    PERFORM FROM fengling.discovery AS d WHERE d.term = require_discovery.term FOR KEY SHARE;
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO STRICT now_is FROM fengling.discovery;
    RAISE EXCEPTION USING
        ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = format('term %s is over, %s watches Kubernetes in term %s',
                         term, coalesce(now_is.holder, 'nobody'), now_is.term);
END $$;
COMMENT ON FUNCTION fengling.require_discovery(bigint) IS
    'Refuses who does not watch Kubernetes any more; until the transaction ends, nobody takes over.';

CREATE TABLE fengling.discovered_service (
    namespace text COLLATE "C" NOT NULL CONSTRAINT "namespace has 1 to 253 characters"
        CHECK (length(namespace) BETWEEN 1 AND 253),
    name text COLLATE "C" NOT NULL CONSTRAINT "name has 1 to 253 characters"
        CHECK (length(name) BETWEEN 1 AND 253),
    state text NOT NULL DEFAULT 'pending' CONSTRAINT "state is pending, approved or rejected"
        CHECK (state IN ('pending', 'approved', 'rejected')),
    decision bigint NOT NULL DEFAULT 0,
    decided_by text CONSTRAINT "decided_by has 1 to 200 characters"
        CHECK (length(decided_by) BETWEEN 1 AND 200),
    decided_at timestamptz,
    comment text CONSTRAINT "comment has at most 1000 characters" CHECK (length(comment) <= 1000),
    asked jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT "asked is a JSON object" CHECK (jsonb_typeof(asked) = 'object'),
    approved jsonb,
    seen_at timestamptz,
    gone_at timestamptz,
    offer jsonb,
    result jsonb,
    PRIMARY KEY (namespace, name)
);
CREATE INDEX discovered_service_decision ON fengling.discovered_service (decision);
COMMENT ON TABLE fengling.discovered_service IS
    'Services of the cluster that ask to be routed to, and what has been decided of each.';
COMMENT ON COLUMN fengling.discovered_service.decision IS
    'Grows with each decision, in the order of their commits: by it who watches learns of them.';
COMMENT ON COLUMN fengling.discovered_service.asked IS
    'What was set when it was approved, instead of what the cluster says: hosts, path, tenant_id.';
COMMENT ON COLUMN fengling.discovered_service.approved IS
    'The annotations that somebody has approved: others wait for another approval. Null: all do.';
COMMENT ON COLUMN fengling.discovered_service.seen_at IS
    'Since when it is there; gone_at: since when it is not any more.';
COMMENT ON COLUMN fengling.discovered_service.offer IS 'What would come, or comes, of it.';
COMMENT ON COLUMN fengling.discovered_service.result IS 'What came of a decision, and of which.';

CREATE TABLE fengling.discovered_entity (
    kind text NOT NULL CONSTRAINT "kind is service, route or instance"
        CHECK (kind IN ('service', 'route', 'instance')),
    id text COLLATE "C" NOT NULL,
    origin text NOT NULL,
    said jsonb NOT NULL CONSTRAINT "said is a JSON object" CHECK (jsonb_typeof(said) = 'object'),
    PRIMARY KEY (kind, id)
);
COMMENT ON TABLE fengling.discovered_entity IS
    'What the cluster last said of each entity that it owns: fields that say something else by now '
    'were changed by somebody.';
COMMENT ON COLUMN fengling.discovered_entity.origin IS 'The object of the cluster, like shop/orders.';

-- Whoever names the state, or what is asked, decides: also in psql. Numbers follow the order of
-- commits, or who asks for those after the newest one would miss one that is committed late. The lock
-- is taken before any row, so that two who decide of several services wait for each other in order.
CREATE FUNCTION fengling.decide_in_turn() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- "fenglkub" in ASCII is who watches; this is the next number.
    PERFORM pg_advisory_xact_lock(7378424954996094307);
    RETURN NULL;
END $$;

CREATE TRIGGER a_turn BEFORE INSERT OR UPDATE OF state, asked ON fengling.discovered_service
    FOR EACH STATEMENT EXECUTE FUNCTION fengling.decide_in_turn();

CREATE FUNCTION fengling.number_decision() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    author text := left(coalesce(nullif(current_setting('fengling.author', true), ''),
                                 session_user::text), 200);
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state = 'pending' THEN
            RETURN NEW;
        END IF;
        NEW.decided_by := coalesce(NEW.decided_by, author);
    ELSIF NEW.decided_by IS NOT DISTINCT FROM OLD.decided_by THEN
        NEW.decided_by := author;
    END IF;
    -- Of what a rule has approved, whatever is asked for later is approved, too.
    NEW.approved := CASE WHEN NEW.state = 'approved'
                              AND coalesce(current_setting('fengling.by_rule', true), '') <> 'on'
                    THEN NEW.offer -> 'annotations' END;
    NEW.decided_at := clock_timestamp();
    NEW.decision := nextval('fengling.version_seq');
    RETURN NEW;
END $$;

CREATE TRIGGER decision BEFORE INSERT OR UPDATE OF state, asked ON fengling.discovered_service
    FOR EACH ROW EXECUTE FUNCTION fengling.number_decision();
