"""The program that serves a workspace as JSON-RPC on its stdio, here or on a remote host."""
