"""What the gateway costs a request, beside nginx and HAProxy doing the same, in one run.

Contenders take turns, round after round; figures are medians over the rounds, ratios are medians of each round's ratio.
The load (wrk) is never counted. `own` is the proxy's processes, `all` adds what is behind them: near and far can only
be compared by `all`, since near the service is in the gateway's process. Behind GETs is a small service (`_upstream`),
behind writes a whole platform with PostgreSQL.

For less than everything, which is then shown but not kept: `BENCH_PARTS=get,cached,write`, `BENCH_QUICK=1` (few and
short rounds), `BENCH_PROFILE=1` (also where our far gateway spends its time, by py-spy). `BENCH_PYTHON=own`: see
`_python`.
"""

import json
import os
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks import _load, _plot, _profile, _proxies
from benchmarks._contenders import Contender, before_one_service, before_platforms
from benchmarks._running import cpu_seconds
from benchmarks._upstream import SIZE

PARTS = ("get", "cached", "write")
FEW, MANY = 16, 64
KEYS = 10_000
TITLES = {
    "get": "proxied GET of 2 kB",
    "cached": "cached GET of 2 kB",
    "cached_10000": "cached GET, over 10,000 keys",
    "write": "PATCH of an item, token checked",
}
LABELS = {
    "far": "Commonry, gateway alone",
    "far_2_workers": "Commonry, 2 gateways",
    "near": "Commonry, all in one",
    "nginx": "nginx",
    "nginx_cache": "nginx proxy_cache",
    "haproxy": "HAProxy",
    "haproxy_cache": "HAProxy cache",
}
RATIOS = {
    "far_get_vs_nginx": (("get", FEW, "far"), ("get", FEW, "nginx"), "own"),
    "near_get_vs_far": (("get", FEW, "near"), ("get", FEW, "far"), "all"),
    "cached_get_vs_nginx_cache": (("cached", FEW, "far"), ("cached", FEW, "nginx_cache"), "own"),
    "workers_2_vs_1": (("get", MANY, "far_2_workers"), ("get", MANY, "far"), "own"),
}
MORE_RATIOS = {
    "far_get_vs_nginx_64": (("get", MANY, "far"), ("get", MANY, "nginx"), "own"),
    "far_get_vs_haproxy": (("get", FEW, "far"), ("get", FEW, "haproxy"), "own"),
    "cached_get_vs_nginx_cache_64": (("cached", MANY, "far"), ("cached", MANY, "nginx_cache"), "own"),
    "keys_10000_vs_1": (("cached_10000", MANY, "far"), ("cached", MANY, "far"), "own"),
    "keys_10000_vs_1_nginx": (("cached_10000", MANY, "nginx_cache"), ("cached", MANY, "nginx_cache"), "own"),
    "far_write_vs_nginx": (("write", FEW, "far"), ("write", FEW, "nginx"), "all"),
    "near_write_vs_far": (("write", FEW, "near"), ("write", FEW, "far"), "all"),
}
"""What is compared with what, and which processes of both are counted."""
PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "gateway-bench.svg"


class Trial(NamedTuple):
    """One thing to be measured."""

    case: str
    contender: Contender
    requests: Path
    connections: int


class Sample(NamedTuple):
    """What one round of a trial came to: answers, processor seconds, and how often the service behind was asked."""

    answers: _load.Answers
    own: float
    all: float
    asked: int


Samples = dict[tuple[str, int, str], list[Sample]]
"""By case, connections and contender."""


