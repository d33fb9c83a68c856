"""Shipped conformance suites, one per contract, and what they are built from."""
