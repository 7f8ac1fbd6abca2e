"""Tests of ``xpm_remote.workspace.schedulers``."""
