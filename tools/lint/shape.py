"""Rules of size and name: a reader never meets a long file, a long function or a name without content."""

import ast
import re

from tools.lint.source import FUNCTIONS, Complaints, Source, last, rule

FILE_LINES, FUNCTION_LINES, HANDLER_LINES = 320, 40, 8
PAGE_LINES = 25  # a page of the website gathers what it shows from several services


@rule("file-length")
def file_length(source: Source) -> Complaints:
    if (length := len(source.lines)) > FILE_LINES:
        yield 1, f"{length} lines, at most {FILE_LINES}: make it a package of the same name and split it by subject"


@rule("function-length")
def function_length(source: Source) -> Complaints:
    if source.room == "migrations":
        return  # a migration is one long SQL statement
    for function in source.every(FUNCTIONS):
        if (length := body_lines(source, function)) > FUNCTION_LINES:
            yield function.lineno, f"{function.name}() has {length} lines, at most {FUNCTION_LINES}: take its parts out"


ROUTES = {"get", "post", "put", "patch", "delete", "head", "options", "route", "websocket"}


@rule("handler-length")
def handler_length(source: Source) -> Complaints:
    if source.room != "api":
        return
    for function in source.every(FUNCTIONS):
        decorators = {last(d.func if isinstance(d, ast.Call) else d) for d in function.decorator_list}
        most = PAGE_LINES if "web" in source.parts else HANDLER_LINES
        if decorators & ROUTES and (length := body_lines(source, function)) > most:
            advice = f"{function.name}() has {length} lines, at most {most}: parse, one call, answer"
            yield function.lineno, advice


def body_lines(source: Source, function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body that are neither docstring, blank nor only a comment."""
    body = function.body[1:] if function.body[0] in {source.parents[d] for d in source.docstrings} else function.body
    if not body:
        return 0
    code = (line.strip() for line in source.lines[body[0].lineno - 1 : function.end_lineno])
    return sum(bool(line) and not line.startswith("#") for line in code)


BANNED_MODULES = re.compile(r"(.*_)?(utils?|helpers?|managers?|common|misc|impl)|base(_.*)?")
BANNED_CLASSES = re.compile(r"Base[A-Z].*|Base|.*(Manager|Helper|Utils?|Impl)")
THE_ROLE = {"LastManager"}  # a manager is also a member who runs the community


@rule("banned-name")
def banned_name(source: Source) -> Complaints:
    for part in source.parts:
        if BANNED_MODULES.fullmatch(part.removesuffix(".py")):
            yield 1, f"`{part}` says nothing about what is inside: name it after the thing it knows"
    for node in source.every(ast.ClassDef):
        if BANNED_CLASSES.fullmatch(node.name) and node.name not in THE_ROLE:
            yield node.lineno, f"class {node.name}: name it after what it is, not after the pattern it plays"
