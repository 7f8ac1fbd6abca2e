"""Tests of ``xpm_remote.workspace.folders``."""
