"""Finding the jobs that no run refers to, and removing them."""
