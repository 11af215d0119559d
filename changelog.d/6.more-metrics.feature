Metrics tell how many instances each service has and how many of them get requests, which epoch of the config source is served, and since when each worker serves what it serves.
