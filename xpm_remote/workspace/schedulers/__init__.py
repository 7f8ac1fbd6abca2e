"""Schedulers that run jobs elsewhere: what they have of a job, and cancelling it; asked only before kill and clean."""
