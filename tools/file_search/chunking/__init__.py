"""From a text to the chunks that are indexed, in the tokens of the embedding model."""
