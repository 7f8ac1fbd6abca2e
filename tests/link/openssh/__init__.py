"""Tests of ``link/openssh``."""
