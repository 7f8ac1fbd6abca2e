"""Tests of the model of a workspace."""
