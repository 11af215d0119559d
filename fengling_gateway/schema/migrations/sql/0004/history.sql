-- Finding revisions by who made them, and among those of health the others.

CREATE INDEX revision_author ON fengling.revision (author, id);
CREATE INDEX revision_config ON fengling.revision (id) WHERE kind = 'config';

-- How far back one can say what there was. pruned_to is no answer: it goes along with the log of
-- health, which is short, and of the configuration the log reaches back further.
ALTER TABLE fengling.retention ADD known_from bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN fengling.retention.known_from IS
    'The oldest revision of which the log tells all there was, health aside: who asks for an '
    'older one gets no answer.';
-- Of a log that has been shortened before, nobody wrote down how far. Revision 0 goes with the
-- first of the configuration that does.
UPDATE fengling.retention AS t
SET known_from = least(t.pruned_to, greatest(
    fengling.border(t.keep),
    (SELECT max(r.id) FROM fengling.revision AS r WHERE r.kind = 'config' AND r.changes > (
        SELECT count(*) FROM fengling.revision_change AS c WHERE c.revision = r.id)), 0))
WHERE NOT EXISTS (SELECT FROM fengling.revision WHERE id = 0);

-- As in 0001/pruning.sql, with known_from.
CREATE OR REPLACE FUNCTION fengling.prune(keep interval DEFAULT NULL,
    keep_health interval DEFAULT NULL, OUT changes bigint, OUT revisions bigint)
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
    SET pruned_to = greatest(t.pruned_to, this.config_to, this.health_to),
        known_from = greatest(t.known_from, this.config_to);
    SELECT * INTO changes, revisions FROM fengling.prune_between(
        -1, greatest(this.config_to, this.health_to), this.config_to, this.health_to);
END $$;

CREATE OR REPLACE FUNCTION fengling.prune_step() RETURNS boolean
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
        known_from = greatest(t.known_from, this.config_to),
        config_to = CASE WHEN NOT ends THEN this.config_to END,
        health_to = CASE WHEN NOT ends THEN this.health_to END,
        walked_to = up_to,
        round_ended_at = CASE WHEN ends THEN now() ELSE t.round_ended_at END;
    PERFORM fengling.prune_between(this.walked_to, up_to, this.config_to, this.health_to);
    RETURN NOT ends;
END $$;
