"""Measure the CPU time of a card, of the whole process tree, and compare it with npm packages.

    bench/og/run.sh

Each draws a hundred distinct headings; startup time is measured with a few cards and subtracted.
Then the whole application is measured under gunicorn, with other scripts, and its memory. Without
Node the npm packages are skipped. Machines differ, so compare the ratios.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "sandbox")]

from saas.og.card import Card  # noqa: E402 - found through the path above
from saas.og.render.fonts import OWN, Library  # noqa: E402

# The last @vercel/og that plain Node can load; 1.0.3 needs a bundler for its parts.
PEERS = ("takumi-js@2.16.3", "@vercel/og@0.6.8")
LOGO = ROOT / "product" / "static" / "icons" / "logo.png"
PEER_FOLDER = ROOT / "tmp" / "bench-og"
FEW, MANY = 20, 120
REQUESTS, CONNECTIONS = 2000, 8
BARE = """
from flask import Flask, Response
app = Flask("bare")
app.add_url_rule("/", view_func=lambda: Response(bytes(26_000), mimetype="image/png"))
"""
DISTINCT = 10_000
SCRIPTS = {
    "Arabic": "بطاقات المشاركة التي لا تنكسر أبدا {}",
    "Hindi": "हिन्दी में सुंदर शीर्षक और स्पष्ट अक्षर {}",
    "Japanese": "美しい日本語の見出しを表示する方法 {}",
    "Korean": "모든 문자를 올바르게 그리는 공유 카드 {}",
    "emoji": "Ship it 🚀 with 👩🏽‍💻 and 🇩🇪 today {}",
}


def main() -> None:
    print("CPU ms a card, process tree, 100 distinct headings")
    own, size = tree_cost([sys.executable, __file__, "draw"])
    report("this room", own, size, own)
    for peer in PEERS if shutil.which("npm") else ():
        cost, size = tree_cost(["node", str(installed(peer)), peer.rpartition("@")[0]], str(OWN))
        report(peer, cost, size, own)
    print("\nCPU ms a request, whole application, gunicorn with two workers")
    floor = 0.0
    for what, cost in served():
        floor = floor or cost
        print(f"  {what:<34} {cost:6.2f} ms  {cost / floor:6.1f} x")
    print("\nCPU ms a card in the module, median of 100")
    module()
    print("\nCPU ms to encode a drawn card, and its size")
    encoders()
    print("\nMemory of a process")
    subprocess.run([sys.executable, __file__, "memory"], check=True)


def report(name: str, cost: float, size: int, own: float) -> None:
    print(f"  {name:<20} {cost:7.2f} ms  {size / 1000:6.1f} KB  {cost / own:6.1f} x")


def installed(peer: str) -> Path:
    """Install an npm package once, next to other temporary files; return the script."""
    folder = PEER_FOLDER / peer.replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules").is_dir():
        command = ["npm", "install", "--silent", "--prefix", str(folder), "react@19", peer]
        subprocess.run(command, check=True)
    return Path(shutil.copy(HERE / "peers.mjs", folder))


def tree_cost(command: list[str], *more: str) -> tuple[float, int]:
    """Return milliseconds per card, and the mean size that the last process printed."""
    few, _ = spent([*command, str(FEW), *more])
    many, size = spent([*command, str(MANY), *more])
    return (many - few) / (MANY - FEW) * 1000, size


def spent(command: list[str]) -> tuple[float, int]:
    before = cpu(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return cpu(resource.RUSAGE_CHILDREN) - before, int(done.stdout)


def cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def draw(count: int) -> None:
    """Draw like the compared packages: one card after the other; print the mean size."""
    from product import product
    from saas.og.render.renderer import Renderer

    press = Renderer(product.brand, "plinth.example", LOGO, Library())
    sizes = [len(press.print(_card(number)).png) for number in range(count)]
    print(sum(sizes) // count)


def _card(number: int) -> Card:
    return Card(f"Card number {number}: ship the product, not the plumbing", "Blog")


def encoders() -> None:
    """Compare our encoder with Pillow's, which cannot reuse the constant parts of a picture."""
    from product import product
    from saas.og.render import png
    from saas.og.render.renderer import Renderer

    renderer = Renderer(product.brand, "plinth.example", LOGO, Library())
    canvas, _ = renderer.compose(_card(0))
    background = renderer.background("light")
    for what, encode in (
        ("ours", png.encode),
        ("Pillow, level 1", partial(png.plain, level=1)),
        ("Pillow, level 6", partial(png.plain, level=6)),
    ):
        times = []
        for _ in range(50):
            started = time.process_time()
            size = len(encode(background, canvas.band))
            times.append(time.process_time() - started)
        print(f"  {what:<34} {median(times) * 1000:6.2f} ms  {size / 1000:6.1f} KB")


