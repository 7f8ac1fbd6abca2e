"""Tests of what tables show."""
