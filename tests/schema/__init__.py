"""Tests of the schema, in a real database."""
