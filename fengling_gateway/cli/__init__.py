"""fenglingctl: what operators and their scripts type.

Exit statuses: 0 it is done, or so; 1 it is not so (differences, rejected
entities, workers that are behind); 2 it could not be done. Results go to
stdout, everything else to stderr.
"""
