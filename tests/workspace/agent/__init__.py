"""Tests of ``xpm_remote.workspace.agent``."""
