"""What the benchmark `api` is made of: its client, its loads, the servers it compares, its seeds and its plot."""
