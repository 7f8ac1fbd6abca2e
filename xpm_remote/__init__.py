"""Watch experimaestro jobs on a cluster from the laptop, over SSH.

The public names, each imported from where it lives when it is first used::

    settings = load_settings(default_settings_path(os.environ, Path.home()), os.environ, Path.home())
    monitor = Monitor(resolve_target(settings, "my-cluster", Overrides()))
    await monitor.snapshot()
    print([job.key for job in monitor.store.jobs.values() if job.state is State.ERROR])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xpm_remote.errors import ExitCode, XpmRemoteError
    from xpm_remote.model.entities import (
        Counts,
        Experiment,
        ExperimentChange,
        Job,
        JobChange,
        Service,
    )
    from xpm_remote.model.store import Store
    from xpm_remote.session.fleet import Fleet
    from xpm_remote.session.monitor import Monitor
    from xpm_remote.session.state import LinkState, Phase, Picture, Update
    from xpm_remote.session.target import Overrides, Target, resolve_target
    from xpm_remote.settings.reader import default_settings_path, load_settings
    from xpm_remote.settings.schema import Settings
    from xpm_remote.workspace.states import Progress, State

__version__ = "0.1.0"

__all__ = [
    "Counts",
    "ExitCode",
    "Experiment",
    "ExperimentChange",
    "Fleet",
    "Job",
    "JobChange",
    "LinkState",
    "Monitor",
    "Overrides",
    "Phase",
    "Picture",
    "Progress",
    "Service",
    "Settings",
    "State",
    "Store",
    "Target",
    "Update",
    "XpmRemoteError",
    "__version__",
    "default_settings_path",
    "load_settings",
    "resolve_target",
]

_HOMES = {
    "errors": ("ExitCode", "XpmRemoteError"),
    "model.entities": ("Counts", "Experiment", "ExperimentChange", "Job", "JobChange", "Service"),
    "model.store": ("Store",),
    "session.fleet": ("Fleet",),
    "session.monitor": ("Monitor",),
    "session.state": ("LinkState", "Phase", "Picture", "Update"),
    "session.target": ("Overrides", "Target", "resolve_target"),
    "settings.reader": ("default_settings_path", "load_settings"),
    "settings.schema": ("Settings",),
    "workspace.states": ("Progress", "State"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    # Importing everything would cost each command line the SSH library.
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
