"""Tests of the workspace engine."""
