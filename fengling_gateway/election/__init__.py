"""
Which console of all does what only one may do, chosen by PostgreSQL.

`Candidate` stands for election in a thread, `Election` is its side of the reactor, and a `Seat` says
what it is about. What is done in a term is the business of whoever stands.
"""
