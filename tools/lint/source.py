"""What a rule is given and what it yields: a source file with its syntax tree, and complaints."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

PACKAGE = "src/commonry"
Complaints = Iterator[tuple[int, str]]


@dataclass(frozen=True)
class Finding:
    """One broken rule, printed the way editors make clickable."""

    path: str
    line: int
    rule: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.rule}: {self.advice}"


@dataclass
class Source:
    """One file: `parts` is its path below src/commonry, `nodes` its tree, `docstrings` the strings that are prose."""

    parts: tuple[str, ...]
    text: str
    tree: ast.Module
    nodes: list[ast.AST] = field(init=False)
    parents: dict[ast.AST, ast.AST] = field(init=False)
    docstrings: set[ast.AST] = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = list(ast.walk(self.tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        # An expression statement that is only a string is a docstring, or a comment on the line above it.
        self.docstrings = {n.value for n in self.nodes if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def top(self) -> str:
        """The service or folder the file is in, or the name of a file directly in the package."""
        return self.parts[0].removesuffix(".py")

    @property
    def room(self) -> str:
        """Which room of its service the file is in: `store` for `users/store.py` and for `users/store/sessions.py`."""
        return self.parts[1].removesuffix(".py") if len(self.parts) > 1 else ""

    def every(self, kind: Any) -> Iterator[Any]:
        """All nodes of one kind (or of a tuple of kinds)."""
        return (n for n in self.nodes if isinstance(n, kind))

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        while node in self.parents:
            node = self.parents[node]
            yield node

    def strings(self) -> Iterator[ast.Constant]:
        """String constants that are not docstrings, pieces of f-strings included."""
        return (n for n in self.every(ast.Constant) if isinstance(n.value, str) and n not in self.docstrings)


RULES: dict[str, Callable[[Source], Complaints]] = {}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def rule(name: str) -> Callable[[Callable[[Source], Complaints]], Callable[[Source], Complaints]]:
    def register(function: Callable[[Source], Complaints]) -> Callable[[Source], Complaints]:
        RULES[name] = function
        return function

    return register


def dotted(node: ast.AST) -> str:
    """`a.b.c` for such an expression, and the outermost name of a call chain: `a().b` is `.b`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def last(node: ast.AST) -> str:
    return dotted(node).rpartition(".")[2]


def has_argument(call: ast.Call, *names: str) -> bool:
    """Whether the call states one of these arguments, or passes on a mapping that may."""
    return any(k.arg is None or k.arg in names for k in call.keywords)
