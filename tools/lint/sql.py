"""Rules of SQL: written whole and by hand, columns named."""

import ast
import re

from tools.lint.source import FUNCTIONS, Complaints, Source, dotted, last, rule

SQL = re.compile(
    r"(\s|--.*\n)*(SELECT|INSERT INTO|UPDATE|DELETE FROM|MERGE INTO|WITH|CREATE|ALTER|DROP|TRUNCATE|GRANT|REVOKE"
    r"|REINDEX|ANALYZE|COMMENT ON|REFRESH|COPY|LOCK|SET|CALL|DO|LISTEN|NOTIFY|VACUUM)\b"
)
EXECUTING_METHODS = {"execute", "executemany", "exec_driver_sql", "copy", "stream"}
EXECUTING_FUNCTIONS = {"one", "many", "value", "values", "run", "run_many"}  # kit.db


@rule("sql-built")
def sql_built(source: Source) -> Complaints:
    advice = "SQL put together from strings: write it whole, with %(named)s parameters; names that vary: sql.Identifier"
    inside: set[ast.AST] = set()
    for node in source.every(ast.expr):
        if node in inside or (pieces := built(node)) is None or is_constant(source, node):
            continue
        if SQL.match(pieces) or is_executed(source, node):
            inside |= set(ast.walk(node))
            yield node.lineno, advice


CONSTANT = (ast.JoinedStr, ast.FormattedValue, ast.BinOp, ast.operator, ast.Constant, ast.Name, ast.expr_context)


def is_constant(source: Source, node: ast.AST) -> bool:
    """Whether a string is put together once, at import, from literals and CONSTANTS (pyright checks these)."""
    parts = list(ast.walk(node))
    in_module = not any(isinstance(above, (*FUNCTIONS, ast.Lambda)) for above in source.ancestors(node))
    return in_module and all(isinstance(p, CONSTANT) and (not isinstance(p, ast.Name) or p.id.isupper()) for p in parts)


def built(node: ast.AST) -> str | None:
    """The constant text of a string made at run time (f-string, +, %, format, join); None for anything else."""
    match node:
        case ast.JoinedStr() if any(isinstance(v, ast.FormattedValue) for v in node.values):
            return "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
        case ast.BinOp(op=ast.Add()):
            sides = [(text(side), built(side)) for side in (node.left, node.right)]
            if all(known is not None for known, _ in sides) or all(known is made is None for known, made in sides):
                return None
            return "".join(made if known is None and made is not None else known or "" for known, made in sides)
        case ast.BinOp(op=ast.Mod(), left=left):
            return text(left)
        case ast.Call(func=ast.Attribute(value=value, attr="format" | "join" | "format_map")):
            return text(value)
    return None


def text(node: ast.AST) -> str | None:
    """A string constant's text, literals joined by + included."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            parts = [text(left), text(right)]
            return None if None in parts else "".join(map(str, parts))
    return None


def is_executed(source: Source, node: ast.AST) -> bool:
    call = source.parents.get(node)
    if not isinstance(call, ast.Call) or node is call.func:
        return False
    name = dotted(call.func)
    return last(call.func) in EXECUTING_METHODS or name.removeprefix("db.") in EXECUTING_FUNCTIONS


STAR = re.compile(r"\b(SELECT|RETURNING)\s+((ALL\s+|DISTINCT\s+)?(\w+\.)?\*|[^;]*,\s*\w+\.\*)", re.IGNORECASE)
STAR_ADVICE = "name the columns: `*` changes its meaning with the table, and breaks the release that is still running"


@rule("sql-star")
def sql_star(source: Source) -> Complaints:
    for node in source.strings():
        if STAR.search(str(node.value)):
            yield node.lineno, STAR_ADVICE
