Every answer of the management API carries an `X-Request-Id`, every problem document the same as `request_id`, and so do the log lines about it.
