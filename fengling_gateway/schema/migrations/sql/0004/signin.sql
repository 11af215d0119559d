-- Credentials of the console that are over before their time, for all of its replicas.

CREATE TABLE fengling.spent_credential (
    id text COLLATE "C" PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 100),
    spent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE fengling.spent_credential IS
    'Links that were used, and sessions that were ended, until they would be over anyway. It is '
    'no configuration: it makes no revision.';
CREATE INDEX spent_credential_spent_at ON fengling.spent_credential (spent_at);
