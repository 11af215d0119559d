`fenglingctl support-bundle` writes what somebody needs who is to help into one file, without secrets: status, configuration, revisions, doctor's findings, settings, versions and the log.
