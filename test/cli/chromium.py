"""test/cli/chromium.py -- A headless Chromium without a network, driven through its own pipe (the DevTools
protocol, one JSON object and a zero byte a message), so that nothing but the browser is needed.

Every wait has a limit, and the browser is ended with its helpers."""
import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

PROGRAM = shutil.which("chromium") or shutil.which("chromium-headless-shell") or shutil.which("chromium-browser")


class Browser:
    """One page. What the page asks for, and what goes wrong in it, is kept in requests and errors."""

    def __init__(self, seconds=60):
        self.end = time.monotonic() + seconds
        self.requests, self.errors, self.loaded = [], [], False
        self.number, self.buffer = 0, b""
        self.dir = tempfile.mkdtemp(prefix="wtkms-chromium-")
        to_browser, self.output = self.pipe()
        self.input, from_browser = self.pipe()
        # The root user has no sandbox to go into. No proxy is asked, and every name is unknown.
        command = [PROGRAM, "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-extensions", "--disable-background-networking", "--disable-component-update",
                   "--disable-sync", "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND",
                   f"--user-data-dir={self.dir}", "--remote-debugging-pipe", "about:blank"]
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")
        environment = {**os.environ, "HOME": self.dir, "XDG_RUNTIME_DIR": self.dir}
        self.log = tempfile.TemporaryFile()
        # The browser reads descriptor 3 and writes 4.
        wire = f"exec 3<&{to_browser} 4>&{from_browser} {to_browser}<&- {from_browser}>&- && exec \"$@\""
        self.process = subprocess.Popen(["bash", "-c", wire, "bash"] + command, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, env=environment, cwd=self.dir,
                                        pass_fds=(to_browser, from_browser), start_new_session=True)
        os.close(to_browser)
        os.close(from_browser)
        self.session = None
        try:
            target = self.ask("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.ask(domain + ".enable")
            self.ask("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0,
                     uploadThroughput=0)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def pipe():
        """Beyond the numbers that the browser wants for its ends."""
        low = os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in low]
        for fd in low:
            os.close(fd)
        return high

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for fd in (self.input, self.output):
            os.close(fd)
        self.log.close()
        shutil.rmtree(self.dir, True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def failed(self, what):
        self.log.seek(0)
        return AssertionError(f"chromium: {what}: {self.log.read().decode(errors='replace')[-2000:]}")

    def message(self):
        while b"\0" not in self.buffer:
            left = self.end - time.monotonic()
            if left <= 0 or not select.select([self.input], [], [], left)[0]:
                raise self.failed("no answer in time")
            data = os.read(self.input, 1 << 20)
            if not data:
                raise self.failed("it ended")
            self.buffer += data
        text, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(text)

    def event(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"])

    def ask(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        data = json.dumps(request).encode() + b"\0"
        while data:
            data = data[os.write(self.output, data):]
        while True:
            message = self.message()
            if message.get("id") != self.number:
                self.event(message)
            elif "error" in message:
                raise AssertionError(f"chromium: {method}: {message['error']}")
            else:
                return message["result"]

    def open(self, path):
        self.requests, self.errors, self.loaded = [], [], False
        self.ask("Page.navigate", url="file://" + path)
        while not self.loaded:
            self.event(self.message())

    def evaluate(self, expression):
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def click(self, selector):
        """With the mouse, where the element is."""
        place = self.evaluate(f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
                              "e.scrollIntoView(); const b = e.getBoundingClientRect();"
                              "return [b.left + b.width / 2, b.top + b.height / 2]; })()")
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def pdf(self):
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=True)["data"])
