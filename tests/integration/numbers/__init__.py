"""Requests of all kinds through a gateway, and who of all that count them counts what."""
