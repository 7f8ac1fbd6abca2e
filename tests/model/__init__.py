"""Tests of what the remote knows."""
