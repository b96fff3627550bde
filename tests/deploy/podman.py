"""Podman with a store of its own, and images made on this machine: nothing is pulled, nothing of a person's is touched.

The base is Debian, put together by debootstrap from where this machine's own packages come from, and imported under the
name the Dockerfile uses. What compose.yaml takes from elsewhere is stood in for by this machine's own programs, laid
over that base. Only Grafana has no package, and so no stand-in.
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.needs import FINDERS, need

ROOT = Path(__file__).parents[2]
WHY = "the image must be built, and the stack of compose.yaml must run from it"
CONTAINERS = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{folder}/tmp"
lock_type = "file"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
STORAGE = """
[storage]
driver = "overlay"
graphroot = "{folder}/store"
runroot = "{folder}/run"
"""
LONGEST = 1500
"""Seconds that one command may take."""
NAME_OF_BASE = re.compile(r"^ARG PYTHON_IMAGE=(\S+)$", re.MULTILINE)

STAND_INS: dict[str, tuple[tuple[str, ...], str]] = {
    "redis": (("redis-server", "redis-cli"), ""),
    "haproxy": (("haproxy",), "RUN useradd --uid 99 --system haproxy\nUSER haproxy"),
    "prometheus": (
        ("prometheus",),
        'RUN mkdir /prometheus && chown 65534 /prometheus\nUSER 65534\nENTRYPOINT ["prometheus"]',
    ),
    "alertmanager": (
        ("prometheus-alertmanager", "/usr/share/prometheus/alertmanager"),
        "RUN cd /usr/bin && ln -s prometheus-* alertmanager && install -d -o 65534 /alertmanager\nUSER 65534",
    ),
    "postgres-exporter": (("prometheus-postgres-exporter",), 'USER 65534\nENTRYPOINT ["prometheus-postgres-exporter"]'),
    "redis_exporter": (("prometheus-redis-exporter",), 'USER 59000\nENTRYPOINT ["prometheus-redis-exporter"]'),
    "postgres": (
        (),
        """ENV PATH=/usr/lib/postgresql/bin:$PATH
        RUN useradd --uid 999 postgres && install -d -o 999 /var/lib/postgresql/data""",
    ),
}
"""By the last part of the image's name: which programs and folders, and what else the stand-in's Dockerfile says."""


def _working() -> Path | None:
    """Podman, where it can run containers: as root, with an OCI runtime and its own network tools."""
    tools = ("podman", "runc", "debootstrap", "iptables")
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in tools) or platform.system() != "Linux":
        return None
    helpers = all(any(Path(p, tool).exists() for p in ("/usr/lib/podman", "/usr/libexec/podman")) for tool in NETWORK)
    return Path(str(shutil.which("podman"))) if helpers else None


NETWORK = ("netavark", "aardvark-dns")
FINDERS["podman as root, with runc, debootstrap, netavark, aardvark-dns and iptables"] = _working


def needed() -> None:
    """Skip loudly (with CI=true: fail) where containers cannot be run."""
    need("podman as root, with runc, debootstrap, netavark, aardvark-dns and iptables", WHY)
    for programs, _ in STAND_INS.values():
        for program in programs:
            if not program.startswith("/"):
                need(program, WHY)
    need("system postgres", WHY)


@dataclass
class Podman:
    """The engine, in one folder."""

    folder: Path

    def __post_init__(self) -> None:
        for name, words in (("containers.conf", CONTAINERS), ("storage.conf", STORAGE)):
            (self.folder / name).write_text(words.format(folder=self.folder))

    @property
    def environment(self) -> dict[str, str]:
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("COMMONRY_", "PASSWORD_", "COMPOSE_"))}
        told = {name: str(self.folder / file) for name, file in CONFIGURED.items()}
        return ours | told | {"PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"}

    def run(self, *words: str, check: bool = True) -> str:
        """What podman prints; fails with all of it."""
        return self.call("podman", *words, check=check)

    def call(self, *words: str, check: bool = True, told: Mapping[str, str] = {}) -> str:
        done = self.tried(*words, told=told)
        assert done.returncode == 0 or not check, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def tried(self, *words: str, told: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
        """How a command ended, well or not."""
        env = self.environment | dict(told)
        return subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST, check=False)

    def exec(self, container: str, *words: str, check: bool = True) -> str:
        return self.run("exec", container, *words, check=check).strip()

    def end(self) -> None:
        """Remove every container, volume and network of this store, and the store."""
        self.run("rm", "--all", "--force", "--time", "0", check=False)
        self.run("network", "prune", "--force", check=False)
        self.run("unmount", "--all", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def make_base(self) -> str:
        """Import Debian under the name that the Dockerfile begins with; that name."""
        match = NAME_OF_BASE.search((ROOT / "Dockerfile").read_text())
        assert match
        base = self.folder / "base"
        wanted = "python3,python3-pip,python3-venv,ca-certificates"
        release = platform.freedesktop_os_release()["VERSION_CODENAME"]
        self.call("debootstrap", "--variant=minbase", f"--include={wanted}", release, str(base), _mirror())
        archive = self.folder / "base.tar"
        self.call("tar", "--directory", str(base), "--exclude=./var/cache/apt", "--create", "--file", str(archive), ".")
        self.run("import", str(archive), match[1])
        shutil.rmtree(base)
        archive.unlink()
        return match[1]

    def make_wheels(self, base: str) -> Path:
        """All that requirements.lock names, for the base's own Python; where from is this machine's pip's business."""
        version = self.run(
            "run", "--rm", base, "python3", "-c", "import sys; print('%s.%s' % sys.version_info[:2])"
        ).strip()
        wheels = self.folder / "wheels"
        asked = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--python-version", version]
        python = str(ROOT / ".venv/bin/python")
        self.call(python, "-m", "pip", "download", "-q", *asked, "-d", str(wheels), "-r", "requirements.lock")
        return wheels

    def build(self, image: str, wheels: Path) -> None:
        """The Dockerfile as it is, without a network of packages: they come from a folder."""
        told = self.folder / "pip.conf"
        told.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
        offline = ["--pull=never", "--format", "docker", "--network", "none"]
        self.run(
            "build", *offline, "--secret", f"id=pip_conf,src={told}", "-v", f"{wheels}:/wheels:ro", "-t", image, "."
        )

    def stand_in(self, image: str, base: str) -> None:
        """An image of this machine's own programs, under another's name."""
        programs, rest = STAND_INS[image.partition(":")[0].rpartition("/")[2]]
        tree = self.folder / "tree"
        for program in programs:
            if program.startswith("/"):
                shutil.copytree(program, tree / program[1:])
            else:
                _copy(Path(str(shutil.which(program))), tree)
        if not programs:
            _copy_postgres(tree)
        (self.folder / "Stand-in").write_text(f"FROM {base}\nCOPY tree /\n{rest}\n")
        self.run("build", "--pull=never", "-f", str(self.folder / "Stand-in"), "-t", image, str(self.folder))
        shutil.rmtree(tree)


