"""Tests of ``link/config``."""
