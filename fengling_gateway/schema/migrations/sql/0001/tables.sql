-- The configuration. Names of constraints are what psql shows to whom they stop (63 bytes).

CREATE SEQUENCE fengling.version_seq;
COMMENT ON SEQUENCE fengling.version_seq IS
    'One for all tables: an entity that is deleted and made again has no version twice.';

CREATE TABLE fengling.setting (
    key text COLLATE "C" PRIMARY KEY
        CONSTRAINT "key: defaults, trusted_proxies, identity_headers or hold"
        CHECK (key IN ('defaults', 'trusted_proxies', 'identity_headers', 'hold')),
    value jsonb NOT NULL,
    version bigint NOT NULL DEFAULT 0,
    labels jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT "labels is a JSON object" CHECK (jsonb_typeof(labels) = 'object'),
    managed_by text CONSTRAINT "managed_by has 1 to 200 characters"
        CHECK (length(managed_by) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT "the value of defaults is an object of policies"
        CHECK (key <> 'defaults' OR fengling.are_policies(value)),
    CONSTRAINT "the value of trusted_proxies is an array"
        CHECK (key <> 'trusted_proxies' OR jsonb_typeof(value) = 'array'),
    CONSTRAINT "the value of identity_headers is an object"
        CHECK (key <> 'identity_headers' OR jsonb_typeof(value) = 'object'),
    CONSTRAINT "the value of hold is an object"
        CHECK (key <> 'hold' OR jsonb_typeof(value) = 'object')
);

CREATE TABLE fengling.tenant (
    id text COLLATE "C" PRIMARY KEY
        CONSTRAINT "id: letters, digits and . _ - after the first, at most 100"
        CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    name text NOT NULL DEFAULT '',
    enabled boolean NOT NULL DEFAULT true,
    hosts text[] NOT NULL DEFAULT '{}'
        CONSTRAINT "hosts are host names" CHECK (hosts = '{}' OR fengling.are_hosts(hosts)),
    path_prefix text CONSTRAINT "path_prefix is like /acme"
        CHECK (path_prefix ~ '^(/[^/?#{}*[:space:][:cntrl:]]+)+$'),
    limits jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT "limits is a JSON object" CHECK (jsonb_typeof(limits) = 'object'),
    version bigint NOT NULL DEFAULT 0,
    labels jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT "labels is a JSON object" CHECK (jsonb_typeof(labels) = 'object'),
    managed_by text CONSTRAINT "managed_by has 1 to 200 characters"
        CHECK (length(managed_by) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE fengling.service (
    id text COLLATE "C" PRIMARY KEY
        CONSTRAINT "id: letters, digits and . _ - after the first, at most 100"
        CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    name text NOT NULL DEFAULT '',
    enabled boolean NOT NULL DEFAULT true,
    balancing text NOT NULL DEFAULT 'power_of_two'
        CONSTRAINT "balancing is known" CHECK (
            balancing IN ('power_of_two', 'weighted_round_robin', 'round_robin',
                          'least_requests', 'random')
            OR fengling.refuse(format('balancing "%s" is not known', balancing),
                'it is power_of_two, weighted_round_robin, round_robin, least_requests or random')),
    protocol text NOT NULL DEFAULT 'http1'
        CONSTRAINT "protocol is http1" CHECK (protocol = 'http1'),
    host_header text NOT NULL DEFAULT 'client'
        CONSTRAINT "host_header is client, instance or a host"
        CHECK (host_header ~* '^([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$'),
    connect_timeout interval NOT NULL DEFAULT '3 s'
        CONSTRAINT "connect_timeout is more than 0 and at most 5 minutes"
        CHECK (connect_timeout > '0' AND connect_timeout <= '5 min'),
    first_byte_timeout interval NOT NULL DEFAULT '30 s'
        CONSTRAINT "first_byte_timeout is more than 0 and at most 1 day"
        CHECK (first_byte_timeout > '0' AND first_byte_timeout <= '1 d'),
    idle_timeout interval NOT NULL DEFAULT '60 s'
        CONSTRAINT "idle_timeout is more than 0 and at most 1 day"
        CHECK (idle_timeout > '0' AND idle_timeout <= '1 d'),
    tenant_spill boolean NOT NULL DEFAULT false,
    health_check jsonb CONSTRAINT "health_check is a JSON object, or null for off"
        CHECK (jsonb_typeof(health_check) = 'object'),
    affinity jsonb CONSTRAINT "affinity is a JSON object, or null for off"
        CHECK (jsonb_typeof(affinity) = 'object'),
    tls jsonb CONSTRAINT "tls is a JSON object, or null"
        CHECK (jsonb_typeof(tls) = 'object'),
    policies jsonb NOT NULL DEFAULT '{}' CONSTRAINT "policies are known"
        CHECK (policies = '{}' OR fengling.are_policies(policies)),
    version bigint NOT NULL DEFAULT 0,
    labels jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT "labels is a JSON object" CHECK (jsonb_typeof(labels) = 'object'),
    managed_by text CONSTRAINT "managed_by has 1 to 200 characters"
        CHECK (length(managed_by) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE fengling.instance (
    id text COLLATE "C" PRIMARY KEY
        DEFAULT 'i-' || left(replace(gen_random_uuid()::text, '-', ''), 12)
        CONSTRAINT "id: letters, digits and . _ - after the first, at most 100"
        CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    service_id text COLLATE "C" NOT NULL CONSTRAINT "service of an instance"
        REFERENCES fengling.service DEFERRABLE INITIALLY DEFERRED,
    tenant_id text COLLATE "C" CONSTRAINT "tenant of an instance"
        REFERENCES fengling.tenant DEFERRABLE INITIALLY DEFERRED,
    address text NOT NULL CONSTRAINT "address is http://host:port or https://host:port"
        CHECK (address ~* '^https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$'),
    weight integer NOT NULL DEFAULT 1 CONSTRAINT "weight is from 0 to 65535"
        CHECK (weight BETWEEN 0 AND 65535),
    state text NOT NULL DEFAULT 'ready' CONSTRAINT "state is ready, drain or maintenance"
        CHECK (state IN ('ready', 'drain', 'maintenance')),
    zone text CONSTRAINT "zone has 1 to 100 characters"
        CHECK (length(zone) BETWEEN 1 AND 100),
    version bigint NOT NULL DEFAULT 0,
    labels jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT "labels is a JSON object" CHECK (jsonb_typeof(labels) = 'object'),
    managed_by text CONSTRAINT "managed_by has 1 to 200 characters"
        CHECK (length(managed_by) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
-- (NULLS NOT DISTINCT would say it better, from PostgreSQL 15 on.)
CREATE UNIQUE INDEX "one instance per service, address and tenant"
    ON fengling.instance (service_id, address, coalesce(tenant_id, ''));
CREATE INDEX instance_tenant ON fengling.instance (tenant_id) WHERE tenant_id IS NOT NULL;

CREATE TABLE fengling.instance_health (
    instance_id text COLLATE "C" PRIMARY KEY CONSTRAINT "instance of a health"
        REFERENCES fengling.instance ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    health text NOT NULL CONSTRAINT "health is unknown, healthy or unhealthy"
        CHECK (health IN ('unknown', 'healthy', 'unhealthy')),
    reason text,
    since timestamptz NOT NULL DEFAULT now(),
    source text
);

CREATE TABLE fengling.route (
    id text COLLATE "C" PRIMARY KEY
        CONSTRAINT "id: letters, digits and . _ - after the first, at most 100"
        CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    tenant_id text COLLATE "C" CONSTRAINT "tenant of a route"
        REFERENCES fengling.tenant DEFERRABLE INITIALLY DEFERRED,
    enabled boolean NOT NULL DEFAULT true,
    priority integer NOT NULL DEFAULT 0,
    hosts text[] NOT NULL DEFAULT '{}'
        CONSTRAINT "hosts are host names" CHECK (hosts = '{}' OR fengling.are_hosts(hosts)),
    path text NOT NULL DEFAULT '/{**rest}'
        -- (The regex is the quick way to yes; the function finds the culprit.)
        CONSTRAINT "path is a template or a regex" CHECK (
            path ~ '^/(([A-Za-z0-9._~-]+|\{[A-Za-z_]+\})/)*([A-Za-z0-9._~-]*|\{(\*\*)?[A-Za-z_]+\})$'
            OR fengling.is_path(path))
        CONSTRAINT "path has at most 2000 characters" CHECK (length(path) <= 2000),
    methods text[] NOT NULL DEFAULT '{}' CONSTRAINT "methods are like GET, in upper case"
        CHECK (methods = '{}' OR array_to_string(methods, ',', '?') ~ '^[A-Z-]+(,[A-Z-]+)*$'),
    match jsonb NOT NULL DEFAULT '{}' CONSTRAINT "match has known conditions"
        CHECK (match = '{}' OR fengling.has_only_keys(match, ARRAY['headers', 'query',
            'cookies', 'client_ip', 'claims', 'listeners'], 'match')),
    service_id text COLLATE "C" CONSTRAINT "service of a route"
        REFERENCES fengling.service DEFERRABLE INITIALLY DEFERRED,
    split jsonb CONSTRAINT "split has services and weights"
        CHECK (split IS NULL OR fengling.is_split(split)),
    redirect jsonb CONSTRAINT "redirect has a status and a location"
        CHECK (redirect IS NULL OR (fengling.has_only_keys(redirect, ARRAY['status', 'location'],
            'redirect') AND fengling.has_only_text(redirect -> 'location', 'redirect.location'))),
    respond jsonb CONSTRAINT "respond has a status, headers and a body"
        CHECK (respond IS NULL OR (fengling.has_only_keys(respond, ARRAY['status', 'headers',
            'body'], 'respond')
            AND fengling.has_only_text(respond -> 'headers', 'respond.headers'))),
    policies jsonb NOT NULL DEFAULT '{}' CONSTRAINT "policies are known"
        CHECK (policies = '{}' OR fengling.are_policies(policies)),
    valid_from timestamptz,
    valid_to timestamptz,
    version bigint NOT NULL DEFAULT 0,
    labels jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT "labels is a JSON object" CHECK (jsonb_typeof(labels) = 'object'),
    managed_by text CONSTRAINT "managed_by has 1 to 200 characters"
        CHECK (length(managed_by) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT "exactly one of service_id, split, redirect, respond"
        CHECK (num_nonnulls(service_id, split, redirect, respond) = 1),
    CONSTRAINT "valid_from is before valid_to" CHECK (valid_from < valid_to)
);
CREATE INDEX route_tenant ON fengling.route (tenant_id) WHERE tenant_id IS NOT NULL;
CREATE INDEX route_service ON fengling.route (service_id) WHERE service_id IS NOT NULL;
CREATE INDEX route_split ON fengling.route USING gin (split) WHERE split IS NOT NULL;
