Gateways shorten the log of changes by themselves, as the table `fengling.retention` says: after a
year, and after a day for health. No writer waits for that any more, and none can have the last 7
days wiped.
