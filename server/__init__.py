"""HTTP: the OpenAI and Azure dialects, server-sent events, the error envelope.

It translates requests into calls of the engine's services and knows no tool, backend or store.
"""
