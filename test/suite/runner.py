"""test/suite/runner.py -- The engine, the encryptor and the scratch folder of a run, and programs with a
time limit. Knows nothing of what the programs test."""
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))


class SetupError(Exception):
    """Nothing can be run."""


class Stopped(Exception):
    """A signal asked for the end."""


@dataclass
class Ended:
    """How a program ended: status as subprocess has it, seconds, and whether its time was over."""

    status: int
    wall: float
    cpu: float
    late: bool
    output: str

    def reason(self):
        if self.late:
            return f"not done after {self.wall:.0f} s"
        if self.status < 0:
            return f"ended by {signal.Signals(-self.status).name}"
        return f"exit {self.status}"


class Peer:
    """The built engine, and the encryptor that databases are opened with.

    encryptor: "kms" is the module of the build tree; "plain" none; else one of the engine's own, which
    tells a test that no encryptor can pass from one that ours fails.
    """

    def __init__(self, engine, build, encryptor):
        self.engine = os.path.abspath(engine)
        self.encryptor = encryptor
        parent = os.environ.get("WTKMS_SCRATCH", os.path.join(SOURCE, ".build", "suite"))
        os.makedirs(parent, exist_ok=True)
        self.scratch = tempfile.mkdtemp(prefix=f"{encryptor}-", dir=parent)
        # The engine is built beside its sources; its tests expect the build inside them.
        self.tree = os.path.join(self.scratch, "tree")
        os.mkdir(self.tree)
        os.symlink(os.path.join(self.engine, "build"), os.path.join(self.tree, "build"))
        os.symlink(os.path.join(self.engine, "src", "test"), os.path.join(self.tree, "test"))
        self.wt_build = os.path.join(self.tree, "build")
        self.extension = self.encryption = None
        self.wtkms = self.config = None
        self.module_version = ""
        if encryptor == "kms":
            self.set_module(build)
        elif encryptor != "plain":
            self.extension = self.library("encryptors", encryptor)
            self.encryption = f"(name={encryptor},keyid=11)"
            if not os.path.exists(self.extension):
                raise SetupError(f"{self.extension} is missing")

    def set_module(self, build):
        module = os.path.join(os.path.abspath(build), ".libs", "libwiredtiger_kms.so")
        program = os.path.join(os.path.abspath(build), "wtkms")
        for path in (module, program):
            if not os.path.exists(path):
                raise SetupError(f"{path} is missing: build it, or name the build tree in WTKMS_BUILD")
        key = os.path.join(self.scratch, "customer.key")
        config = os.path.join(self.scratch, "wtkms.conf")
        subprocess.run([program, "keygen", key], check=True, stdout=subprocess.DEVNULL)
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"kms: [ {{provider: local, keyFile: {key}}} ]\n")
        version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
        self.module_version = version.split("\n", 1)[0].strip()
        self.wtkms, self.config = program, config
        self.extension = f"{module}=(config=(config_file={config}))"
        self.encryption = "(name=kms,keyid=default)"

    def library(self, kind, name):
        folder = os.path.join(self.engine, "build", "ext", kind, name)
        found = [entry for entry in sorted(os.listdir(folder)) if entry.startswith("libwiredtiger_")
                 and entry.endswith(".so")] if os.path.isdir(folder) else []
        return os.path.join(folder, found[0]) if found else os.path.join(folder, f"libwiredtiger_{name}.so")

    def environment(self, **more):
        """For a program of the engine's; without settings of the caller's that reach into it."""
        env = {name: value for name, value in os.environ.items()
               if name not in ("WIREDTIGER_CONFIG", "WIREDTIGER_HOME", "PYTHONPATH")}
        env["WT_BUILDDIR"] = self.wt_build
        env["PYTHONPATH"] = HERE
        env["PYTHONDONTWRITEBYTECODE"] = "1"
        env["LC_ALL"] = "C.UTF-8"
        # Some tests look for upstream's tools in the git repository around them: that is not this one.
        env["GIT_CEILING_DIRECTORIES"] = os.path.dirname(self.scratch)
        if self.extension:
            env["WTKMS_SUITE_EXTENSION"] = self.extension
            env["WTKMS_SUITE_ENCRYPTION"] = self.encryption
        env.update(more)
        return env

    def environment_string(self, *libraries):
        """WIREDTIGER_CONFIG for programs in C. Its list replaces theirs, so it names what they load too."""
        if not self.extension:
            return {}
        listed = ",".join((self.extension,) + libraries)
        return {"WIREDTIGER_CONFIG": f"extensions=[{listed}],encryption={self.encryption}"}

    def check_homes(self, folder):
        """What `wtkms check` finds in the homes below a folder: every unit authenticates, nothing is in clear.
        A list of texts. No home with a keystore is a finding too: then nothing went through the module."""
        if self.encryptor != "kms":
            return []
        homes = sorted(path for path, _, files in os.walk(folder) if "wtkms.keystore" in files)
        found = [] if homes else ["no home with a keystore is left: it ran without the module"]
        for home in homes:
            checked = subprocess.run([self.wtkms, "check", home, "--config", self.config], check=False,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            text = checked.stdout.decode(errors="replace")
            if checked.returncode != 0:
                found.append(f"wtkms check {home}: exit {checked.returncode}\n{text[-2000:]}")
        return found

    def close(self):
        shutil.rmtree(self.scratch, ignore_errors=True)


running = set()  # leaders of the sessions that run now
stopped = threading.Event()


def stop(*_):
    """For a signal: ends what runs, so that threads come back and clean up."""
    stopped.set()
    for leader in list(running):
        kill_session(leader)


def run(command, cwd, env, limit, log):
    """Runs a program in a session of its own, its output in a file. Only that session is ever ended."""
    begin = time.monotonic()
    late = threading.Event()
    if stopped.is_set():
        raise Stopped()
    with open(log, "wb") as output:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        running.add(process.pid)

    def end():
        late.set()
        kill_session(process.pid)

    timer = threading.Timer(max(limit, 1), end)
    timer.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        timer.cancel()
        running.discard(process.pid)
    kill_session(process.pid)  # what it left running
    if stopped.is_set():
        raise Stopped()
    process.returncode = os.waitstatus_to_exitcode(status)
    with open(log, encoding="utf-8", errors="replace") as file:
        text = file.read()
    return Ended(process.returncode, time.monotonic() - begin, usage.ru_utime + usage.ru_stime, late.is_set(),
                 text)


def no_cores():
    """Tests crash programs on purpose: none of what this process starts leaves a core."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def kill_session(leader):
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Tally:
    """What is printed and counted, from any thread."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.notes = []
        self.lock = threading.Lock()

    def add(self, line, passed=0, failed=0, skipped=0, details=()):
        with self.lock:
            self.passed += passed
            self.failed += failed
            self.skipped += skipped
            print(("not ok " if failed else "ok ") + line, flush=True)
            for detail in details:
                print("    " + detail.rstrip().replace("\n", "\n    "), flush=True)

    def note(self, line):
        """Said again at the end."""
        with self.lock:
            self.notes.append(line)
            print("note: " + line, flush=True)

    def finish(self):
        for line in self.notes:
            print("note: " + line)
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        sys.stdout.flush()
        return 0 if self.failed == 0 and self.passed + self.skipped > 0 else 1


def side_by_side(work, items, jobs):
    """Calls work(item) for all items, so many at a time, in their order."""
    waiting, lock, errors = list(items), threading.Lock(), []

    def one():
        while True:
            with lock:
                if not waiting or errors:
                    return
                item = waiting.pop(0)
            try:
                work(item)
            except BaseException as error:  # said by the caller's thread
                errors.append(error)
                return

    threads = [threading.Thread(target=one) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
