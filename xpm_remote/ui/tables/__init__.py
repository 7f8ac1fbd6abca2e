"""What a table shows: rows in their order, filtered, grouped and marked, and how wide its columns are."""
