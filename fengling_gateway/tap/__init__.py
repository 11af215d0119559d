"""The composition roots: the only modules that touch the global reactor."""
