`fenglingctl key create`, `list` and `revoke` look after API keys: a key is shown once and kept as a digest, in the database or, with `--yaml`, in what to paste into a file.
