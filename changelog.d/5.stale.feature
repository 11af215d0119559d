What a console has reported of instances counts no more when nobody has probed them for `[health] stale_after` (60 s); `status`, the log and `fengling_health_stale` say so.
