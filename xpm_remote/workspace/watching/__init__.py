"""Learning of changes while they happen: directories, job folders, logs."""
