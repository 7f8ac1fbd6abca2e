"""Tests of reaching the remote process."""
