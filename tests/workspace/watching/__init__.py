"""Tests of ``xpm_remote.workspace.watching``."""
