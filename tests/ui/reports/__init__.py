"""Tests of what commands report."""
