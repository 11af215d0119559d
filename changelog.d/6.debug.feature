`/api/gateway/debug` says to admins what the supervisor and each worker are doing: stacks, delayed calls, selectables, garbage, memory and descriptors.
