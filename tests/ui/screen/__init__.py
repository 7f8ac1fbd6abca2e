"""Tests of the full-screen dashboard."""
