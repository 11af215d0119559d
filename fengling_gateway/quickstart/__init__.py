"""What scripts/quickstart runs: a whole gateway on this machine, with a story to tell."""
