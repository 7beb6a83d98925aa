"""`infc ci`: workflow files for a provider, and the comment of a pull request."""

import click

from infc.cli.ci.comment import command as comment
from infc.cli.ci.init import command as init


@click.group(name="ci", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Plan on every pull request, compile on main: workflow files, and the comment that they write."""


command.add_command(init)
command.add_command(comment)
