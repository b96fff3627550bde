"""Things of one's own."""

from uuid import UUID

from commonry.contracts.inventory import Item
from commonry.kit.problems import NotAllowed
from commonry.web.visit import Visit


async def own(visit: Visit, item_id: UUID) -> Item:
    """The item, for its owner or a manager. Raises `NotSignedIn`, `NotFound`, `NotAllowed`."""
    caller = visit.signed_in()
    item = await visit.ask("inventory", "GET", f"/api/v1/items/{item_id}", Item)
    if item.owner_id != caller.id and not caller.manages:
        raise NotAllowed("This is somebody else's thing.")
    return item
