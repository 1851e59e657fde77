"""One module per resource. A route parses, calls one service and answers; it decides nothing."""
