CREATE VIEW fengling.status AS
SELECT h.revision AS newest_revision, h.baseline_revision AS served_revision, h.routes,
       h.committed_at AS changed_at,
       (SELECT format('revision %s removes %s of %s routes; confirm with fengling.confirm(%s)',
                      r.id, r.baseline_routes - r.routes, r.baseline_routes, r.id)
        FROM fengling.revision AS r
        WHERE r.held AND NOT r.forced AND r.id > h.baseline_revision
        ORDER BY r.id LIMIT 1) AS held
FROM fengling.head AS h;
COMMENT ON VIEW fengling.status IS 'What is newest, what gateways serve, and what is held.';

CREATE VIEW fengling.history AS
SELECT r.id AS revision, r.committed_at, r.author, r.application, r.comment,
       (SELECT string_agg(format('%s %s %s', c.action, c.entity, c.entity_id), ', '
                          ORDER BY c.ordinal)
        FROM fengling.revision_change AS c WHERE c.revision = r.id AND c.ordinal <= 5)
       || CASE WHEN r.changes > 5 THEN format(' and %s more', r.changes - 5) ELSE '' END AS changes
FROM fengling.revision AS r WHERE r.kind = 'config'
ORDER BY r.id DESC;
COMMENT ON VIEW fengling.history IS 'Who changed what, when and why; newest first.';

-- A policy is replaced as a whole by the next level, and switched off by null.
CREATE VIEW fengling.effective_policies AS
WITH defaults AS (
    SELECT coalesce((SELECT value FROM fengling.setting WHERE key = 'defaults'), '{}') AS policies
), target AS (
    SELECT id AS route_id, service_id, policies FROM fengling.route WHERE split IS NULL
    UNION ALL
    SELECT id, jsonb_object_keys(split), policies FROM fengling.route
    WHERE jsonb_typeof(split) = 'object'
)
SELECT t.route_id, t.service_id, (
    SELECT coalesce(jsonb_object_agg(p.key, p.value), '{}')
    FROM jsonb_each(d.policies || coalesce(s.policies, '{}') || t.policies) AS p
    WHERE p.value <> 'null') AS policies
FROM target AS t CROSS JOIN defaults AS d LEFT JOIN fengling.service AS s ON s.id = t.service_id;
COMMENT ON VIEW fengling.effective_policies IS
    'What holds for each route and each service that it leads to: defaults || service || route.';
