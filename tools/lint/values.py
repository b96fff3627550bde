"""Rules of time, money and patience: zones, whole minor units, and nothing that waits for ever."""

import ast
import re
from collections.abc import Iterator

from tools.lint.source import FUNCTIONS, Complaints, Source, dotted, has_argument, last, rule

NAIVE = {"datetime.utcnow", "datetime.utcfromtimestamp", "datetime.today", "date.today"}


@rule("naive-time")
def naive_time(source: Source) -> Complaints:
    for call in source.every(ast.Call):
        name = dotted(call.func)
        tail = ".".join(name.split(".")[-2:])
        told = bool(call.args or call.keywords)
        if tail in NAIVE or (tail == "datetime.now" and not told):
            yield call.lineno, f"{tail}() knows no zone: kit.clock.now(), or datetime.now(UTC) inside kit"
        elif tail == "datetime.fromtimestamp" and len(call.args) < 2 and not has_argument(call, "tz"):
            yield call.lineno, "fromtimestamp() without a zone: pass UTC"


PRICED = re.compile(r"price|amount|fee|refund|deposit|total|money|quote|charge|payout|cost|ledger|balance|share|captur")
NOT_MONEY = re.compile(
    r"timeout|seconds|minutes|hours|delay|interval|every|wait|ttl|lease|patience|jitter|sleep", re.IGNORECASE
)


@rule("float-money")
def float_money(source: Source) -> Complaints:
    advice = "money is whole minor units: int, `//` and one rounding per line (half up), never float or `/`"
    for node in money_code(source):
        match node:
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield node.lineno, advice
            case ast.Constant(value=float()) | ast.Name(id="float") if not counts_seconds(source, node):
                yield node.lineno, advice


def money_code(source: Source) -> Iterator[ast.AST]:
    """All of payments and of the type Money; elsewhere the rules whose name speaks of money."""
    if source.top == "payments" or source.parts == ("contracts", "money.py"):
        yield from source.nodes
    elif source.room == "rules":
        for function in source.every(FUNCTIONS):
            if PRICED.search(function.name):
                yield from ast.walk(function)


def counts_seconds(source: Source, node: ast.AST) -> bool:
    """Whether a float is stated as a time: `timeout=0.5`, `patience: float = 3.0`, `sleep(0.1)`."""
    for above in source.ancestors(node):
        match above:
            case ast.keyword(arg=str(name)) | ast.arg(arg=name):
                return bool(NOT_MONEY.search(name))
            case ast.AnnAssign(target=target) | ast.Assign(targets=[target]):
                return bool(NOT_MONEY.search(dotted(target)))
            case ast.Call(func=function):
                return bool(NOT_MONEY.search(dotted(function)))
            case ast.BinOp(left=left, right=right) if NOT_MONEY.search(f"{dotted(left)} {dotted(right)}"):
                return True
            case ast.arguments():
                named = zip(reversed(above.posonlyargs + above.args), reversed(above.defaults), strict=False)
                defaults = [*named, *zip(above.kwonlyargs, above.kw_defaults, strict=True)]
                return any(NOT_MONEY.search(arg.arg) for arg, default in defaults if default is node)
            case ast.stmt():
                return False
            case _:
                pass
    return False


# What must be told how long to wait, and the argument that tells it.
PATIENCE = {
    name: argument
    for argument, names in {
        "timeout": "ClientSession AsyncConnectionPool ConnectionPool urlopen HTTPConnection HTTPSConnection SMTP "
        "SMTP_SSL socket.create_connection aiosmtplib.send",
        "connect_timeout": "psycopg.connect AsyncConnection.connect Connection.connect",
        "request_timeout": "GlideClientConfiguration GlideClusterClientConfiguration",
    }.items()
    for name in names.split()
}
NEEDS_A_FRAME = {"open_connection", "open_unix_connection"}
FRAMES = {"timeout", "timeout_at", "wait_for"}


@rule("no-timeout")
def no_timeout(source: Source) -> Complaints:
    for call in source.every(ast.Call):
        name = dotted(call.func)
        argument = PATIENCE.get(last(call.func)) or PATIENCE.get(".".join(name.split(".")[-2:]))
        if argument and not has_argument(call, argument):
            yield call.lineno, f"{name}() may wait for ever: pass {argument}="
        elif last(call.func) in NEEDS_A_FRAME and not any(map(is_frame, source.ancestors(call))):
            yield call.lineno, f"{name}() may wait for ever: put it inside `async with asyncio.timeout(…)`"


def is_frame(node: ast.AST) -> bool:
    match node:
        case ast.AsyncWith(items=items):
            return any(isinstance(i.context_expr, ast.Call) and last(i.context_expr.func) in FRAMES for i in items)
        case ast.Call(func=function):
            return last(function) in FRAMES
    return False
