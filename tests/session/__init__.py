"""Tests of a link that is kept alive."""
