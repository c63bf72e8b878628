"""test/peers/server.py -- A real server on loopback that speaks MongoDB's protocol: the mongod that
MONGOD names, else SecantusDB. Started on a free port, ended by its own pid.
"""
import os
import signal
import socket
import subprocess
import sys
import time

import pymongo
from pymongo.errors import PyMongoError

START_SECONDS = 60
STOP_SECONDS = 60


def free_port():
    """A port that nobody listens on at the moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Refused(Exception):
    """The server ended instead of opening its home. output is what it printed."""

    def __init__(self, output, code):
        super().__init__(f"the server ended with {code}")
        self.output = output
        self.code = code


class Server:
    """One server on one home. environment adds to that of the process."""

    def __init__(self, home, log, environment=None):
        self.home = home
        self.log = log
        self.environment = dict(environment or {})
        self.process = None
        self.port = None

    @staticmethod
    def name():
        """What it is, for people."""
        mongod = os.environ.get("MONGOD")
        if mongod:
            says = subprocess.run([mongod, "--version"], capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, timeout=60, check=True).stdout
            return says.splitlines()[0].replace("db version ", "mongod ")
        from importlib.metadata import version
        return f"SecantusDB {version('SecantusDB')}"

    def _command(self):
        mongod = os.environ.get("MONGOD")
        if mongod:
            return [mongod, "--dbpath", self.home, "--port", str(self.port), "--bind_ip", "127.0.0.1",
                    "--nounixsocket"]
        # --sync-on-commit makes an acknowledged write a journaled one, as j: true asks for.
        return [os.path.join(os.path.dirname(sys.executable), "secantusd-py"), "--storage-path",
                self.home, "--port", str(self.port), "--sync-on-commit"]

    def start(self):
        """Start it and wait until it answers. Refused when it ends instead."""
        os.makedirs(self.home, exist_ok=True)
        self.port = free_port()
        offset = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.environment}, cwd=os.path.dirname(self.log))
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            code = self.process.poll()
            if code is not None:
                self.process = None
                with open(self.log, "rb") as log:
                    log.seek(offset)
                    raise Refused(log.read().decode(errors="replace"), code)
            try:
                with self.client(timeout=1000) as client:
                    client.admin.command("ping")
                return self
            except PyMongoError:
                time.sleep(0.1)
        self.kill()
        raise TimeoutError(f"the server did not answer in {START_SECONDS} s; see {self.log}")

    def client(self, timeout=20000):
        """A pymongo client of it."""
        return pymongo.MongoClient(
            "127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=timeout,
            socketTimeoutMS=60000, retryWrites=False)

    def kill(self):
        """SIGKILL: no last word, no checkpoint."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self):
        """A clean end; its exit code. SIGKILL when it takes too long."""
        if not self.process:
            return None
        self.process.terminate()
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.process = None
        return code

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        # Left in order or by an exception: nothing stays behind.
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            pass
