"""`infc completion`: the script that teaches a shell infc's commands and options."""

import click

from infc.cli.edge import OK

SHELLS = ("bash", "zsh", "fish")


@click.command(name="completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.option("--format", "format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(shell: str, format: str) -> int:
    r"""Print the completion script of a shell.

    \b
    Install it with:
      bash  infc completion bash > ~/.local/share/bash-completion/completions/infc
      zsh   infc completion zsh > ~/.zfunc/_infc   (with fpath+=~/.zfunc before compinit)
      fish  infc completion fish > ~/.config/fish/completions/infc.fish
    """
    from click.shell_completion import get_completion_class

    from infc.cli import app

    completion_class = get_completion_class(shell)
    if completion_class is None:
        raise click.UsageError(f"no completion for {shell}")
    completion = completion_class(app, {}, "infc", "_INFC_COMPLETE")
    # Not `source()`: for bash it starts bash to look at its version, and complains on stderr where there is none.
    script = completion.source_template % completion.source_vars()
    if format == "json":
        from infc.report.made_json import completion_json

        script = completion_json(shell=shell, script=script)
    click.echo(script)
    return OK
