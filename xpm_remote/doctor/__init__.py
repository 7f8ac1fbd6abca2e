"""The connection to a workspace examined stage by stage: each stage's verdict, facts and warnings."""
