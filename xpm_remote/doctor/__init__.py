"""Examining the connection to a workspace stage by stage: each stage's verdict, facts and warnings."""
