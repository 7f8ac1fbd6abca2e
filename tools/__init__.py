"""What development needs beside the package: its measures, and which of its modules are pure."""
