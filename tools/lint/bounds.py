"""Rules of who may do what: print, catch everything, reach outside, know the domain."""

import ast
import io
import re
import tokenize

from tools.lint.source import Complaints, Source, dotted, last, rule


@rule("print")
def no_print(source: Source) -> Complaints:
    if source.top not in {"cli", "__main__", "demo"}:
        for call in source.every(ast.Call):
            if dotted(call.func) == "print":
                yield call.lineno, "only the command line and the demo print: log it with structlog"


@rule("broad-except")
def broad_except(source: Source) -> Complaints:
    for node in source.every((ast.ExceptHandler, ast.Call)):
        if isinstance(node, ast.ExceptHandler):
            types = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        else:
            types = node.args if last(node.func) == "suppress" else ()
            if not types:
                continue
        if not any(t is None or dotted(t) in {"Exception", "BaseException"} for t in types):
            continue
        if source.top != "kit":
            yield node.lineno, "catch what you can answer for; only kit's loops and edges may catch everything"
        elif not any(re.search(r"#.*\bwhy:", line) for line in source.lines[node.lineno - 1 : node.lineno + 1]):
            yield node.lineno, "say on this line, or the next, why everything is caught: `# why: …`"


PURE = set(
    "__future__ abc bisect calendar collections csv dataclasses datetime decimal enum fractions functools hashlib "
    "heapq io itertools json math operator re string textwrap types typing unicodedata uuid zoneinfo".split()
)


@rule("impure-rules")
def impure_rules(source: Source) -> Complaints:
    if source.room != "rules":
        return
    own = f"commonry.{source.top}.rules"
    for node in source.every((ast.Import, ast.ImportFrom)):
        prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        for name in (prefix + alias.name for alias in node.names):
            is_ours = any(f"{name}.".startswith(f"{allowed}.") for allowed in ("commonry.contracts", own))
            if not (is_ours or name.partition(".")[0] in PURE):
                yield node.lineno, f"rules are pure: contracts' types and the pure standard library, not {name}"
    for call in source.every(ast.Call):
        if last(call.func) in {"now", "today", "utcnow", "uuid1", "uuid4", "open"}:
            yield call.lineno, f"rules are pure: what {last(call.func)}() would fetch comes in as an argument"


DOMAIN_WORD = re.compile(
    r"(?<![A-Za-z])(item|booking|reservation|payment|deposit|member|owner|borrower)s?(?![A-Za-z])", re.IGNORECASE
)
PYTHONS_OWN = re.compile(r"\.items\b|__(get|set|del)item__")  # and PostgreSQL's: OWNER TO, in capitals


@rule("domain-in-kit")
def domain_in_kit(source: Source) -> Complaints:
    if source.top != "kit":
        return
    for name in source.parts:
        yield from ((1, f"kit knows no {word}: rename {name}") for word in domain_words(name))
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type in {tokenize.NAME, tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)}:
            is_method = token.type == tokenize.NAME and token.line[: token.start[1]].endswith(".")
            for line, words in enumerate(f"{'.' * is_method}{token.string}".splitlines(), token.start[0]):
                for word in domain_words(words):
                    yield line, f"kit is mechanism and knows no {word}: move it to the service, or say it without"


def domain_words(words: str) -> list[str]:
    """Domain words in an identifier, a string or a comment, whatever its case style."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", PYTHONS_OWN.sub("", words))
    return [m[1].lower() for m in DOMAIN_WORD.finditer(split) if m[0] != "OWNER"]
