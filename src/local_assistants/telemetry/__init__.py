"""What an operator's own tools are told of runs: log lines that programs can read, and OpenTelemetry spans.

It listens to the engine (`engine.observer`) and changes nothing there. Figures for Prometheus are the server's own
(`server/metrics.py`). Nothing is sent anywhere unless a setting names the place.
"""
