"""The tests; their tree mirrors that of the source, and ``support`` holds their servers, fakes and helpers."""
