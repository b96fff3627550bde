"""The parts of the documentation that come from the code itself, so that they cannot say anything else.

A page marks where such a part goes: `<!-- from the code: settings -->` … `<!-- end -->`. `python -m tools.docs` (or
`make docs`) fills all of them anew; `tests/docs/` fails when one is not as the code says.
"""
