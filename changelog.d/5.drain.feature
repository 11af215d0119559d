A node is drained and brought back, and its workers are replaced, by `POST /api/gateway/drain` and `POST /api/gateway/restart`, and by consoles over Redis.
