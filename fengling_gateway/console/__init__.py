"""
The console: where the configuration is written, and all gateways are seen.

Knows no gateway from the inside: it reads and writes the database that they
read, and hears over Redis what they say of themselves.
"""
