"""test/kms_peers/lab.py -- What the tests with real key servers share: servers that are started and ended,
certificates, configurations, one entry of `kms:` driven by kms_tool, and a real database on Debian's
WiredTiger 3.2.1 whose master key such a server wrapped.

WTKMS_BUILD names the build tree. All that a Lab makes is gone when it is closed, at the end of the process at the latest.
"""
import base64
import contextlib
import json
import mmap
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("WTKMS_BUILD", "."))
KMS_TOOL = os.path.join(BUILD, "kms_tool")
WTKMS = os.path.join(BUILD, "wtkms")
MODULE = os.path.join(BUILD, ".libs", "libwiredtiger_kms.so")
WT = shutil.which("wt")
REQUIRED = os.environ.get("WTKMS_REQUIRE_PEERS") == "1"
# What the caller's environment says of proxies and clouds is not what is tested.
FOREIGN = ("_PROXY", "AWS_", "AZURE_", "GOOGLE_", "VAULT_", "BAO_", "IDENTITY_", "MSI_", "WIREDTIGER_CONFIG")

PORTS, LABS = [], []

CONTEXT = {"uuid": "0123456789abcdef0123456789abcdef", "master_key_id": 1234567890123, "scope": "default"}
PLAINTEXT = bytes(range(32)) + b"a master key and what it is bound to"
# Only common/clock.h asks for this clock; timeouts and the access check go by it.
CLOCK = """#define _GNU_SOURCE
    #include <dlfcn.h>
    #include <fcntl.h>
    #include <stdint.h>
    #include <stdlib.h>
    #include <sys/mman.h>
    #include <time.h>
    static volatile int64_t *moved;
    __attribute__((constructor)) static void start(void) {
        int fd = open(getenv("WTKMS_TEST_CLOCK"), O_RDONLY | O_CLOEXEC);
        void *map = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED) abort();
        moved = map;
    }
    int clock_gettime(clockid_t id, struct timespec *ts) {
        static int (*real)(clockid_t, struct timespec *);
        if (real == NULL) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
        int ret = real(id, ts);
        if (id == CLOCK_BOOTTIME && moved != NULL) ts->tv_sec += *moved;
        return ret;
    }"""


def clean_environment(more=None):
    environment = {k: v for k, v in os.environ.items() if not k.upper().startswith(FOREIGN) and
                   not k.upper().endswith("_PROXY")}
    environment.update(more or {})
    return environment


def peer(name):
    """What test/peers/NAME --where prints; the test is skipped, or fails where peers are required."""
    result = subprocess.run([os.path.join(SOURCE, "test", "peers", name), "--where"], capture_output=True,
                            text=True, timeout=120)
    if result.returncode == 0 and result.stdout.strip():
        return result.stdout.strip()
    missing(f"peer {name} is not installed: test/peers/{name} does that")


def missing(reason):
    if REQUIRED:
        raise AssertionError(reason)
    raise unittest.SkipTest(reason)


def free_port():
    """A port that no other caller gets, in this process or another one, until this process ends. It is below those that
    the kernel gives to clients, so it stays free for a server until that starts, and when it starts again."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        end = int(file.read().split()[0])
    for port in random.sample(range(max(end - 16384, 1024), end), 1000):
        owner = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError), socket.socket() as s:
            owner.bind(f"\0wtkms-test-port-{port}")
            s.bind(("127.0.0.1", port))
            PORTS.append(owner)
            return port
        owner.close()
    raise AssertionError("no port is free")


def b64(data):
    return base64.b64encode(data).decode()


class Server:
    """A process in a group of its own, with its output in a file."""

    def __init__(self, command, log, environment, directory):
        self.log = log
        self.output = open(log, "ab")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=subprocess.STDOUT, env=environment, cwd=directory,
                                        start_new_session=True)

    def wait(self, answers, seconds):
        """Until answers() is true; refused and broken connections are not yet answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                if answers():
                    return self
            time.sleep(0.05)
        self.stop()
        raise AssertionError(f"{self.process.args[0]} does not answer: {self.tail()}")

    def tail(self):
        with open(self.log, errors="replace") as file:
            return file.read()[-2000:]

    def stop(self):
        if self.process.poll() is None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(5)
                    break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.output.close()