CONFIGURED = {"CONTAINERS_CONF": "containers.conf", "CONTAINERS_STORAGE_CONF": "storage.conf"}


def _mirror() -> str:
    """Where this machine's own packages come from."""
    said = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)"], capture_output=True, text=True, check=True
    )
    return next(site for site in said.stdout.split() if site.rstrip("/").endswith("debian"))


def _copy(program: Path, tree: Path) -> None:
    """A program with the libraries that it loads, at the same paths."""
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    for path in (program, *(Path(found) for found in re.findall(r"=> (/\S+) \(0x", said))):
        target = tree / str(path).removeprefix("/").removeprefix("usr/")  # what is in /lib is in /usr/lib as well
        target = tree / "usr" / target.relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path.resolve(), target)


def _copy_postgres(tree: Path) -> None:
    """The oldest of the system's servers: its programs where the image's PATH looks, and all they need."""
    binaries = need("system postgres", WHY)
    for program in binaries.iterdir():
        _copy(program, tree)
    version = binaries.parent.name
    for library in (binaries.parent / "lib").rglob("*.so"):
        _copy(library, tree)
    for folder in (binaries.parent, Path("/usr/share/postgresql") / version):
        shutil.copytree(folder, tree / str(folder)[1:], dirs_exist_ok=True)
    (tree / "usr/lib/postgresql/bin").symlink_to(f"{version}/bin")
