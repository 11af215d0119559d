CREATE TABLE fengling.secret (
    id text COLLATE "C" PRIMARY KEY
        CONSTRAINT "id: letters, digits and . _ - after the first, at most 100"
        CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    name text NOT NULL DEFAULT ''
        CONSTRAINT "name has at most 200 characters" CHECK (length(name) <= 200),
    value text NOT NULL
        CONSTRAINT "value is a reference or encrypted" CHECK (fengling.is_secret_value(value)),
    version bigint NOT NULL DEFAULT 0,
    labels jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT "labels is a JSON object" CHECK (jsonb_typeof(labels) = 'object'),
    managed_by text CONSTRAINT "managed_by has 1 to 200 characters"
        CHECK (length(managed_by) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE fengling.secret IS
    'Values that nobody is to see: references, or encrypted. The log of changes has fingerprints.';
COMMENT ON COLUMN fengling.secret.value IS
    'file:/path, env:NAME, or aes256gcm:key:base64 as "fenglingctl secret set" writes it.';

CREATE TABLE fengling.certificate (
    id text COLLATE "C" PRIMARY KEY
        CONSTRAINT "id: letters, digits and . _ - after the first, at most 100"
        CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    name text NOT NULL DEFAULT ''
        CONSTRAINT "name has at most 200 characters" CHECK (length(name) <= 200),
    enabled boolean NOT NULL DEFAULT true,
    hosts text[] NOT NULL DEFAULT '{}'
        CONSTRAINT "hosts are host names" CHECK (hosts = '{}' OR fengling.are_hosts(hosts)),
    chain text NOT NULL
        CONSTRAINT "chain is PEM" CHECK (fengling.are_certificates(chain, 'chain')),
    key_secret text COLLATE "C" NOT NULL CONSTRAINT "key_secret of a certificate"
        REFERENCES fengling.secret DEFERRABLE INITIALLY DEFERRED,
    version bigint NOT NULL DEFAULT 0,
    labels jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT "labels is a JSON object" CHECK (jsonb_typeof(labels) = 'object'),
    managed_by text CONSTRAINT "managed_by has 1 to 200 characters"
        CHECK (length(managed_by) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN fengling.certificate.hosts IS
    'Names that clients ask for (SNI); empty: those that the certificate itself is for.';
COMMENT ON COLUMN fengling.certificate.chain IS 'PEM, the certificate of the host first.';
CREATE INDEX certificate_secret ON fengling.certificate (key_secret);

-- (Not valid: what no gateway has ever accepted must not stop the upgrade.)
ALTER TABLE fengling.service ADD CONSTRAINT "tls has known parts"
    CHECK (tls IS NULL OR fengling.is_tls(tls)) NOT VALID;
CREATE INDEX service_client_certificate ON fengling.service ((tls ->> 'client_certificate'))
    WHERE tls ->> 'client_certificate' IS NOT NULL;

-- The reference that no foreign key can state, checked when foreign keys are and with their locks.
CREATE FUNCTION fengling.check_client_certificate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted text;
    service text;
BEGIN
    IF TG_TABLE_NAME = 'certificate' THEN
        SELECT s.id INTO service FROM fengling.service AS s
        WHERE s.tls ->> 'client_certificate' = OLD.id
          AND NOT EXISTS (SELECT FROM fengling.certificate AS c WHERE c.id = OLD.id) LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation', MESSAGE = format(
                'the tls of service "%s" names a client certificate that you delete: "%s"',
                service, OLD.id);
        END IF;
        RETURN NULL;
    END IF;
    SELECT s.tls ->> 'client_certificate' INTO wanted FROM fengling.service AS s
    WHERE s.id = NEW.id;
    IF wanted IS NOT NULL THEN
        PERFORM FROM fengling.certificate AS c WHERE c.id = wanted FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation', MESSAGE = format(
                'the tls of service "%s" names a client certificate that does not exist: "%s"',
                NEW.id, wanted);
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER client_certificate AFTER INSERT OR UPDATE ON fengling.service
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.tls ->> 'client_certificate' IS NOT NULL)
    EXECUTE FUNCTION fengling.check_client_certificate();
CREATE CONSTRAINT TRIGGER client_certificate AFTER DELETE ON fengling.certificate
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION fengling.check_client_certificate();
