"""Tests of ``xpm_remote.workspace.orphans``."""
