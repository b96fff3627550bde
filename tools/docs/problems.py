"""Every problem type: its slug, its status, and what its docstring says."""

from commonry.contracts import problems as _all  # noqa: F401 why: a problem is known once its class is made
from commonry.kit.problems import Problem


def paragraphs() -> str:
    """One paragraph a type, by status."""
    kinds = sorted(Problem.known.values(), key=lambda kind: (kind.status, kind.slug))
    return "\n\n".join(f"### {kind.slug}\n\n**{kind.status}** · {_words(kind)}" for kind in kinds)


def _words(kind: type[Problem]) -> str:
    return " ".join((kind.__doc__ or "").split())
