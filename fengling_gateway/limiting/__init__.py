"""How much one may ask for: rates and requests at a time, counted by key.

Pure: the time is passed in, and what other workers have counted is, too.
"""
