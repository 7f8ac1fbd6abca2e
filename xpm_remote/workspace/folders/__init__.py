"""Archiving jobs into the folders of a workspace and restoring them, so that at no moment the only copy is partial."""
