"""nginx and systemd accept their files in `deploy/`; the settings in the other files there fit the code."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from src.observability import settings
from tests.langfuse_server import INGESTION, TRACES

DEPLOY = settings.REPO_ROOT / "deploy"


def text_of(name: str) -> str:
    """Return the text of a file of `deploy/`."""
    return (DEPLOY / name).read_text(encoding="utf-8")


def checked(*command: str) -> str:
    """Run a command that checks a file, fail if it rejects the file, and return its output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx (apt-get install nginx-light)")
def test_nginx_accepts_the_proxy(tmp_path: Path) -> None:
    """nginx accepts deploy/nginx.conf as /etc/nginx/conf.d/tracing.conf, with a certificate that this test makes."""
    certificate, key = tmp_path / "tracing.pem", tmp_path / "tracing.key"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=tracing.example.com"
    checked("openssl", *request.split(), "-keyout", str(key), "-out", str(certificate))
    site = text_of("nginx.conf").replace("/etc/ssl/tracing.pem", str(certificate))
    site = site.replace("/etc/ssl/tracing.key", str(key)).replace("https://langfuse.example.com", "https://127.0.0.1")
    whole = tmp_path / "nginx.conf"
    whole.write_text(f"pid {tmp_path}/pid;\nerror_log {tmp_path}/log;\nevents {{}}\nhttp {{\n{site}\n}}\n")
    assert "warn" not in checked("nginx", "-t", "-c", str(whole))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
@pytest.mark.parametrize(
    ("file", "instance"),
    [
        ("trading-agent@.service", "trading-agent@whale_agent.service"),
        ("trading-watch.service", "trading-watch.service"),
    ],
)
def test_systemd_accepts_a_unit(file: str, instance: str, tmp_path: Path) -> None:
    """systemd accepts each unit with this machine's paths. The agents' unit is a template, tried with whale_agent."""
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/bin/true")
    unit = tmp_path / instance
    lines = text_of(file).replace("/opt/trading", str(tmp_path))
    unit.write_text(lines.replace("User=trading\n", "User=root\n"))
    assert checked("systemd-analyze", "verify", "--man=no", str(unit)) == ""
    assert (settings.REPO_ROOT / "src" / "agents" / "whale_agent.py").exists()


def test_the_collector_takes_what_we_send() -> None:
    """The path and header in collector.yaml are those of our exporter; nginx.conf forwards other paths to Langfuse."""
    proxy, wire = text_of("nginx.conf"), (settings.REPO_ROOT / "src/observability/shipping/client.py").read_text()
    config = yaml.safe_load(text_of("collector.yaml"))
    receiver, exporter = config["receivers"]["otlp"]["protocols"]["http"], config["exporters"]["otlp_http/langfuse"]
    assert receiver["traces_url_path"] == TRACES
    assert f"    location = {TRACES} {{\n        proxy_pass http://{receiver['endpoint']};" in proxy
    assert "    location /api/public/ {\n" in proxy
    assert INGESTION.startswith("/api/public/")
    assert f"{exporter['endpoint']}/v1/traces" == f"https://langfuse.example.com{TRACES}"
    (header,) = re.findall(r'"(x-langfuse-ingestion-version)": "4"', wire)
    assert exporter["headers"][header] == "4"


def test_the_collectors_pipelines_name_what_is_configured() -> None:
    """collector.yaml has a section for every component that its pipelines name. The Collector's own check is not run,
    because Debian has no package of the Collector."""
    config = yaml.safe_load(text_of("collector.yaml"))
    for pipeline in config["service"]["pipelines"].values():
        assert all(set(names) <= set(config[kind]) for kind, names in pipeline.items())
    assert set(config["service"]["extensions"]) <= set(config["extensions"])


def test_a_machines_settings_are_settings() -> None:
    """Every name in machine.env_example is also in .env_example, and the journal's path is absolute."""
    names = re.findall(r"^(\w+)=", text_of("machine.env_example"), re.MULTILINE)
    assert set(names) <= set(
        re.findall(r"^#? ?(\w+)=", (settings.REPO_ROOT / ".env_example").read_text(), re.MULTILINE)
    )
    assert "OBSERVABILITY_JOURNAL" in names
    assert Path(re.findall(r"OBSERVABILITY_JOURNAL=(\S+)", text_of("machine.env_example"))[0]).is_absolute()
