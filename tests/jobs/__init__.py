"""Tests of operations on jobs."""
