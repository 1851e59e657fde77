"""Many turns on one context: who waits, who is at work, what each step evaluates, and what that costs."""
