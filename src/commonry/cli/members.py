"""Members, from the command line: `promote` makes the first manager, whom nobody else could appoint."""

from pathlib import Path

import click

from commonry.cli.trouble import Trouble, plainly


@click.command(epilog="Example: commonry promote ada@example.org")
@click.argument("email")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Folder of the embedded database.")
def promote(email: str, data: Path | None) -> None:
    """Make a member a manager, whether the platform runs or not."""
    import asyncio

    from commonry.cli.storage import databases
    from commonry.contracts.settings import Settings
    from commonry.kit import migrate
    from commonry.kit.settings import load

    with plainly():
        with databases(load(Settings, data=data and str(data))) as known:
            migrate.current(known.database("users"))  # whoever is away says so at once
            done = asyncio.run(made_manager(known.database("users"), email))
        if not done:
            raise Trouble(f"There is no active member {email}: register first, then promote.")
    click.echo(f"{email} is a manager now.")


async def made_manager(url: str, email: str) -> bool:
    """Whether the member with this address could be made a manager."""
    from commonry.kit.db import Database
    from commonry.users.store import members

    db = Database(url, name="users", size=1)
    await db.open()
    try:
        async with db.tx() as tx:
            return await members.promote(tx, email)
    finally:
        await db.close()
