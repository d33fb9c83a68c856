"""The page in a real browser, on a real sandbox: seen, used by keyboard, on a phone, and with a fleet of thousands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import PATH, Browser, Tab, browser
from serving import NOW, TOKEN, Served, a_subcluster, serving

from federation import sandbox
from federation.cli.client import Client, path_of
from federation.cli.context import find_context
from federation.contracts.store import Create, Replace
from federation.model.meta import API_VERSION
from federation.model.placement import Placement
from federation.model.subcluster import SubCluster
from federation.server.page.extras import page_extras

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
VIEWS = ("fleet", "services", "services/shop/payment", "migrations", "costs", "events")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("sandbox"),
    pytest.mark.skipif(PATH is None, reason="needs Chromium: apt-get install chromium"),
]


def roam(home: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "federation", *arguments]
    environment = sandbox.environment(home)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("roam")
    try:
        sandbox.up(folder)
        roam(folder, "apply", "-f", str(EXAMPLES / "policies"), "-f", str(EXAMPLES / "shop"), "--wait")
        yield folder
    finally:
        sandbox.down(folder)


@pytest.fixture(scope="module")
def url(home: Path) -> str:
    return find_context(None, None, home).server


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def quiet(chromium: Browser) -> Iterator[Browser]:
    """The browser; afterwards nothing was asked of another host, and no console complained."""
    chromium.requests.clear()
    chromium.complaints.clear()
    yield chromium
    elsewhere = [each for each in chromium.requests if not each.startswith(("http://127.0.0.1:", "about:"))]
    assert elsewhere == []
    assert chromium.complaints == []


@pytest.fixture(scope="module")
def token(home: Path) -> str:
    return (home / "token").read_text().strip()


@pytest.fixture
def tab(quiet: Browser, url: str, token: str) -> Tab:
    """A window that is signed in and shows the fleet."""
    found = quiet.page()
    sign_in(found, url, token)
    return found


def sign_in(tab: Tab, url: str, token: str, namespace: str = "") -> None:
    tab.go(f"{url}/")
    tab.until("document.querySelector('input[name=token]')")
    tab.run("document.querySelector('input[name=token]').focus()")
    tab.type(token)
    if namespace:
        tab.press("Tab")
        tab.type(namespace)
    tab.press("Enter")
    tab.until("document.querySelector('.connection.live')")


def look_at(tab: Tab, view: str) -> None:
    tab.run(f"location.hash = '#/{view}'")
    tab.until(f"document.querySelector('.view') && location.hash === '#/{view}' && document.querySelector('h1')")


def test_the_fleet_with_what_runs_where(tab: Tab) -> None:
    text = tab.until_text("10 of 10", "onprem-frankfurt", "On-premises", "1 of 1 cores", "Healthy")
    assert "4 of 4" in text
    assert "azure-netherlands" in tab.run("document.querySelector('svg.map').textContent")
    assert tab.run("document.querySelectorAll('.card').length") == 4
    assert tab.run("[...document.querySelectorAll('.card a')].some(a => a.textContent === 'checkout')")


def test_a_services_candidates_with_terms_and_reasons(tab: Tab) -> None:
    look_at(tab, "services")
    tab.until_text("shop/payment")
    tab.run("[...document.querySelectorAll('th a')].find(a => a.textContent === 'shop/frontend').click()")
    text = tab.until_text("shop/frontend", "Chosen", "Feasible", "Dearer by")
    for term in ("compute", "transfer", "latency"):
        assert term in text
    look_at(tab, "services/shop/payment")
    assert "operated from" in tab.until_text("shop/payment", "Denied")


SEE = """
window.seen = new Set();
new MutationObserver(() => {
  const found = document.querySelector(".move .pill");
  if (found) window.seen.add(found.textContent);
  window.said = document.getElementById("announcer").textContent;
}).observe(document.body, {subtree: true, childList: true, characterData: true});
"""


def test_a_migration_is_seen_as_it_goes(tab: Tab, home: Path) -> None:
    look_at(tab, "services/shop/catalogue")
    tab.until_text("shop/catalogue", "Chosen")
    context = find_context(None, None, home)
    with Client(context.server, context.token) as client:
        steps = {"canary": {"steps": [20, 60, 100], "interval": "700ms"}}
        way = {"source": "ec2-frankfurt", "target": "gce-frankfurt", "replicas": 2}
        spec = {"service": "catalogue", **way, "strategy": steps}
        body = {"apiVersion": API_VERSION, "kind": "Migration", "metadata": {"generateName": "seen-"}, "spec": spec}
        tab.run(SEE)
        client.post(path_of("migrations", "shop"), body)
    tab.until("window.seen.size >= 3 && !document.querySelector('.move')", 40)
    seen = tab.run("[...window.seen]")
    for share in ("20 %", "60 %", "100 %"):
        assert f"Shifting, {share} moved" in seen
    assert "catalogue: " in tab.run("window.said")
    tab.until("document.querySelector('table').innerText.includes('gce-frankfurt')")
    look_at(tab, "migrations")
    tab.until_text("Succeeded", "catalogue")
    look_at(tab, "events")
    tab.until("document.querySelectorAll('tbody tr').length > 10")


def test_keyboard_alone_is_enough(quiet: Browser, url: str, token: str) -> None:
    tab = quiet.page()
    tab.go(f"{url}/")
    tab.until("document.querySelector('input[name=token]')")

    def focused() -> str:
        shown = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
        assert tab.run(f"document.activeElement === document.body || {shown}"), tab.run(
            "document.activeElement.outerHTML"
        )
        return str(tab.run("document.activeElement.innerText || document.activeElement.name || ''"))

    def tab_to(name: str) -> None:
        for _ in range(40):
            tab.press("Tab")
            if focused() == name:
                return
        raise AssertionError(f"the focus never came to {name!r}")

    tab_to("token")
    tab.type(token)
    tab.press("Enter")
    tab.until("document.querySelector('.connection.live')")
    tab_to("Services")
    tab.press("Enter")
    tab.until("document.activeElement.tagName === 'H1' && document.activeElement.innerText === 'Services'")
    tab.until_text("shop/payment")
    tab_to("Service")
    tab.press("Enter")
    tab.until("document.querySelector('th[aria-sort=ascending]')?.innerText === 'Service'")
    assert focused() == "Service"
    tab_to("shop/ads")
    tab.press("Enter")
    tab.until("document.title === 'ads · Roam'")
    tab.until_text("Candidates", "Chosen")
    tab.run("document.activeElement.blur()")
    tab_to("Sign out")
    tab.press(" ")
    tab.until("document.querySelector('input[name=token]')")
    assert tab.run("sessionStorage.length + localStorage.length") == 0
    assert token not in tab.run("document.body.outerHTML + location.href")


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_every_view_can_be_read(quiet: Browser, url: str, token: str, width: int, scheme: str) -> None:
    """On a phone too: nothing to scroll sideways for; contrast, names, headings and landmarks as WCAG 2.2 AA has it."""
    tab = quiet.page(width, 740)
    tab.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    tab.go(f"{url}/")
    tab.until("document.querySelector('input[name=token]')")
    assert complaints(tab) == []
    sign_in(tab, url, token)
    for view in VIEWS:
        look_at(tab, view)
        tab.until("!/Loading|Asking the planner|reading its/.test(document.body.innerText)")
        assert complaints(tab) == [], view


READABLE = (Path(__file__).parent / "readable.js").read_text()
NAMED = {
    *("link", "button", "textbox", "searchbox", "checkbox", "img", "table", "navigation", "heading"),
    *("columnheader", "rowheader"),
}


def complaints(tab: Tab) -> list[str]:
    """What somebody who sees little or nothing, or holds a phone, would stumble over."""
    found: list[str] = tab.run(READABLE)
    for node in tab.do("Accessibility.getFullAXTree")["nodes"]:
        role = node.get("role", {}).get("value")
        if not node.get("ignored") and role in NAMED and not str(node.get("name", {}).get("value", "")).strip():
            found.append(f"a {role} without a name: {node.get('properties')}")
    return found


def test_a_wrong_token_is_explained(quiet: Browser, url: str) -> None:
    tab = quiet.page()
    tab.go(f"{url}/#/costs")
    tab.until("document.querySelector('input[name=token]')")
    tab.run("document.querySelector('input[name=token]').focus()")
    tab.type("not-the-token-of-this-server")
    tab.press("Enter")
    tab.until_text("does not take this token")
    assert tab.run("document.querySelector('[role=alert]').textContent")
    assert tab.run("sessionStorage.length") == 0
    quiet.complaints[:] = [each for each in quiet.complaints if "401" not in each]


def test_a_token_of_one_namespace_sees_that_one(quiet: Browser, url: str, home: Path) -> None:
    token = roam(home, "token", "create", "ann", "--role", "view", "-n", "shop").split()[-1]
    tab = quiet.page()
    tab.go(f"{url}/")
    tab.until("document.querySelector('input[name=token]')")
    tab.run("document.querySelector('input[name=token]').focus()")
    tab.type(token)
    tab.press("Enter")
    tab.until_text("does not reach all namespaces", "shop")
    tab.run("document.querySelector('input[name=namespace]').focus()")
    tab.type("shop")
    tab.press("Enter")
    tab.until_text("Live", "10 of 10")
    look_at(tab, "services/shop/cart")
    tab.until_text("shop/cart", "Chosen")
    quiet.complaints[:] = [each for each in quiet.complaints if "403" not in each]


def test_ten_thousand_placements_do_not_freeze_it(quiet: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, extras=lambda store: page_extras(store, lambda: NOW)) as served:
        crowd(served, 10_000)
        tab = quiet.page()
        sign_in(tab, served.url, TOKEN)
        tab.until_text("10,000", within_s=30)
        look_at(tab, "services")
        tab.until_text("10,000 in all")
        assert tab.run("document.querySelectorAll('*').length") < 2500
        tab.run(
            "window.longest = 0; new PerformanceObserver(list => list.getEntries().forEach(entry => {"
            "window.longest = Math.max(window.longest, entry.duration) })).observe({entryTypes: ['longtask']})"
        )
        change(served, 300)
        tab.until_text("Out of policy", within_s=20)
        tab.run("[...document.querySelectorAll('thead button')].find(node => node.innerText === 'USD/h').click()")
        tab.run("document.querySelector('input[type=search]').focus()")
        tab.type("s09")
        tab.until_text("1,000 of 10,000")
        tab.run("[...document.querySelectorAll('.pager button')].find(node => node.innerText === 'Next').click()")
        tab.until_text("51–100 of 1,000")
        assert tab.run("window.longest") < 1000


def test_it_comes_back_when_the_controller_does(quiet: Browser, url: str, token: str, home: Path) -> None:
    tab = quiet.page()
    sign_in(tab, url, token)
    tab.until_text("Live", "10 of 10")
    pid = sandbox.status(home).controller_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    tab.until_text("Reconnecting", "The server does not answer", "10 of 10")
    sandbox.up(home)
    text = tab.until_text("Live", "10 of 10", within_s=30)
    assert "does not answer" not in text
    quiet.complaints[:] = [each for each in quiet.complaints if "net::ERR_" not in each]


def placement(number: int, **status: Any) -> Placement:
    proposed = {
        "targets": [],
        "costUsdPerHour": number / 1e5,
        "terms": {"compute": number / 1e5},
        "reasons": ["it is cheap"],
    }
    ready = {"type": "Available", "status": "True", "reason": "Ready"}
    return Placement.model_validate(
        {
            "metadata": {"name": f"s{number:05}", "namespace": "shop"},
            "spec": {"targets": [{"subcluster": f"sub-{number % 40:02}", "replicas": 2}]},
            "status": {"proposed": proposed, "running": [], "conditions": [ready], **status},
        }
    )


def crowd(served: Served, count: int) -> None:
    served.store.write([Create(SubCluster.model_validate(a_subcluster(f"sub-{n:02}"))) for n in range(40)], now=NOW)
    for start in range(0, count, 1000):
        served.store.write([Create(placement(number)) for number in range(start, start + 1000)], now=NOW)


def change(served: Served, count: int) -> None:
    """Many small changes one after the other, as an engine makes them; the first of them is to be seen at the top."""
    bad = {"type": "OutOfPolicy", "status": "True", "reason": "Residency"}
    for number in range(count):
        new = placement(number, conditions=[bad])
        old = served.store.get(Placement, new.key)
        served.store.write([Replace(old.model_copy(update={"status": new.status}))], now=NOW)
