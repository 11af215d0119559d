`[issuers] ca_file` names the authorities that may have issued the certificates of who publishes keys, in place of the system's.
