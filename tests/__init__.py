"""A package, so that tests can share what lies in tests.support."""
