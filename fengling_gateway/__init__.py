"""Fengling Gateway: an HTTP API gateway whose configuration lives in PostgreSQL."""

__version__ = "0.1.0"
