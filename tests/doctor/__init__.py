"""Tests of a link kept alive."""
