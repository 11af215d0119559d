`fenglingctl apply`, `diff` and `export` take `--selector label=value` for a part of the configuration, and `apply --dry-run` shows the plan as a table.
