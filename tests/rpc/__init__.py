"""Tests of the protocol and its client."""
