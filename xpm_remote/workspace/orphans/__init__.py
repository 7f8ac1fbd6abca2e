"""Jobs that no run refers to: which they are, and how they are removed."""
