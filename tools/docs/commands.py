"""What each command of `commonry` says when it is asked for `--help`."""

import click

from commonry.cli.program import commonry

WIDTH = 100


def help_of_each() -> str:
    """The program's help, then each command's."""
    top = click.Context(commonry, info_name="commonry", max_content_width=WIDTH, terminal_width=WIDTH)
    named = [(name, commonry.get_command(top, name)) for name in commonry.list_commands(top)]
    parts = [_part("commonry", commonry, top)]
    for name, command in named:
        parts += _with_its_own(f"commonry {name}", command, _below(top, name, command)) if command else []
    return "\n\n".join(parts)


def _with_its_own(title: str, command: click.Command, context: click.Context) -> list[str]:
    """A command's help; then that of each command it has."""
    own = command.commands.items() if isinstance(command, click.Group) else ()
    return [
        _part(title, command, context),
        *(_part(f"{title} {name}", inner, _below(context, name, inner)) for name, inner in own),
    ]


def _below(top: click.Context, name: str, command: click.Command) -> click.Context:
    return click.Context(command, info_name=name, parent=top, max_content_width=WIDTH, terminal_width=WIDTH)


def _part(title: str, command: click.Command, context: click.Context) -> str:
    lines = (line.rstrip() for line in command.get_help(context).splitlines())
    return f"### {title}\n\n```text\n" + "\n".join(lines) + "\n```"
