"""The core: objects, run states, ports, events, context, run loop, worker, services.

Imports the standard library and pydantic, nothing else, and no other room.
"""
