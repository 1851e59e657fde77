"""What the benchmark `model` is made of: the bare loops, the peers, one module a row, and the plot."""
