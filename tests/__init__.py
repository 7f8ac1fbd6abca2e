"""The tests; their tree mirrors that of the source, and ``support`` holds what they stand on."""
