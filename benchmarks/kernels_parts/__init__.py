"""The parts of the benchmark of kernels."""
