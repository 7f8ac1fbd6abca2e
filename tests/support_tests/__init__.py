"""Tests of the test support itself: what lies there must not be what fails."""
