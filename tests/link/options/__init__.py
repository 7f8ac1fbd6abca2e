"""Tests of ``link/options``."""
