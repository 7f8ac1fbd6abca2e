"""Tests of ``link/openssh_engine``."""
