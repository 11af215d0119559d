"""PostgreSQL and Valkey from wheels, for the quickstart and the tests."""
