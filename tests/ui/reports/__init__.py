"""Tests of the reports of commands."""
