-- Routes that the cluster has no more, and that are kept because they are too many at once, go when
-- somebody confirms it: he is no less than who decides of Services, and in turn with them.

ALTER TABLE fengling.discovery
    ADD COLUMN confirmation bigint NOT NULL DEFAULT 0,
    ADD COLUMN confirmed text CONSTRAINT "confirmed has 1 to 100 characters"
        CHECK (length(confirmed) BETWEEN 1 AND 100),
    ADD COLUMN confirmed_by text CONSTRAINT "confirmed_by has 1 to 200 characters"
        CHECK (length(confirmed_by) BETWEEN 1 AND 200);
COMMENT ON COLUMN fengling.discovery.confirmed IS
    'Which removal somebody has confirmed, by the id that its status shows.';
COMMENT ON COLUMN fengling.discovery.confirmation IS
    'Grows with each confirmation, and counts as the decisions about services do.';

CREATE FUNCTION fengling.confirm_removal(removal text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    author text := left(coalesce(nullif(current_setting('fengling.author', true), ''),
                                 session_user::text), 200);
BEGIN
    -- (As in decide_in_turn: numbers follow the order of commits.)
    PERFORM pg_advisory_xact_lock(7378424954996094307);
    UPDATE fengling.discovery AS d
    SET confirmed = removal, confirmed_by = author, confirmation = nextval('fengling.version_seq')
    WHERE d.status -> 'writing' -> 'removal' ->> 'id' = removal;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION fengling.confirm_removal(text) IS
    'Lets routes go that the cluster has no more; false: something else is waiting for that by now.';
