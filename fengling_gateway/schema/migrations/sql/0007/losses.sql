-- What the cluster has no more is judged before anything is written of it, and once more where nobody
-- can commit in between: to force a revision is to confirm those before it, too, which may be somebody
-- else's by then.

CREATE FUNCTION fengling.confirm_loss(
    confirmed integer, unconfirmed integer, made integer, lately integer)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head fengling.head := fengling.wait_for_head();
BEGIN
    -- (Somebody else's held revision does not count as the cluster's: what there is does.)
    IF unconfirmed > 0 AND fengling.removes_too_much(
            head.routes - confirmed - unconfirmed + made, head.routes - confirmed + lately,
            head.baseline_revision) THEN
        RETURN false;
    END IF;
    IF confirmed > 0 AND head.revision = head.baseline_revision THEN
        PERFORM set_config('fengling.force', 'on', true);
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION fengling.confirm_loss(integer, integer, integer, integer) IS
    'Right before COMMIT: lets enabled routes go that somebody has confirmed, where all is served; '
    'false: with those that nobody has confirmed it has become too much.';
