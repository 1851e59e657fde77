"""The parts of the benchmark `load`."""
