"""Grammars (GBNF) for what a model may write. Pure Python: a request can be checked where no model is loaded."""