async def measure() -> dict[str, Any]:
    """CPU per request of every contender, ratios and throughput; nothing when only a part was asked for."""
    _proxies.check_tools()
    quick, profiled = (bool(os.environ.get(f"BENCH_{name}")) for name in ("QUICK", "PROFILE"))
    parts = os.environ.get("BENCH_PARTS", ",".join(PARTS)).split(",")
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"BENCH_PARTS has {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    rounds, seconds = (2, 1) if quick else (5, 2)
    samples: Samples = {}
    result: dict[str, Any] = {"rounds": rounds, "seconds_a_round": seconds, "programs": _proxies.versions()}
    with tempfile.TemporaryDirectory(prefix="commonry-bench-") as name:
        folder = Path(name)
        with before_one_service(folder) as contenders:
            _check_answers(contenders.values())
            for part in (p for p in READING if p in parts):
                samples |= _measured(READING[part](contenders, folder), rounds, seconds)
            if profiled:
                result["profile"] = _profile.top_costs(contenders["far"], _walk(folder, "u", 1000))
        if "write" in parts:
            async with before_platforms(folder) as writing:
                trials = [Trial("write", contender, requests, FEW) for contender, requests in writing.items()]
                samples |= _measured(trials, rounds, seconds)
    result |= {"cases": _cases(samples)} | _compared(samples)
    _show(result)
    if quick or set(parts) != set(PARTS):
        return {}
    _draw(result["cases"])
    return result


def _check_answers(contenders: Iterable[Contender]) -> None:
    """wrk looks at statuses only: see that every contender passes whole answers on."""
    for contender in contenders:
        for item in ("u0", "c0", "c0"):
            with urllib.request.urlopen(f"{contender.url}/api/v1/items/{item}", timeout=10) as answer:
                if json.load(answer)["id"] != item or int(answer.headers["content-length"]) != SIZE:
                    sys.exit(f"{LABELS[contender.name]} does not pass on what the service answers")


def _proxied(contenders: Mapping[str, Contender], folder: Path) -> list[Trial]:
    requests = _walk(folder, "u", 1000)
    few = [Trial("get", contenders[n], requests, FEW) for n in ("far", "near", "nginx", "haproxy")]
    return few + [Trial("get", contenders[n], requests, MANY) for n in ("far", "far_2_workers", "nginx")]


def _cached(contenders: Mapping[str, Contender], folder: Path) -> list[Trial]:
    one, every = _walk(folder, "c", 1), _walk(folder, "c", KEYS)
    few = [Trial("cached", contenders[n], one, FEW) for n in ("far", "near", "nginx_cache", "haproxy_cache")]
    many = [Trial("cached", contenders[n], one, MANY) for n in ("far", "nginx_cache")]
    return few + many + [Trial("cached_10000", contenders[n], every, MANY) for n in ("far", "nginx_cache")]


READING = {"get": _proxied, "cached": _cached}


def _walk(folder: Path, kind: str, count: int) -> Path:
    return _load.keep(folder / f"{kind}{count}", (_load.get(f"/api/v1/items/{kind}{n}") for n in range(count)))


def _measured(trials: Sequence[Trial], rounds: int, seconds: int) -> Samples:
    """All trials in turn, `rounds` times, after a warm-up each: a longer one where a cache has many keys to fill."""
    samples: Samples = {}
    for trial in {(t.case, t.contender.name): t for t in trials}.values():
        _once(trial, 5 if trial.case == "cached_10000" else 1)
    for _ in range(rounds):
        for trial in trials:
            key = (trial.case, trial.connections, trial.contender.name)
            samples.setdefault(key, []).append(_once(trial, seconds))
    return samples


def _once(trial: Trial, seconds: int) -> Sample:
    contender, is_cached = trial.contender, trial.case.startswith("cached")
    asked = _asked(contender) if is_cached else 0
    own, behind = cpu_seconds(contender.own), cpu_seconds(contender.behind)
    try:
        answers = _load.send(contender.url, trial.requests, trial.connections, seconds)
    except _load.LoadFailed as e:
        sys.exit(f"{TITLES[trial.case]}, {LABELS[contender.name]}: {e}")
    own, behind = cpu_seconds(contender.own) - own, cpu_seconds(contender.behind) - behind
    return Sample(answers, own, own + behind, _asked(contender) - asked if is_cached else answers.requests)


