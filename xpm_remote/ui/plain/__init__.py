"""The line mode: numbered lines and a prompt, for screen readers, Braille lines and terminals that only print."""
