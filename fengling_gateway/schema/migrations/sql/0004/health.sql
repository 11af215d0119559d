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
