"""Tests of the settings: one module for each source module, the page's examples, fuzzing, and the peer."""
