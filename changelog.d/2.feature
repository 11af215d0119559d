A configuration change in PostgreSQL reaches every worker of every host within milliseconds, with no restart and no failed request. `scripts/quickstart` shows it on one machine.
