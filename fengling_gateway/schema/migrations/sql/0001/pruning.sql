-- Shortening the log. Of each entity, the version that was current at the border stays, so that
-- there is always one to fall back on. Nothing here waits for writers or keeps them waiting.

-- The last of the revisions that are all older than this: a clock may have been set back, and one
-- that seems old must not take younger ones before it along. Nothing that a held revision may
-- still need: what is served ends at the baseline, and the way back to it from the tables is the
-- log.
CREATE FUNCTION fengling.border(kept interval) RETURNS bigint
LANGUAGE sql STABLE
RETURN (SELECT coalesce(max(r.id), -1) FROM fengling.revision AS r
        WHERE kept IS NOT NULL AND r.id < least(
            (SELECT h.baseline_revision FROM fengling.head AS h),
            (SELECT min(young.id) FROM fengling.revision AS young
             WHERE young.committed_at >= now() - kept)));

CREATE FUNCTION fengling.prune_between(walked_to bigint, up_to bigint, config_to bigint,
    health_to bigint, OUT changes bigint, OUT revisions bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM fengling.revision_change AS c USING fengling.revision AS r
    WHERE c.revision > walked_to AND c.revision <= up_to AND r.id = c.revision
      AND r.id <= CASE r.kind WHEN 'health' THEN health_to ELSE config_to END
      AND (c.action = 'delete' OR EXISTS (
           SELECT FROM fengling.revision_change AS later
           WHERE later.entity = c.entity AND later.entity_id = c.entity_id
             AND later.revision > c.revision AND later.revision
                 <= CASE r.kind WHEN 'health' THEN health_to ELSE config_to END));
    GET DIAGNOSTICS changes = ROW_COUNT;
    DELETE FROM fengling.revision AS r
    WHERE r.id > walked_to AND r.id <= up_to
      AND r.id <= CASE r.kind WHEN 'health' THEN health_to ELSE config_to END
      AND NOT EXISTS (SELECT FROM fengling.revision_change AS c WHERE c.revision = r.id);
    GET DIAGNOSTICS revisions = ROW_COUNT;
END $$;

CREATE FUNCTION fengling.prune(keep interval DEFAULT NULL, keep_health interval DEFAULT NULL,
                               OUT changes bigint, OUT revisions bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    this fengling.retention;
BEGIN
    -- Who writes the configuration must not be able to wipe away that he did.
    IF (keep < '7 days' OR keep_health < '1 hour') AND NOT pg_has_role(session_user,
        (SELECT nspowner FROM pg_namespace WHERE nspname = 'fengling'), 'MEMBER')
    THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = 'only members of the owner of schema fengling may keep the log for less '
                      'than 7 days, and that of health for less than 1 hour';
    END IF;
    SELECT * INTO this FROM fengling.retention FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'lock_not_available',
            MESSAGE = 'somebody else is shortening the log', HINT = 'try again';
    END IF;
    keep := coalesce(keep, this.keep);
    this.config_to := fengling.border(keep);
    this.health_to := fengling.border(least(keep, coalesce(keep_health, this.keep_health)));
    UPDATE fengling.retention AS t
    SET pruned_to = greatest(t.pruned_to, this.config_to, this.health_to);
    SELECT * INTO changes, revisions FROM fengling.prune_between(
        -1, greatest(this.config_to, this.health_to), this.config_to, this.health_to);
END $$;
COMMENT ON FUNCTION fengling.prune(interval, interval) IS
    'Shortens the log at once, to what fengling.retention says or to other times.';

-- A round is divided among calls, each a transaction of its own and short. Whoever calls goes on
-- where the last one has stopped.
CREATE FUNCTION fengling.prune_step() RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this fengling.retention;
    ends boolean;
    up_to bigint;
BEGIN
    SELECT * INTO this FROM fengling.retention FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND OR this.config_to IS NULL AND this.round_ended_at > now() - interval '12 hours'
    THEN
        RETURN false;
    END IF;
    IF this.config_to IS NULL THEN
        this.config_to := fengling.border(this.keep);
        this.health_to := fengling.border(least(this.keep, this.keep_health));
        this.walked_to := -1;
    END IF;
    -- Whole revisions, with some 2,000 changes.
    SELECT c.revision INTO up_to FROM fengling.revision_change AS c
    WHERE c.revision > this.walked_to ORDER BY c.revision, c.ordinal OFFSET 2000 LIMIT 1;
    ends := coalesce(up_to >= greatest(this.config_to, this.health_to), true);
    up_to := least(up_to, greatest(this.config_to, this.health_to));
    UPDATE fengling.retention AS t SET
        pruned_to = greatest(t.pruned_to, this.config_to, this.health_to),
        config_to = CASE WHEN NOT ends THEN this.config_to END,
        health_to = CASE WHEN NOT ends THEN this.health_to END,
        walked_to = up_to,
        round_ended_at = CASE WHEN ends THEN now() ELSE t.round_ended_at END;
    PERFORM fengling.prune_between(this.walked_to, up_to, this.config_to, this.health_to);
    RETURN NOT ends;
END $$;
COMMENT ON FUNCTION fengling.prune_step() IS
    'Shortens the log by a little, as fengling.retention says, and tells whether there is more '
    'to do. At most one round in twelve hours, whoever calls it and however often.';

CREATE FUNCTION fengling.end_round() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.config_to := NULL;
    NEW.health_to := NULL;
    NEW.round_ended_at := '-infinity';
    RETURN NEW;
END $$;
-- Whoever wants to keep more means it from now on.
CREATE TRIGGER end_round BEFORE UPDATE OF keep, keep_health ON fengling.retention
    FOR EACH ROW EXECUTE FUNCTION fengling.end_round();
