Nodes tell requests and errors a second, latencies, connections and when they were started, in `status` and to whoever reads their states on Redis.
