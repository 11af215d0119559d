A route or an instance can be switched off on all gateways within milliseconds, beside the configuration and with PostgreSQL down.