class Clock:
    """A clock of timeouts and lives, for programs that get .environment, which the test moves on."""

    def __init__(self, made):
        library = made.path("clock.so")
        if not os.path.exists(library):
            source = made.write("clock.c", CLOCK)
            subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True, timeout=60)
        made.counter += 1
        path = made.write(f"clock-{made.counter}", bytes(8))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8)
        self.seconds = 0
        self.environment = {"LD_PRELOAD": library, "WTKMS_TEST_CLOCK": path}

    def move(self, seconds):
        self.seconds += seconds
        self.map[:] = self.seconds.to_bytes(8, "little")


class Session:
    """One kms_tool that stays: its client keeps connection and token."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=environment)

    def ask(self, request, seconds=60):
        self.process.stdin.write((json.dumps(request) + "\n").encode())
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            self.close()
            raise AssertionError("kms_tool did not answer")
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("kms_tool ended: " + self.process.stderr.read().decode(errors="replace"))
        return json.loads(line)

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


class Lab:
    def __init__(self, name):
        scratch = os.environ.get("TMPDIR") or ("/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.dir = tempfile.mkdtemp(prefix=f"wtkms-{name}-", dir=scratch)
        self.servers = []
        self.counter = 0
        LABS.append(self)
        if not os.access(KMS_TOOL, os.X_OK):
            raise AssertionError(f"{KMS_TOOL} is not built; WTKMS_BUILD names the build tree")

    def close(self):
        if self in LABS:
            LABS.remove(self)
        for server in reversed(self.servers):
            server.stop()
        shutil.rmtree(self.dir, True)

    # --- files

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, data, mode=0o600):
        path = self.path(name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data if isinstance(data, bytes) else data.encode())
        return path

    def config(self, *entries, more="", name=None):
        """wtkms.conf with these entries of `kms:`, dictionaries. more is YAML behind it."""
        self.counter += 1
        text = "kms:\n" + "".join(f"  - {json.dumps(entry)}\n" for entry in entries) + more
        return self.write(name or f"wtkms-{self.counter}.conf", text, 0o644)

    # --- servers

    port = staticmethod(free_port)

    def start(self, command, answers, environment=None, seconds=60, directory=None):
        """answers: a URL that must give any HTTP answer, a port that must accept, or a function."""
        self.counter += 1
        log = self.path(f"server-{self.counter}.log")
        server = Server([os.fspath(part) for part in command], log, clean_environment(environment),
                        directory or self.dir)
        self.servers.append(server)
        if isinstance(answers, int):
            return server.wait(lambda: accepts(answers), seconds)
        if isinstance(answers, str):
            return server.wait(lambda: http_answers(answers), seconds)
        return server.wait(answers, seconds)

    # --- certificates

    def authority(self, name="authority"):
        return Authority(self, name)

    # --- one entry

    def command(self, config, command, entry=0):
        return [KMS_TOOL, "--config", config, "--entry", str(entry), command]

    def session(self, config, command, entry=0, environment=None):
        return Session(self.command(config, command, entry), clean_environment(environment))

    def tool(self, config, command, request, entry=0, environment=None, seconds=90):
        """One question, its answer; the exit code must fit it."""
        result = subprocess.run(self.command(config, command, entry), input=json.dumps(request) + "\n",
                                capture_output=True, text=True, timeout=seconds,
                                env=clean_environment(environment))
        lines = result.stdout.splitlines()
        if len(lines) != 1 or result.returncode not in (0, 1):
            raise AssertionError(f"kms_tool: exit {result.returncode}: {result.stdout}{result.stderr}")
        answer = json.loads(lines[0])
        if answer["ok"] != (result.returncode == 0):
            raise AssertionError(f"kms_tool: exit {result.returncode} with {answer}")
        return answer

    def wrap(self, config, plaintext=PLAINTEXT, context=None, **kwargs):
        return self.tool(config, "wrap", {**CONTEXT, **(context or {}), "plaintext": b64(plaintext)}, **kwargs)

    def unwrap(self, config, wrapped, context=None, key_id=None, **kwargs):
        """wrapped: the answer of a wrap."""
        request = {**CONTEXT, **(context or {}), "wrapped": wrapped["wrapped"],
                   "key_id": key_id or wrapped["key_id"]}
        answer = self.tool(config, "unwrap", request, **kwargs)
        if answer["ok"]:
            answer["plaintext"] = base64.b64decode(answer["plaintext"])
        return answer

    def describe(self, config, key_id=None, **kwargs):
        return self.tool(config, "describe", {"key_id": key_id} if key_id else {}, **kwargs)

    # --- a database

    def wtkms(self, *args, environment=None, check=True):
        result = subprocess.run([WTKMS, *map(os.fspath, args)], capture_output=True, text=True, timeout=120,
                                stdin=subprocess.DEVNULL, env=clean_environment(environment))
        if check and result.returncode != 0:
            raise AssertionError(f"wtkms {args}: exit {result.returncode}: {result.stdout}{result.stderr}")
        return result

    @staticmethod
    def engine_environment(more=None):
        """For a program that loads the module, which may be built with a sanitizer."""
        environment = clean_environment(more)
        libraries = subprocess.run(["ldd", MODULE], capture_output=True, text=True).stdout
        preload = [line.split()[2] for line in libraries.splitlines() if "libasan" in line or "libtsan" in line]
        if preload:
            preload += environment.get("LD_PRELOAD", "").split()
            environment.update(LD_PRELOAD=" ".join(preload), ASAN_OPTIONS="detect_leaks=0")
        return environment

    def engine(self, home, *args, feed=None, environment=None, check=True):
        if WT is None:
            missing("Debian's package wiredtiger is not installed")
        result = subprocess.run([WT, "-h", home, *args], input=feed, capture_output=True, timeout=120,
                                env=self.engine_environment(environment))
        if check and result.returncode != 0:
            raise AssertionError(f"wt {args}: exit {result.returncode}: {result.stderr.decode(errors='replace')}")
        return result

    def database(self, config, name="home", rows=1000, environment=None):
        """A new encrypted home with a table of so many rows."""
        home = self.path(name)
        os.mkdir(home, 0o700)
        self.wtkms("init", home, "--config", config, "--module", MODULE, environment=environment)
        self.engine(home, "create", "-c", "key_format=S,value_format=S", "table:t", environment=environment)
        feed = b"".join(b"key%06d\nplaintext-in-no-file-%d\n" % (i, i) for i in range(rows))
        self.engine(home, "loadtext", "table:t", feed=feed, environment=environment)
        return home

    def rows(self, home, environment=None):
        """How many rows the engine reads."""
        out = self.engine(home, "dump", "table:t", environment=environment).stdout
        return out.count(b"plaintext-in-no-file-")

    def check_database(self, config, environment=None):
        """End to end: written, closed, opened, read, and no plaintext on the disk."""
        home = self.database(config, rows=1000, environment=environment)
        if self.rows(home, environment=environment) != 1000:
            raise AssertionError("rows are missing")
        for name in os.listdir(home):
            with open(os.path.join(home, name), "rb") as file:
                if b"plaintext-in-no-file" in file.read():
                    raise AssertionError(f"{name} holds plaintext")
        return home


def close_all():
    """What a test that was broken off left: its servers, its files."""
    for open_lab in list(LABS):
        open_lab.close()


def accepts(port):
    socket.create_connection(("127.0.0.1", port), 1).close()
    return True


def http_answers(url):
    import ssl
    context = ssl._create_unverified_context()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                         urllib.request.HTTPSHandler(context=context))
    try:
        opener.open(url, timeout=2).close()
    except urllib.error.HTTPError:
        pass
    return True


class Authority:
    """A certificate authority: .certificate; issue() makes pairs of files that it signed."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.certificate, self.key = lab.path(name + "-authority.pem"), lab.path(name + "-authority.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)

    def issue(self, name, names="DNS:localhost,IP:127.0.0.1", days=None, usage="serverAuth,clientAuth",
              algorithm="ec", subject=None):
        """(certificate, key) paths. days: (not before, not after) from now, negative is past."""
        request, certificate, key = (self.lab.path(f"{name}.{end}") for end in ("csr", "pem", "key"))
        kind = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if algorithm == "ec" else ["rsa:2048"]
        openssl("req", "-new", "-newkey", *kind, "-nodes", "-subj", subject or f"/CN={name}", "-keyout", key,
                "-out", request)
        os.chmod(key, 0o600)
        extensions = self.lab.write(f"{name}.cnf", f"[x]\nsubjectAltName={names}\nextendedKeyUsage={usage}\n"
                                    "basicConstraints=CA:false\nkeyUsage=digitalSignature,keyEncipherment\n")
        start, end = days or (-1, 30)
        if end > 0:
            openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                    "-days", str(end), "-extfile", extensions, "-extensions", "x", "-out", certificate)
            return certificate, key
        # openssl x509 knows no dates that are past; the little authority of openssl ca does.
        base = self.lab.path(f"{name}-ca")
        os.mkdir(base)
        open(os.path.join(base, "index"), "w").close()
        config = self.lab.write(f"{name}-ca.cnf", "[ca]\ndefault_ca=d\n[d]\ndatabase=%s/index\nnew_certs_dir=%s\n"
                                "rand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n" %
                                (base, base))
        dates = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + d * 86400)) for d in (start, end)]
        openssl("ca", "-batch", "-config", config, "-cert", self.certificate, "-keyfile", self.key, "-in", request,
                "-startdate", dates[0], "-enddate", dates[1], "-extfile", extensions, "-extensions", "x", "-notext",
                "-out", certificate)
        return certificate, key


