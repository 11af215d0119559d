Counters in `/metrics` are those of the host and have no label `worker` any more: they survive the restarts of workers. `fengling_worker_requests_total` tells how workers share the load.
