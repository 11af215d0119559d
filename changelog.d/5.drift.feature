`fenglingctl diff` names who has changed, and in which revision, what was applied from files.
