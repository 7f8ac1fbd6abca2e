"""Tests of questions about single jobs."""
