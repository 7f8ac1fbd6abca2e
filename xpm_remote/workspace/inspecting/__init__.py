"""Questions about single jobs: why they failed, parts of their logs, all that is known of one. Writes nothing."""