def module() -> None:
    started = time.process_time()
    from product import product
    from saas.og.render.renderer import Renderer

    press = Renderer(product.brand, "plinth.example", LOGO, Library())
    press.print(_card(0))
    print(f"  {'import and first card':<34} {(time.process_time() - started) * 1000:6.1f}")
    print(f"  {'Latin':<34} {timed(press, 'Ship the product, not the plumbing, {}'):6.2f}")
    for script, heading in SCRIPTS.items():
        print(f"  {script:<34} {timed(press, heading):6.2f}")


def memory() -> None:
    """Return the memory of a process while it keeps drawing new cards."""
    import psutil

    from product import product
    from saas.og.render.renderer import Renderer

    press = Renderer(product.brand, "plinth.example", LOGO, Library())
    for number in range(1, DISTINCT + 1):
        press.print(_card(number))
        if number in (100, DISTINCT // 2, DISTINCT):
            held = psutil.Process().memory_info().rss / 1024**2
            print(f"  after {number:>6,} distinct cards {held:12.1f} MB")


def timed(press: object, heading: str) -> float:
    times = []
    for number in range(110):
        card = Card(heading.format(number), "Blog")
        started = time.process_time()
        press.print(card)  # type: ignore[attr-defined]  # a Press, imported late to be timed
        times.append(time.process_time() - started)
    return median(times[10:]) * 1000


def served() -> Iterator[tuple[str, float]]:
    """Measure bare Flask with as many bytes, then new, cached and revalidated signed cards."""
    from bench import pages

    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "bare.py").write_text(BARE)
        _, env = pages.opened_shop(folder, stack, "sqlite")
        paths = addresses(env)
        with pages.serving_by_gunicorn("bare:app", env, folder) as port:
            yield "bare Flask, 26 KB", busy(port, ["/"] * REQUESTS)
        with pages.serving_by_gunicorn("wsgi:app", env, ROOT) as port:
            tag = ask(port, paths[:100])
            yield "a new Latin card", busy(port, paths[100:])
            yield "a card seen before", busy(port, paths[-100:] * (REQUESTS // 100))
            yield "304", busy(port, paths[99:100] * REQUESTS, {"If-None-Match": tag})


def addresses(env: dict[str, str]) -> list[str]:
    """Return signed paths of a hundred warm-up cards, and of the measured ones."""
    from product import product
    from saas import create_app
    from saas.config import from_env
    from saas.og.links import card_url

    app = create_app(from_env(env, product))
    with app.test_request_context():
        site = len(app.config["APP_URL"])
        cards = map(_card, range(100 + REQUESTS))
        return [card_url(card.heading, type=card.type)[site:] for card in cards]


def busy(port: int, paths: list[str], headers: dict[str, str] | None = None) -> float:
    """Return milliseconds of server CPU per request, with all connections busy."""
    processes = servers()
    before = sum(map(process_cpu, processes))
    shares = [paths[at::CONNECTIONS] for at in range(CONNECTIONS)]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(partial(ask, port, headers=headers), shares))
    return (sum(map(process_cpu, processes)) - before) / len(paths) * 1000


def servers() -> list[int]:
    """Return the server and its workers: children of this process, and theirs."""
    import psutil

    return [child.pid for child in psutil.Process().children(recursive=True)]


def process_cpu(pid: int) -> float:
    import psutil

    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def ask(port: int, paths: list[str], headers: dict[str, str] | None = None) -> str:
    connection = HTTPConnection("127.0.0.1", port)
    tag = ""
    for path in paths:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 304):
            raise SystemExit(f"{path} answered {answer.status}")
        tag = answer.headers.get("ETag", "")
    connection.close()
    return tag


if __name__ == "__main__":
    if sys.argv[1:2] == ["draw"]:
        draw(int(sys.argv[2]))
    elif sys.argv[1:2] == ["memory"]:
        memory()
    else:
        main()
