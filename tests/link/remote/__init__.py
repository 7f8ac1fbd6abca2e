"""Tests of ``link/remote``."""
