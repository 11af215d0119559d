"""
How people sign in to a console, and what their browsers hold then.

A session is a token in a cookie, signed by the keys of the management API: every
console that has them knows it. Only what is over before its time is in the database.
"""
