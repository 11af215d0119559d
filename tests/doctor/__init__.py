"""Tests of fengling_gateway.doctor; with real servers they are in tests/integration."""
