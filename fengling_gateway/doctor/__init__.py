"""
What ``fenglingctl doctor`` looks at, and what it makes of it.

Each module looks at one thing and yields `fengling_gateway.doctor.finding.Finding`s.
Nothing here changes anything that outlives the look: no table is written, no key of
Redis set, and every wait has a deadline. What is said on channels for a proof means
nothing to who hears it. What a gateway finds out by itself is in its status; here
that is only put into words.
"""
