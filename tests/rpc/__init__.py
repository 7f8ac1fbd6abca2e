"""Tests of talking to the remote side."""
