"""Options that several commands have."""

from __future__ import annotations

import click

from xpm_remote.ui.plain import Format

format_option = click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in Format]),
    default=Format.TEXT.value,
    show_default=True,
    help="What to print.",
)
"""``--format``; its value is that of a ``Format``."""

from_file_option = click.option(
    "--from-file", metavar="FILE", help="Also the ids in this file, one a line; - is stdin."
)
"""``--from-file``; ``read_texts`` reads it."""
