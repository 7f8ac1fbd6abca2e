"""Speed, measured as ratios to the peer in one run: ``make bench``."""
