"""Keeping model-written code from the host: how programs are confined, watched and bounded, and the proof of it."""
