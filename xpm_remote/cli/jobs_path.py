"""``jobs path``: the directory of a job."""

from __future__ import annotations

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.jobs_place import Where, open_place, place_options
from xpm_remote.cli.local_jobs import one_of
from xpm_remote.errors import NoJobFoundError


@click.command(
    name="path",
    epilog="Example: experimaestro jobs path xpmir.learn.learner/0a1b",
)
@click.argument("job", metavar="ID")
@place_options
@click.pass_obj
def path(context: Context, /, *, job: str, where: Where) -> None:
    """Print the directory of a job.

    ID is task/hash, which may be shortened at the end of each part; of a hash alone, four characters do.
    """
    with open_place(context, where) as place:
        found = one_of(place.find([job])[0])
        directory, is_there = place.directory(found)
    if not is_there:
        raise NoJobFoundError(f"{directory} leads to no directory", f"try `jobs recover {found}`")
    # As it is, for scripts: what is escaped would be another path. Its parts are checked; the rest is ours.
    click.echo(directory)
