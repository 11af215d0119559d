"""
Changing the configuration: what is there, what would change, what is odd about it, and writing it.

For whoever writes: the command line and the console. A plan is made of what was
read a moment ago and written only if that is still so.
"""
