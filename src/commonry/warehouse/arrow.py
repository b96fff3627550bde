"""pyarrow, which says nothing of its types, loaded when it is first needed: it takes a while, and 40 MB."""

from importlib import import_module
from typing import Any


def pyarrow() -> Any:
    """The module, with `csv` and `compute`."""
    import_module("pyarrow.csv")
    import_module("pyarrow.compute")
    return import_module("pyarrow")
