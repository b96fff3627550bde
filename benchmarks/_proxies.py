"""nginx and HAProxy set up to do what our gateway does: one worker, connections kept open on both sides.

nginx writes an access log through a buffer, as in production; HAProxy writes none.
"""

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks._running import free_port, running

NEEDED = {"wrk": "wrk", "nginx": "nginx-light", "haproxy": "haproxy"}
PREFIXES = {"/api/v1/auth": "users", "/api/v1/members": "users", "/api/v1/items": "inventory"}
"""What is routed where, as the gateway does it."""


class Proxy(NamedTuple):
    """A running proxy: the root of its processes, and where it passes on, without and with its cache."""

    pid: int
    url: str
    cached: str


def check_tools() -> None:
    """Say what to install, and end, when a tool is missing."""
    os.environ["PATH"] += ":/usr/sbin:/usr/local/sbin"  # where servers are, and where a person's PATH may not look
    if missing := [package for tool, package in NEEDED.items() if not shutil.which(tool)]:
        sys.exit(f"The gateway is measured against other programs: apt-get install {' '.join(missing)}")


def versions() -> dict[str, str]:
    """Which programs these are."""
    asked = {"nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"], "wrk": ["wrk", "-v"]}
    return {name: _first_line(command) for name, command in asked.items()}


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines()[0].split(" [")[0].split(" - ")[0]


@contextmanager
def nginx(folder: Path, ports: Mapping[str, int]) -> Iterator[Proxy]:
    """nginx before these services."""
    plain, cached = free_port(), free_port()
    upstreams = "".join(
        f"upstream {name} {{ server 127.0.0.1:{port}; keepalive 128; keepalive_requests 1000000000; }}\n"
        for name, port in ports.items()
    )
    file = folder / "nginx.conf"
    file.write_text(
        NGINX.format(
            folder=folder,
            user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
            upstreams=upstreams,
            plain=plain,
            cached=cached,
            locations="".join(_location(prefix, name, "") for prefix, name in PREFIXES.items() if name in ports),
            cached_locations=_location("/api/v1/items", "inventory", "proxy_cache bench;"),
        )
    )
    command = ["nginx", "-p", str(folder), "-e", str(folder / "nginx.log"), "-c", str(file)]
    with running(command, folder / "nginx.out", port=plain) as pid:
        yield Proxy(pid, f"http://127.0.0.1:{plain}", f"http://127.0.0.1:{cached}")


def _location(prefix: str, upstream: str, more: str) -> str:
    return f"location {prefix} {{ {more} proxy_pass http://{upstream}; }}\n"


@contextmanager
def haproxy(folder: Path, ports: Mapping[str, int]) -> Iterator[Proxy]:
    """HAProxy before these services."""
    plain, cached = free_port(), free_port()
    rules = "".join(
        f"  use_backend {name} if {{ path_beg {prefix} }}\n" for prefix, name in PREFIXES.items() if name in ports
    )
    backends = "".join(f"backend {name}\n  server one 127.0.0.1:{port}\n" for name, port in ports.items())
    file = folder / "haproxy.cfg"
    file.write_text(HAPROXY.format(plain=plain, cached=cached, rules=rules, backends=backends))
    command = ["haproxy", "-db", "-f", str(file)]
    with running(command, folder / "haproxy.out", port=plain) as pid:
        yield Proxy(pid, f"http://127.0.0.1:{plain}", f"http://127.0.0.1:{cached}")


NGINX = """
{user}
worker_processes 1;
daemon off;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log access.log combined buffer=64k flush=1s;
  keepalive_timeout 75s;
  keepalive_requests 1000000000;
  client_body_temp_path body;
  proxy_temp_path proxied;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  proxy_http_version 1.1;
  proxy_set_header connection "";
  proxy_cache_path cache levels=1:2 keys_zone=bench:20m inactive=10m use_temp_path=off;
  {upstreams}
  server {{ listen 127.0.0.1:{plain}; {locations} }}
  server {{ listen 127.0.0.1:{cached}; {cached_locations} }}
}}
"""
HAPROXY = """
global
  nbthread 1
  maxconn 2000
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 75s
  timeout http-keep-alive 75s
  http-reuse always
cache bench
  total-max-size 64
  max-object-size 10000
  max-age 600
frontend plain
  bind 127.0.0.1:{plain}
{rules}
frontend cached
  bind 127.0.0.1:{cached}
  http-request cache-use bench
  http-response cache-store bench
  default_backend inventory
{backends}
"""
