"""Archiving jobs into the folders of a workspace and restoring them; at no moment is the only copy partial."""
