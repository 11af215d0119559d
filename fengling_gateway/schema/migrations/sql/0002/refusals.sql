-- Functions behind the CHECKs of this migration; see 0001/refusals.sql.

-- They raise before the CHECK itself could fail, whose error would show the whole row; and they
-- don't quote what they refuse, which may be what must not be seen.
CREATE FUNCTION fengling.is_secret_value(value text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF length(value) > 44000 THEN
        RETURN fengling.refuse('the value of a secret has more than 44,000 characters');
    ELSIF value ~ '^env:FENGLING_' THEN
        RETURN fengling.refuse('variables that begin with FENGLING_ are settings of the gateway',
            'its workers don''t have them; give the secret another name');
    END IF;
    RETURN value ~ '^file:/[^[:cntrl:]]+$' AND length(value) <= 4006
        OR value ~ '^env:[A-Za-z_][A-Za-z0-9_]{0,199}$'
        -- At least the nonce (12 bytes) and the tag (16 bytes).
        OR value ~ '^aes256gcm:[A-Za-z0-9][A-Za-z0-9._-]{0,63}:([A-Za-z0-9+/]{4}){9,}([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$'
        OR fengling.refuse('the value of a secret is no reference and not encrypted',
            'it is file:/path or env:NAME, which hosts resolve, or what "fenglingctl secret set" '
            'writes; plain text would stay in backups and logs');
END $$;

CREATE FUNCTION fengling.are_certificates(pem text, what text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF pem ~ 'PRIVATE KEY' THEN
        RETURN fengling.refuse(format('%s holds a private key', what),
            'it would stay in the log of changes; a key is kept as a secret: '
            '"fenglingctl secret set ID --from-file key.pem"');
    ELSIF pem !~ '-----BEGIN CERTIFICATE-----' THEN
        RETURN fengling.refuse(format('%s holds no certificate', what),
            'it is PEM: -----BEGIN CERTIFICATE----- and so on, that of the host first');
    END IF;
    RETURN length(pem) <= 50000
        OR fengling.refuse(format('%s has more than 50,000 characters', what));
END $$;

CREATE FUNCTION fengling.is_tls(tls jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text;
    value jsonb;
BEGIN
    PERFORM fengling.has_only_keys(tls, ARRAY['verify', 'ca', 'client_certificate', 'sni'], 'tls');
    FOR name, value IN SELECT e.key, e.value FROM jsonb_each(tls) AS e LOOP
        IF name = 'verify' AND jsonb_typeof(value) <> 'boolean' THEN
            RETURN fengling.refuse('tls.verify is true or false');
        ELSIF name <> 'verify' AND jsonb_typeof(value) <> ALL ('{string,"null"}') THEN
            RETURN fengling.refuse(format('tls.%s is text, or null', name));
        END IF;
    END LOOP;
    RETURN tls ->> 'ca' IS NULL OR fengling.are_certificates(tls ->> 'ca', 'tls.ca');
END $$;
