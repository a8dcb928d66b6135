"""PostgreSQL, Redis, nginx with TLS, two web hosts, two workers, the sandbox and a mail server."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import psycopg
import requests
from aiosmtpd.controller import Controller

from saas import create_app
from saas.billing.operator import provisioning
from saas.config import ROOT
from tests.harness.apps import SECRET, close, migrate, own_env, settings
from tests.harness.servers import free_port
from tests.harness.shop import Shop
from tests.harness.waiting import eventually
from tests.stack.programs import Program, find

PRODUCT = "product"
BIN = Path(sys.executable).parent


class MailServer:
    """An SMTP server that can refuse emails or answer late."""

    def __init__(self) -> None:
        self.received: dict[str, int] = {}  # copies by recipient
        self.refuses = False
        self.delay = 0.0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        await asyncio.sleep(self.delay)
        if self.refuses:
            return "451 try again later"
        message_from_bytes(envelope.content)
        for recipient in envelope.rcpt_tos:
            self.received[recipient] = self.received.get(recipient, 0) + 1
        return "250 accepted"


class Stack:
    """The running set. `programs` holds its processes by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: dict[str, Program] = {}
        self.mail = MailServer()
        self.closing = ExitStack()
        ports = ("nginx", "web-a", "web-b", "postgres", "redis", "sandbox", "smtp", "metrics")
        self.port = {name: free_port() for name in ports}
        self.port |= {"metrics-worker": self.port["metrics"] + 1, "prometheus": free_port()}
        self.url = f"https://localhost:{self.port['nginx']}"
        self.sandbox = f"http://127.0.0.1:{self.port['sandbox']}"
        self.certificate = folder / "certificate.pem"
        self.database = f"postgresql://postgres@127.0.0.1:{self.port['postgres']}/saas"
        self.env: dict[str, str] = {}
        self.shop: Shop

    def start(self) -> None:
        """Start everything and wait until it is ready."""
        self._make_certificate()
        self._start_postgres()
        self._add("redis", find("redis-server"), "--port", str(self.port["redis"]), "--save", "",
                  "--bind", "127.0.0.1").start()  # fmt: skip
        self._start_mail()
        trust = {
            "SSL_CERT_FILE": str(self.certificate),
            "REQUESTS_CA_BUNDLE": str(self.certificate),
        }
        self._add("sandbox", sys.executable, str(ROOT / "sandbox"), "--port",
                  str(self.port["sandbox"]), "--data", str(self.folder / "sandbox.db"),
                  **trust).start()  # fmt: skip
        eventually(lambda: _answers(f"{self.sandbox}/healthz"), seconds=30)
        migrate(self.database, PRODUCT)
        self.env = self._set_up()
        for host in ("web-a", "web-b"):
            self._add_web(host)
        for number, worker in enumerate(("worker-a", "worker-b")):
            metrics = {"METRICS_PORT": str(self.port["metrics"])} if number == 0 else {}
            self._add(worker, str(BIN / "flask"), "--app", "wsgi", "worker", **self.env, **metrics)
        for name in ("web-a", "web-b", "worker-a", "worker-b"):
            self.programs[name].start()
        self._add_nginx()
        self.programs["nginx"].start()
        self.shop = self._open_shop()
        eventually(lambda: self.get("/readyz") == 200, seconds=60)

    def stop(self) -> None:
        """Stop everything, the clients of a program before it."""
        for program in reversed(self.programs.values()):
            if program.name == "postgres":
                program.stop(2)  # SIGINT: without waiting for clients
            else:
                program.stop()
        self.closing.close()

    def restart(self, name: str) -> None:
        """Restart a program, and wait until it is ready, as a release does with each host."""
        self.programs[name].stop()
        self.programs[name].start()
        if name in ("web-a", "web-b"):
            url = f"http://127.0.0.1:{self.port[name]}/readyz"
            eventually(lambda: _answers(url), seconds=60)

    def get(self, path: str) -> int:
        """Return the status of a GET through nginx; 0 without a response."""
        try:
            return requests.get(
                f"{self.url}{path}", verify=str(self.certificate), timeout=30
            ).status_code
        except requests.RequestException:
            return 0

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a `flask` command with the settings of the hosts."""
        return self.command_in(ROOT, *arguments)

    def command_in(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a `flask` command of the version in this folder."""
        return subprocess.run(
            [str(BIN / "flask"), "--app", "wsgi", *arguments], cwd=folder,
            env=own_env(**self.env), capture_output=True, text=True, check=False,
        )  # fmt: skip

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement as the database's superuser."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return list(cursor.fetchall()) if cursor.description else []

    def set_stripe_faults(self, **faults: float) -> None:
        """Set the sandbox's faults, and turn off all others."""
        requests.post(
            f"{self.sandbox}/stripe/control/faults", json=faults, timeout=10,
            headers={"Authorization": f"Bearer {self.shop.key}"},
        ).raise_for_status()  # fmt: skip

    def start_prometheus(self) -> None:
        """Start Prometheus with the shipped files, its targets being ours, and shorter waits."""
        folder = self.folder / "prometheus"
        folder.mkdir()
        shipped = ROOT / "deploy" / "prometheus"
        config = (shipped / "prometheus.yml").read_text().replace("15s", "2s")
        config = config.replace("127.0.0.1:9100", f"127.0.0.1:{self.port['metrics']}")
        config = config.replace("127.0.0.1:9101", f"127.0.0.1:{self.port['metrics-worker']}")
        (folder / "prometheus.yml").write_text(config)
        alerts = (shipped / "alerts.yml").read_text()
        alerts = re.sub(r"for: \d+m", "for: 4s", alerts)
        alerts = alerts.replace("oldest_seconds) > 600", "oldest_seconds) > 10")
        (folder / "alerts.yml").write_text(alerts)
        self._add("prometheus", find("prometheus"), f"--config.file={folder}/prometheus.yml",
                  f"--storage.tsdb.path={folder}/data",
                  f"--web.listen-address=127.0.0.1:{self.port['prometheus']}").start()  # fmt: skip
        ready = f"http://127.0.0.1:{self.port['prometheus']}/-/ready"
        eventually(lambda: _answers(ready), seconds=30)

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        response = requests.get(
            f"http://127.0.0.1:{self.port['prometheus']}/api/v1/alerts", timeout=10
        )
        alerts = response.json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def _add(self, name: str, *command: str, **env: str) -> Program:
        program = Program(name, command, self.folder, own_env(**env), ROOT)
        self.programs[name] = program
        return program

    def _add_web(self, host: str) -> None:
        metrics = {"METRICS_PORT": str(self.port["metrics"])} if host == "web-a" else {}
        self._add(
            host, sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "wsgi:app",
            **self.env, **metrics, BIND=f"127.0.0.1:{self.port[host]}",
        )  # fmt: skip

    def _make_certificate(self) -> None:
        subprocess.run(
            [find("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
             "-keyout", str(self.folder / "key.pem"), "-out", str(self.certificate)],
            check=True, capture_output=True,
        )  # fmt: skip

    def _start_postgres(self) -> None:
        data = self.folder / "pg"
        # PostgreSQL refuses to run as root.
        prefix = [find("unshare"), "-U"] if os.geteuid() == 0 else []
        subprocess.run(
            [*prefix, find("initdb"), "-D", str(data), "-U", "postgres", "-A", "trust",
             "-E", "UTF8"],
            check=True, capture_output=True,
        )  # fmt: skip
        self._add("postgres", *prefix, find("postgres"), "-D", str(data),
                  "-p", str(self.port["postgres"]), "-c", "listen_addresses=127.0.0.1",
                  "-c", "unix_socket_directories=").start()  # fmt: skip
        server = self.database.rpartition("/")[0]
        eventually(lambda: _connects(server), seconds=30)
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE saas")

    def _start_mail(self) -> None:
        controller = Controller(self.mail, hostname="127.0.0.1", port=self.port["smtp"])
        controller.start()
        self.closing.callback(controller.stop)

    def _set_up(self) -> dict[str, str]:
        """Create prices and the webhook endpoint, and return the environment of the hosts."""
        env = {
            "SAAS_ENV": "test", "SECRET_KEY": SECRET, "APP_URL": self.url, "TRUSTED_PROXIES": "1",
            "DATABASE_URL": self.database, "REDIS_URL": f"redis://127.0.0.1:{self.port['redis']}",
            "SMTP_URL": f"smtp://127.0.0.1:{self.port['smtp']}", "SANDBOX_URL": self.sandbox,
            "SANDBOX_STRIPE_API_KEY": f"sk_test_{secrets.token_hex(16)}",
        }  # fmt: skip
        bare = create_app(settings(PRODUCT, **env, JOBS_URL="inline:"), PRODUCT)
        with bare.app_context():
            env |= provisioning.set_up(prefix="SANDBOX_")
        close(bare)
        return env

    def _open_shop(self) -> Shop:
        """Return the application in this process, for queries and for users."""
        app = create_app(settings(PRODUCT, **{**self.env, "JOBS_URL": "inline:"}), PRODUCT)
        self.closing.callback(close, app)
        return Shop(app, self.url, self.sandbox, self.env["SANDBOX_STRIPE_API_KEY"])

    def _add_nginx(self) -> None:
        """Add nginx with the shipped site, whose paths and ports are ours."""
        site, _, _ = (
            (ROOT / "deploy/debian/nginx.conf").read_text().partition("server {\n    listen 80;")
        )
        host = "    server 127.0.0.1:5000 max_fails=0;\n"
        ours = "".join(host.replace("5000", str(self.port[name])) for name in ("web-a", "web-b"))
        for before, after in (
            (host, ours),
            ("listen 443 ssl", f"listen 127.0.0.1:{self.port['nginx']} ssl"),
            ("app.example.com;", "localhost;"),
            ("/etc/ssl/app.example.com.pem", str(self.certificate)),
            ("/etc/ssl/app.example.com.key", str(self.folder / "key.pem")),
            ("/var/log/nginx", str(self.folder)),
            ("Host $host", "Host $http_host"),  # with our port
        ):
            assert before in site, before
            site = site.replace(before, after)
        folders = " ".join(
            f"{kind}_temp_path {self.folder}/nginx-{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        conf = self.folder / "nginx.conf"
        conf.write_text(
            f"daemon off; pid {self.folder}/nginx.pid; worker_processes 1;\n"
            f"events {{ worker_connections 4096; }}\nhttp {{ {folders}\n{site} }}\n"
        )
        self._add("nginx", find("nginx"), "-p", str(self.folder), "-c", str(conf),
                  "-e", str(self.folder / "nginx-error.log"))  # fmt: skip


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    """Run the stack within the block."""
    stack = Stack(folder)
    try:
        stack.start()
        yield stack
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would leave programs behind
        stack.stop()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _connects(server: str) -> bool:
    try:
        with psycopg.connect(f"{server}/postgres", connect_timeout=5):
            return True
    except psycopg.OperationalError:
        return False


def tls_context(stack: Stack) -> ssl.SSLContext:
    """Return a context that trusts the stack's certificate."""
    return ssl.create_default_context(cafile=str(stack.certificate))
