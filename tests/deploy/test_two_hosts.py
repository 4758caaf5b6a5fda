"""Two machines, each a network namespace with a journal of its own, ship to one server."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from src.observability import settings
from tests.langfuse_server import LangfuseServer, ReceivedSpan, settings_for
from tests.otlp_server import HEADERS, OtlpServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces, which takes root"),
]

SERVER, HOSTS = "10.87.0.1", {"machine-a": "10.87.0.2", "machine-b": "10.87.0.3"}
BRIDGE = "obs-bridge"
_CYCLES = """
from src.observability import runtime
from tests.console.cycles import one_cycle
for _ in range(20):
    one_cycle()
assert runtime.flush(30)
"""


_NAMED = 'hostname "$0" && exec "$1" -c "$2"'


def host_and_span(otlp: OtlpServer) -> Iterator[tuple[str, str]]:
    """Yield the host name and the user id of each span."""
    for batch in otlp.batches:
        for item in batch.resource_spans:
            (host,) = [each.value.string_value for each in item.resource.attributes if each.key == "host.name"]
            for scope in item.scope_spans:
                yield from ((host, str(ReceivedSpan(span).attributes["user.id"])) for span in scope.spans)


def ip(command: str) -> None:
    """Run `ip` with these arguments."""
    subprocess.run(["ip", *command.split()], check=True, capture_output=True, timeout=30)


@pytest.fixture
def network() -> Iterator[None]:
    """Make a network bridge, and on it a network namespace for each host."""
    try:
        ip(f"link add {BRIDGE} type bridge")
    except subprocess.CalledProcessError:
        pytest.skip("this kernel or container allows no bridge")
    try:
        ip(f"addr add {SERVER}/24 dev {BRIDGE}")
        ip(f"link set {BRIDGE} up")
        for number, (name, address) in enumerate(HOSTS.items()):
            ip(f"netns add {name}")
            ip(f"link add obs-veth{number} type veth peer name eth0 netns {name}")
            ip(f"link set obs-veth{number} master {BRIDGE} up")
            ip(f"-n {name} addr add {address}/24 dev eth0")
            ip(f"-n {name} link set eth0 up")
        yield
    finally:
        for name in HOSTS:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", BRIDGE], check=False, capture_output=True)


def test_two_hosts_ship_to_one_server(network: None, tmp_path: Path) -> None:
    """Every span arrives once at Langfuse and once at the OTLP server, with the name of its machine."""
    with HTTPServer(SERVER, 0) as listener, HTTPServer(SERVER, 0) as other:
        langfuse, otlp = LangfuseServer(listener), OtlpServer(other)
        common = {
            **os.environ, **settings_for(f"http://{SERVER}:{listener.port}"), "LANGFUSE_ALLOW_HTTP": "true",
            "OBSERVABILITY_OTLP_ENDPOINT": otlp.url, "OBSERVABILITY_OTLP_HEADERS": HEADERS,
        }  # fmt: skip
        processes = [
            subprocess.Popen(
                ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", _NAMED, name, sys.executable, _CYCLES],
                cwd=settings.REPO_ROOT,
                env={**common, "LANGFUSE_USER_ID": name, "OBSERVABILITY_JOURNAL": str(tmp_path / name / "journal.db")},
            )
            for name in HOSTS
        ]
        assert [process.wait(60) for process in processes] == [0, 0]
        spans = langfuse.spans
    assert Counter(host_and_span(otlp)) == {(name, name): 60 for name in HOSTS}
    assert len({span.id for span in otlp.spans}) == len(otlp.spans)
    assert len({span.id for span in spans}) == len(spans)
    roots = [span for span in spans if span.parent_id is None]
    assert Counter(span.attributes["user.id"] for span in roots) == dict.fromkeys(HOSTS, 20)
    assert len({span.attributes["session.id"] for span in roots}) == 2
