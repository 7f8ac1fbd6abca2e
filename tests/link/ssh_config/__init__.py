"""Tests of ``link/ssh_config``."""
