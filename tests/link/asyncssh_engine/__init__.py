"""Tests of ``link/asyncssh_engine``."""
