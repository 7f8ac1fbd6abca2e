"""Tests of ``xpm_remote.workspace.reading``."""
