"""Tests of ``link/library``."""
