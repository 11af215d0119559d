`[metrics] count_requests = false` leaves counting by route and service away.
