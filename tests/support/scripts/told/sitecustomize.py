"""Hold a job of the task ``Held`` before its first line, as a slow file system does: until its gate is opened."""

import os
from pathlib import Path

gate = Path(os.environ.get("XPM_CONTROL", "/nowhere"), "gate")
if "/jobs/told_tasks.held/" in Path("/proc/self/cmdline").read_text() and gate.exists():
    gate.read_text()
    gate.unlink()
