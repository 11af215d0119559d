-- The demo's configuration. Run it again to have it back as it was:
--   psql -f .quickstart/demo.sql
-- {name} stands for what only a running quickstart knows.

BEGIN;
SET LOCAL fengling.comment = 'the demo';

DELETE FROM fengling.setting;
DELETE FROM fengling.instance_health;

DELETE FROM fengling.service WHERE id NOT IN ('hello-v1', 'hello-v2', 'orders');
INSERT INTO fengling.service (id, name) VALUES
    ('hello-v1', 'Says hello'),
    ('hello-v2', 'Says hello, newly'),
    ('orders', 'Knows about orders')
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name, enabled = DEFAULT, balancing = DEFAULT, protocol = DEFAULT,
    host_header = DEFAULT, connect_timeout = DEFAULT, first_byte_timeout = DEFAULT,
    idle_timeout = DEFAULT, tenant_spill = DEFAULT, health_check = DEFAULT, affinity = DEFAULT,
    tls = DEFAULT, policies = DEFAULT, labels = DEFAULT, managed_by = DEFAULT;

DELETE FROM fengling.instance WHERE id NOT IN ('hello-v1-a', 'hello-v1-b', 'hello-v2-a', 'orders-a');
INSERT INTO fengling.instance (id, service_id, address) VALUES
    ('hello-v1-a', 'hello-v1', '{hello-v1-a}'),
    ('hello-v1-b', 'hello-v1', '{hello-v1-b}'),
    ('hello-v2-a', 'hello-v2', '{hello-v2-a}'),
    ('orders-a', 'orders', '{orders-a}')
ON CONFLICT (id) DO UPDATE SET
    service_id = excluded.service_id, tenant_id = DEFAULT, address = excluded.address,
    weight = DEFAULT, state = DEFAULT, zone = DEFAULT, labels = DEFAULT, managed_by = DEFAULT;

DELETE FROM fengling.route WHERE id NOT IN ('hello', 'orders', 'about', 'old-hello');
INSERT INTO fengling.route (id, path, service_id, split, redirect, respond, policies) VALUES
    ('hello', '/hello', NULL, '{"hello-v1": 100}', NULL, NULL, '{}'),
    ('orders', '/api/orders/{**rest}', 'orders', NULL, NULL, NULL, '{"path": {"strip": "/api"}}'),
    ('about', '/about', NULL, NULL, NULL,
        '{"status": 200, "headers": {"Content-Type": "text/plain"}, "body": "A gateway\n"}', '{}'),
    ('old-hello', '/hi', NULL, NULL, '{"status": 301, "location": "/hello{query}"}', NULL, '{}')
ON CONFLICT (id) DO UPDATE SET
    tenant_id = DEFAULT, enabled = DEFAULT, priority = DEFAULT, hosts = DEFAULT,
    path = excluded.path, methods = DEFAULT, match = DEFAULT, service_id = excluded.service_id,
    split = excluded.split, redirect = excluded.redirect, respond = excluded.respond,
    policies = excluded.policies, valid_from = DEFAULT, valid_to = DEFAULT, labels = DEFAULT,
    managed_by = DEFAULT;

DELETE FROM fengling.tenant;

COMMIT;
