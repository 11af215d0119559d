CREATE TABLE fengling.issuer (
    id text COLLATE "C" PRIMARY KEY
        CONSTRAINT "id: letters, digits and . _ - after the first, at most 100"
        CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    name text NOT NULL DEFAULT ''
        CONSTRAINT "name has at most 200 characters" CHECK (length(name) <= 200),
    enabled boolean NOT NULL DEFAULT true,
    issuer text COLLATE "C" NOT NULL
        CONSTRAINT "issuer has 1 to 500 visible ASCII characters"
        CHECK (issuer ~ '^[\x21-\x7e]+$' AND length(issuer) <= 500),
    audiences text[] NOT NULL
        CONSTRAINT "audiences names at least one" CHECK (cardinality(audiences) BETWEEN 1 AND 50),
    algorithms text[] NOT NULL DEFAULT '{ES256,EdDSA,PS256,RS256}'
        CONSTRAINT "algorithms are known ones" CHECK (cardinality(algorithms) > 0
            AND algorithms <@ '{RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA,HS256,HS384,HS512}'),
    jwks_url text
        CONSTRAINT "jwks_url is https://…, or http:// on this very host"
        CHECK (jwks_url ~ '^(https://|http://(localhost|127\.|\[::1\]))[\x21-\x7e]*$'
               AND length(jwks_url) <= 500),
    discovery boolean NOT NULL DEFAULT false,
    keys jsonb CONSTRAINT "keys is a key set" CHECK (keys IS NULL OR fengling.is_key_set(keys)),
    key_secret text COLLATE "C" CONSTRAINT "key_secret of an issuer"
        REFERENCES fengling.secret DEFERRABLE INITIALLY DEFERRED,
    refresh interval NOT NULL DEFAULT '10 min'
        CONSTRAINT "refresh is from 30 s to a day" CHECK (refresh BETWEEN '30 s' AND '1 day'),
    leeway interval NOT NULL DEFAULT '30 s'
        CONSTRAINT "leeway is at most 30 s" CHECK (leeway BETWEEN '0 s' AND '30 s'),
    max_lifetime interval
        CONSTRAINT "max_lifetime is from a second to a year"
        CHECK (max_lifetime BETWEEN '1 s' AND '366 days'),
    required_claims text[] NOT NULL DEFAULT '{}',
    claims jsonb NOT NULL DEFAULT '{}' CONSTRAINT "claims has known parts" CHECK (
        fengling.has_only_keys(claims, '{name,roles,scopes,subject,tenant}', 'claims')
        AND fengling.has_only_text(claims, 'claims')),
    headers jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT "headers are names with claims" CHECK (fengling.has_only_text(headers, 'headers')),
    tenant_id text COLLATE "C" CONSTRAINT "tenant_id of an issuer"
        REFERENCES fengling.tenant DEFERRABLE INITIALLY DEFERRED,
    version bigint NOT NULL DEFAULT 0,
    labels jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT "labels is a JSON object" CHECK (jsonb_typeof(labels) = 'object'),
    managed_by text CONSTRAINT "managed_by has 1 to 200 characters"
        CHECK (length(managed_by) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT "keys come from one of jwks_url, discovery, keys, key_secret" CHECK (
        num_nonnulls(jwks_url, nullif(discovery, false), keys, key_secret) = 1),
    CONSTRAINT "HS algorithms and key_secret go together" CHECK (
        (key_secret IS NULL AND NOT algorithms && '{HS256,HS384,HS512}')
        OR (key_secret IS NOT NULL AND algorithms <@ '{HS256,HS384,HS512}'))
);
COMMENT ON TABLE fengling.issuer IS 'Whose tokens (JWT) are believed, and which keys verify them.';
COMMENT ON COLUMN fengling.issuer.issuer IS 'What its tokens say in iss, to the letter.';
COMMENT ON COLUMN fengling.issuer.audiences IS 'Of which a token must name one in aud.';
COMMENT ON COLUMN fengling.issuer.claims IS
    'Which claim says what: name, roles, scopes, subject, tenant; by name or JSON pointer.';
COMMENT ON COLUMN fengling.issuer.headers IS
    'More headers for instances, and the claim of each; clients can''t set them.';
COMMENT ON COLUMN fengling.issuer.tenant_id IS 'That all its tokens are of; null: they say so.';
CREATE UNIQUE INDEX "one issuer for each iss" ON fengling.issuer (issuer);
CREATE TRIGGER refuse_same_iss BEFORE INSERT OR UPDATE OF issuer ON fengling.issuer
    FOR EACH ROW EXECUTE FUNCTION fengling.refuse_same_iss();
CREATE INDEX issuer_secret ON fengling.issuer (key_secret) WHERE key_secret IS NOT NULL;
CREATE INDEX issuer_tenant ON fengling.issuer (tenant_id) WHERE tenant_id IS NOT NULL;

CREATE TABLE fengling.client (
    id text COLLATE "C" PRIMARY KEY
        CONSTRAINT "id: letters, digits and . _ - after the first, at most 100"
        CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    name text NOT NULL DEFAULT ''
        CONSTRAINT "name has at most 200 characters" CHECK (length(name) <= 200),
    enabled boolean NOT NULL DEFAULT true,
    tenant_id text COLLATE "C" CONSTRAINT "tenant_id of a client"
        REFERENCES fengling.tenant DEFERRABLE INITIALLY DEFERRED,
    roles text[] NOT NULL DEFAULT '{}'
        CONSTRAINT "roles are words" CHECK (fengling.are_words(roles, 'roles')),
    scopes text[] NOT NULL DEFAULT '{}'
        CONSTRAINT "scopes are words" CHECK (fengling.are_words(scopes, 'scopes')),
    version bigint NOT NULL DEFAULT 0,
    labels jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT "labels is a JSON object" CHECK (jsonb_typeof(labels) = 'object'),
    managed_by text CONSTRAINT "managed_by has 1 to 200 characters"
        CHECK (length(managed_by) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE fengling.client IS 'Programs that use API keys, and what they may do.';
CREATE INDEX client_tenant ON fengling.client (tenant_id) WHERE tenant_id IS NOT NULL;

CREATE TABLE fengling.api_key (
    id text COLLATE "C" PRIMARY KEY
        CONSTRAINT "id: letters, digits and . _ - after the first, at most 100"
        CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    name text NOT NULL DEFAULT ''
        CONSTRAINT "name has at most 200 characters" CHECK (length(name) <= 200),
    enabled boolean NOT NULL DEFAULT true,
    client_id text COLLATE "C" NOT NULL CONSTRAINT "client_id of an API key"
        REFERENCES fengling.client DEFERRABLE INITIALLY DEFERRED,
    digest text COLLATE "C" NOT NULL
        CONSTRAINT "digest is a SHA-256" CHECK (fengling.is_key_digest(digest)),
    expires_at timestamptz,
    version bigint NOT NULL DEFAULT 0,
    labels jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT "labels is a JSON object" CHECK (jsonb_typeof(labels) = 'object'),
    managed_by text CONSTRAINT "managed_by has 1 to 200 characters"
        CHECK (length(managed_by) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE fengling.api_key IS
    'Keys of clients, fgk_<id>_<43 characters>: shown once, kept as SHA-256.';
COMMENT ON COLUMN fengling.api_key.expires_at IS 'From when it is refused; null: never.';
CREATE INDEX api_key_client ON fengling.api_key (client_id);

CREATE TABLE fengling.management_token (
    id text COLLATE "C" PRIMARY KEY
        CONSTRAINT "id: letters, digits and . _ - after the first, at most 100"
        CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    name text NOT NULL DEFAULT ''
        CONSTRAINT "name has at most 200 characters" CHECK (length(name) <= 200),
    subject text CONSTRAINT "subject has at most 100 characters" CHECK (length(subject) <= 100),
    scopes text[]
        CONSTRAINT "scopes are of gateway:read, gateway:write, gateway:admin"
        CHECK (cardinality(scopes) > 0 AND scopes <@ '{gateway:read,gateway:write,gateway:admin}'),
    tenants text[] COLLATE "C"
        CONSTRAINT "tenants are ids, at least one; null: all and what is nobody's"
        CHECK (fengling.are_ids(tenants)),
    created_by text
        CONSTRAINT "created_by has at most 200 characters" CHECK (length(created_by) <= 200),
    expires_at timestamptz,
    revoked_at timestamptz,
    version bigint NOT NULL DEFAULT 0,
    labels jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT "labels is a JSON object" CHECK (jsonb_typeof(labels) = 'object'),
    managed_by text CONSTRAINT "managed_by has 1 to 200 characters"
        CHECK (length(managed_by) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE fengling.management_token IS
    'What is known of tokens for the management API. A row can only take from what a token allows.';
COMMENT ON COLUMN fengling.management_token.id IS 'What the token says in jti.';
COMMENT ON COLUMN fengling.management_token.revoked_at IS
    'Refused from then on, at once: set it to now(). It stays set.';
CREATE TRIGGER stay_revoked BEFORE UPDATE OR DELETE ON fengling.management_token
    FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL)
    EXECUTE FUNCTION fengling.stay_revoked();
CREATE TRIGGER warn_of_good_tokens AFTER DELETE ON fengling.management_token
    REFERENCING OLD TABLE AS gone EXECUTE FUNCTION fengling.warn_of_good_tokens();
CREATE TRIGGER stay_revoked_all BEFORE TRUNCATE ON fengling.management_token
    EXECUTE FUNCTION fengling.stay_revoked();
