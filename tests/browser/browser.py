"""A headless Chromium, driven by WebDriver, the protocol that browsers have for tests; it is JSON over HTTP.

https://www.w3.org/TR/webdriver2, and Chromium's own commands: https://chromedevtools.github.io/devtools-protocol
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib import error, request

LIMIT = 300  # seconds for any answer; axe takes long on a busy host
# Nothing of it asks the network, and nothing of it is kept.
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)
# The page's own timers: whatever it has begun in the frame before has run by then.
SETTLED = """
const done = arguments[arguments.length - 1];
requestAnimationFrame(() => setTimeout(() => requestAnimationFrame(() => done()), 200));
"""
TAB = "\ue004"


def missing() -> str:
    """Why there is no browser for tests; empty: there is one."""
    lacking = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    return f"{' and '.join(lacking)} not found: make tools installs them" if lacking else ""


class Browser:
    """A window of a browser."""

    def __init__(self, driver: str) -> None:
        """:param driver: the address of chromedriver."""
        self._driver = driver
        self._session = ""

    def open(self, profile: str) -> None:
        """:param profile: an empty directory."""
        root = ("--no-sandbox",) if os.geteuid() == 0 else ()  # Chromium has no sandbox for root
        options = {"args": [*FLAGS, *root, f"--user-data-dir={profile}"]}
        wanted = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "timeouts": {"script": LIMIT * 1000, "pageLoad": LIMIT * 1000},  # milliseconds
        }
        found = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{found['sessionId']}"
        self._call("POST", f"{self._session}/url", {"url": "about:blank"})
        self.requested()  # by the page that it begins with

    def close(self) -> None:
        self._call("DELETE", self._session)

    def show(self, page: Path) -> None:
        self._call("POST", f"{self._session}/url", {"url": page.resolve().as_uri()})

    def size(self, width: int, height: int = 900) -> None:
        """Of the page, in CSS pixels."""
        about = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **about)
        self.settle()

    def scheme(self, scheme: str) -> None:
        """:param scheme: light or dark."""
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.settle()

    def scripts(self, *, allowed: bool) -> None:
        """Whether the next page may run scripts."""
        self.devtools("Emulation.setScriptExecutionDisabled", value=not allowed)

    def settle(self) -> None:
        """Waits until the page has drawn its charts anew, which it does a tenth of a second after a change."""
        self.later(SETTLED)

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def later(self, script: str, *arguments: object) -> Any:
        """What a script hands to the function that is its last argument."""
        return self._call("POST", f"{self._session}/execute/async", {"script": script, "args": list(arguments)})

    def press(self, key: str) -> None:
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        about = {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}
        self._call("POST", f"{self._session}/actions", about)

    def said(self) -> list[str]:
        """What it has written to its console since the last call, warnings and errors."""
        logged = self._call("POST", f"{self._session}/se/log", {"type": "browser"})
        return [each["message"] for each in logged]

    def requested(self) -> list[str]:
        """The addresses that it has asked for since the last call."""
        logged = self._call("POST", f"{self._session}/se/log", {"type": "performance"})
        events = [json.loads(each["message"])["message"] for each in logged]
        return [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]

    def picture(self, place: str = "", *, most: int = 4000) -> bytes:
        """A PNG. :param place: the CSS selector of the part that is taken; empty: what is in the window."""
        about: dict[str, object] = {"format": "png", "captureBeyondViewport": bool(place)}
        if place:
            box = self.run(
                "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
                "return [box.x + scrollX, box.y + scrollY, box.width, box.height]",
                place,
            )
            about["clip"] = {"x": box[0], "y": box[1], "width": box[2], "height": min(box[3], most), "scale": 1}
        return base64.b64decode(self.devtools("Page.captureScreenshot", **about)["data"])

    def devtools(self, command: str, **parameters: object) -> Any:
        about = {"cmd": command, "params": parameters}
        return self._call("POST", f"{self._session}/goog/cdp/execute", about)

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        asked = request.Request(self._driver + path, data, {"Content-Type": "application/json"}, method=method)
        opener = request.build_opener(request.ProxyHandler({}))
        try:
            with opener.open(asked, timeout=LIMIT) as answer:
                return json.load(answer)["value"]
        except error.HTTPError as refused:
            raise AssertionError(f"{method} {path}: {refused.read().decode()[:2000]}") from refused


@contextlib.contextmanager
def opened() -> Iterator[Browser]:
    """A browser, which ends with the block."""
    with contextlib.ExitStack() as stack:
        profile = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="labgen-browser-", ignore_cleanup_errors=True)
        )
        driver = stack.enter_context(
            subprocess.Popen(
                ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        )
        stack.callback(driver.terminate)
        assert driver.stdout
        for line in driver.stdout:
            if "started successfully on port" in line:
                browser = Browser(f"http://127.0.0.1:{line.split()[-1].rstrip('.')}")
                break
        else:
            raise AssertionError("chromedriver does not start")
        browser.open(profile)
        stack.callback(browser.close)
        yield browser