def _asked(contender: Contender) -> int:
    with urllib.request.urlopen(f"{contender.url}/api/v1/items/n", timeout=10) as answer:
        return int(answer.read())


def _cases(samples: Samples) -> dict[str, Any]:
    """Medians by case, connections and contender."""
    cases: dict[str, Any] = {}
    for (case, connections, name), found in samples.items():
        cases.setdefault(case, {}).setdefault(str(connections), {})[name] = _medians(found)
    return cases


def _medians(found: Sequence[Sample]) -> dict[str, float]:
    figures = {
        "cpu_us_own": [s.own / s.answers.requests * 1e6 for s in found],
        "cpu_us_all": [s.all / s.answers.requests * 1e6 for s in found],
        "requests_per_cpu_second_own": [s.answers.requests / s.own for s in found],
        "requests_per_cpu_second_all": [s.answers.requests / s.all for s in found],
        "requests_per_second": [s.answers.requests / s.answers.seconds for s in found],
        "p50_ms": [s.answers.p50_ms for s in found],
        "p99_ms": [s.answers.p99_ms for s in found],
        "from_cache": [1 - min(1.0, s.asked / s.answers.requests) for s in found],
    }
    return {name: round(median(values), 3) for name, values in figures.items()}


def _compared(samples: Samples) -> dict[str, Any]:
    """Ratios of requests per CPU-second (above 1, the first is cheaper) and answers a second, of what was measured."""
    found = {
        table: {
            name: _ratio(samples[one], samples[other], counted)
            for name, (one, other, counted) in ratios.items()
            if one in samples and other in samples
        }
        for table, ratios in (("ratios", RATIOS), ("more_ratios", MORE_RATIOS))
    }
    rates = {
        f"{contender}_{case}_{connections}": round(median(s.answers.requests / s.answers.seconds for s in rounds))
        for (case, connections, contender), rounds in samples.items()
    }
    return found | {"throughput": rates}


def _ratio(one: Sequence[Sample], other: Sequence[Sample], counted: str) -> float:
    return round(median(_worth(a, counted) / _worth(b, counted) for a, b in zip(one, other, strict=True)), 3)


def _worth(sample: Sample, counted: str) -> float:
    """Requests per CPU-second."""
    return sample.answers.requests / (sample.own if counted == "own" else sample.all)


def _show(result: Mapping[str, Any]) -> None:
    for case, by_connections in result["cases"].items():
        for connections, contenders in by_connections.items():
            title = f"{TITLES[case]}, {connections} connections"
            print(f"  {title:46} own µs  all µs  own/CPU-s  all/CPU-s  answers/s  p50 ms  p99 ms  cached")
            for name, f in contenders.items():
                print(
                    f"    {LABELS[name]:44} {f['cpu_us_own']:6.1f}  {f['cpu_us_all']:6.1f}"
                    f"  {f['requests_per_cpu_second_own']:9.0f}  {f['requests_per_cpu_second_all']:9.0f}"
                    f"  {f['requests_per_second']:9.0f}  {f['p50_ms']:6.2f}  {f['p99_ms']:6.2f}"
                    f"  {f['from_cache']:6.1%}"
                )
    for name, ratio in (result["ratios"] | result["more_ratios"]).items():
        print(f"  {name:30} {ratio:6.3f}")
    for line in result.get("profile", []):
        print(f"    {line}")


def _draw(cases: Mapping[str, Any]) -> None:
    groups = [
        _plot.Group(
            f"{TITLES[case]}, {connections} connections",
            [_plot.Bar(LABELS[n], f["cpu_us_own"], f["cpu_us_all"] - f["cpu_us_own"]) for n, f in found.items()],
        )
        for case, by_connections in cases.items()
        for connections, found in by_connections.items()
    ]
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(_plot.drawn("CPU time per request", groups))