def openssl(*args):
    result = subprocess.run(["openssl", *args], capture_output=True, text=True, timeout=60)
    if result.returncode != 0:
        raise AssertionError(f"openssl {args}: {result.stderr}")


class Case(unittest.TestCase):
    """A test case with one Lab for the class; `start` of a subclass fills it once. seconds: about how long the
    class takes; test/kms_peers/run starts the longest first."""

    seconds = 10

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(cls.__module__.removeprefix("test_"))
        try:
            cls.start()
        except BaseException:
            cls.lab.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.lab.close()

    @classmethod
    def start(cls):
        pass

    def wrapped(self, config, **kwargs):
        """The answer of a wrap that must succeed."""
        answer = self.lab.wrap(config, **kwargs)
        self.assertTrue(answer["ok"], answer)
        return answer

    def opens(self, config, wrapped, plaintext=PLAINTEXT, **kwargs):
        answer = self.lab.unwrap(config, wrapped, **kwargs)
        self.assertTrue(answer["ok"], answer)
        self.assertEqual(answer["plaintext"], plaintext)

    def fails(self, answer, name, *texts, id=None):
        """It failed with that class, and its message or hint has each text."""
        self.assertFalse(answer["ok"], answer)
        self.assertEqual(answer["class"], name, answer)
        if id is not None:
            self.assertEqual(answer["id"], id, answer)
        for text in texts:
            self.assertIn(text, answer["message"] + " | " + answer["hint"])
        return answer


if __name__ == "__main__":
    sys.exit("this is no test; see test/kms_peers/run")
