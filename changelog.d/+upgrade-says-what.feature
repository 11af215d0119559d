`fenglingctl db upgrade` says what schema the database had before, or that there was nothing to upgrade.
