"""A headless Chromium for tests, driven through its own debugging pipe: nothing to install beside the browser."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

PATH = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_ANSWER_S = 20.0
# The browser reads commands at 3 and writes at 4.
_EXEC = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3]]
os.dup2(ends[0], 3), os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
_KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " "), "Escape": (27, "")}


@dataclass
class Browser:
    """One browser. `requests` are all addresses any page asked for, `complaints` all that a console showed."""

    process: subprocess.Popen[bytes]
    write: int
    messages: Queue[dict[str, Any]]
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _numbers: int = 0

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Do one thing and return its result; what happens meanwhile is noted."""
        self._numbers += 1
        message = {"id": self._numbers, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        ends_at = time.monotonic() + _ANSWER_S
        while True:
            try:
                found = self.messages.get(timeout=max(0.01, ends_at - time.monotonic()))
            except Empty:
                raise TimeoutError(f"the browser did not answer to {method}") from None
            if found.get("id") == self._numbers:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']}")
                result: dict[str, Any] = found["result"]
                return result
            self._note(found)

    def page(self, width: int = 1280, height: int = 800) -> Tab:
        """A new window with nothing in it, and nothing kept from another."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session)
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            tab.do(f"{domain}.enable")
        tab.resize(width, height)
        return tab

    def _note(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(str(details.get("exception", {}).get("description") or details["text"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str([argument.get("value") for argument in params["args"]]))


@dataclass(frozen=True)
class Tab:
    """One window."""

    browser: Browser
    session: str

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.send(method, self.session, **params)

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def prefer(self, **features: str) -> None:
        """`prefer(prefers_color_scheme="dark")`."""
        found = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.do("Emulation.setEmulatedMedia", features=found)

    def go(self, url: str) -> None:
        self.do("Page.navigate", url=url)

    def run(self, expression: str) -> Any:
        """The value of an expression there; a promise is waited for."""
        found = self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", {}).get("description", "failed"))
        return found["result"].get("value")

    def until(self, expression: str, within_s: float = 15.0) -> Any:
        """Wait until the expression is true there."""
        return wait(lambda: self.run(f"!!({expression})"), within_s, lambda: f"{expression}\n{self.text()}")

    def text(self) -> str:
        """All that can be read."""
        return str(self.run("document.body.innerText"))

    def until_text(self, *parts: str, within_s: float = 15.0) -> str:
        def found() -> str:
            text = self.text()
            return text if all(part in text for part in parts) else ""

        return str(wait(found, within_s, lambda: f"{parts}\n{self.text()}"))

    def press(self, key: str, *, shift: bool = False) -> None:
        code, text = _KEYS[key]
        common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        common["modifiers"] = 8 if shift else 0
        self.do("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.do("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        self.do("Input.insertText", text=text)

    def shot(self, path: Path, *, whole: bool = False) -> None:
        """A picture of what is seen, or of the whole page."""
        data = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))


def wait(found: Callable[[], Any], within_s: float, what: Callable[[], str]) -> Any:
    """What `found` returns once it is true. Raises: TimeoutError with `what`."""
    ends_at = time.monotonic() + within_s
    while not (value := found()):
        if time.monotonic() > ends_at:
            raise TimeoutError(f"not within {within_s:g} s: {what()}")
        time.sleep(0.03)
    return value


@contextmanager
def browser(home: Path) -> Iterator[Browser]:
    """A browser with its own profile, until the end of the block."""
    assert PATH is not None, "there is no chromium: apt-get install chromium"
    to_read, to_write = os.pipe(), os.pipe()
    command = [
        sys.executable, "-c", _EXEC, str(to_read[0]), str(to_write[1]), PATH,
        "--headless", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run", "--disable-gpu",
        "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--force-color-profile=srgb", "--hide-scrollbars", f"--user-data-dir={home}", "about:blank",
    ]  # fmt: skip
    with subprocess.Popen(
        command, pass_fds=(to_read[0], to_write[1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        os.close(to_read[0])
        os.close(to_write[1])
        messages: Queue[dict[str, Any]] = Queue()
        thread = threading.Thread(target=_read, args=(to_write[0], messages), daemon=True)
        thread.start()
        try:
            yield Browser(process, to_read[1], messages)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
            thread.join(5)
            os.close(to_read[1])


def _read(descriptor: int, messages: Queue[dict[str, Any]]) -> None:
    rest = b""
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        while part := stream.read(1 << 16):
            *whole, rest = (rest + part).split(b"\0")
            for message in whole:
                messages.put(json.loads(message))
