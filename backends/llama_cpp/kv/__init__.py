"""Evaluated tokens: which sequence holds what, what is shared, and what is kept of conversations that had to leave."""
