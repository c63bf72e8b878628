"""test/cli/wtkms_lab.py -- What the tests of wtkms share: the commands under test, homes that the real
engine wrote (Debian's wt, WiredTiger 3.2.1, with our module), and tools that damage files as an attacker
or a disk would: with a checksum that fits."""
import json
import os
import platform
import pwd
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest

BUILD = os.path.abspath(os.environ.get("WTKMS_BUILD", "."))
WTKMS = os.path.join(BUILD, "wtkms")
MODULE = os.path.join(BUILD, ".libs", "libwiredtiger_kms.so")
WT = shutil.which("wt")
ROOT = os.geteuid() == 0
ENGINE = subprocess.run([WT, "-V"], capture_output=True, text=True).stdout.split()[1].rstrip(":") if WT else None
NOBODY = pwd.getpwnam("nobody")
# In memory where there is some: what is tested here does not survive a power cut anyway.
SCRATCH = os.environ.get("TMPDIR") or ("/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
SECRET_TEXT = b"plaintext-that-no-file-may-hold"


def sanitizer_library():
    """An engine that was not built with the sanitizer must load its library first."""
    out = subprocess.run(["ldd", MODULE], capture_output=True, text=True).stdout
    found = [line.split()[2] for line in out.splitlines() if "libasan" in line or "libtsan" in line]
    if not found and os.path.exists(MODULE):
        # clang puts its library into programs and names none in a module.
        with open(MODULE, "rb") as module:
            text = module.read()
        found = [subprocess.run(["clang", f"-print-file-name=libclang_rt.{name}-{platform.machine()}.so"],
                                capture_output=True, text=True).stdout.strip()
                 for name in ("asan", "tsan") if b"__%s_init" % name.encode() in text]
    return " ".join(found)


PRELOAD = sanitizer_library()


class Result:
    def __init__(self, process):
        self.code = process.returncode
        self.out = process.stdout.decode("utf-8", "surrogateescape")
        self.err = process.stderr.decode("utf-8", "surrogateescape")

    def json(self):
        return json.loads(self.out)


def wtkms(*args, user=None, **kwargs):
    """Run wtkms. user: a passwd entry to run it as, all ids dropped."""
    command = [WTKMS, *map(os.fspath, args)]
    if user is not None:
        command = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"] + command
    kwargs.setdefault("stdout", subprocess.PIPE)
    return Result(subprocess.run(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=120,
                                 **kwargs))


def engine_environment():
    environment = dict(os.environ)
    environment.pop("WIREDTIGER_CONFIG", None)
    if PRELOAD:
        environment["LD_PRELOAD"] = PRELOAD
        environment["ASAN_OPTIONS"] = "detect_leaks=0"
    return environment


def engine(home, *args, check=True, config=None, feed=None):
    command = [WT, "-h", home] + (["-C", config] if config else []) + list(args)
    process = subprocess.run(command, input=feed, capture_output=True, env=engine_environment(), timeout=120)
    if check and process.returncode != 0:
        raise AssertionError(f"{command}: {process.stderr.decode(errors='replace')}")
    return process


def rows(count, start=0):
    return b"".join(b"key%08d\n%s-%d\n" % (i, SECRET_TEXT, i) for i in range(start, start + count))


def load(home, table="table:t", count=3000, config="key_format=S,value_format=S", **kwargs):
    engine(home, "create", "-c", config, table, **kwargs)
    engine(home, "loadtext", table, feed=rows(count), **kwargs)


CRC_TABLE = []
for _n in range(256):
    for _ in range(8):
        _n = _n >> 1 ^ (0x82F63B78 if _n & 1 else 0)
    CRC_TABLE.append(_n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


class Block:
    """One block of a WiredTiger file, as doc/unit-format.md and the engine's block.h have it."""

    def __init__(self, path, offset, data):
        self.path, self.offset, self.data = path, offset, bytearray(data)

    @property
    def encrypted(self):
        return self.data[25] & 8 != 0

    @property
    def unit_end(self):
        return struct.unpack_from("<I", self.data, 40)[0]

    def seal(self):
        """Give it a checksum that fits, as who has the disk can."""
        self.data[32:36] = bytes(4)
        covered = self.data if self.data[36] & 1 else self.data[:64]
        struct.pack_into("<I", self.data, 32, crc32c(covered))

    def write(self, path=None, offset=None):
        with open(path or self.path, "r+b") as file:
            file.seek(self.offset if offset is None else offset)
            file.write(self.data)


def blocks(path, allocation=4096):
    data = open(path, "rb").read()
    offset = allocation
    while offset < len(data):
        size = struct.unpack_from("<I", data, offset + 28)[0]
        if size % allocation or not 0 < size <= len(data) - offset:
            offset += allocation
            continue
        block = Block(path, offset, data[offset:offset + size])
        stored = struct.unpack_from("<I", block.data, 32)[0]
        check = Block(path, offset, block.data)
        check.seal()
        if struct.unpack_from("<I", check.data, 32)[0] != stored:
            offset += allocation
            continue
        yield block
        offset += size


def encrypted_block(path):
    """The largest: a leaf page."""
    return max((b for b in blocks(path) if b.encrypted), key=lambda b: len(b.data))


class Host:
    """A real engine that keeps a home open: it loads rows from a pipe that stays open."""

    def __init__(self, home, table="table:t"):
        self.process = subprocess.Popen([WT, "-h", home, "loadtext", table], stdin=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env=engine_environment())
        state = os.path.join(home, "wtkms.state")
        for _ in range(200):
            try:
                if json.load(open(state)).get("pid") == self.process.pid:
                    break
            except (OSError, ValueError):
                pass
            time.sleep(0.05)
        else:
            raise AssertionError("the host did not open the home")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


class Case(unittest.TestCase):
    """A directory of its own, a key, a configuration."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="wtkms-cli-", dir=SCRATCH)
        os.chmod(self.dir, 0o755)
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.key = self.path("customer.key")
        self.done(wtkms("keygen", self.key))
        self.config = self.configuration("wtkms.conf", [f"{{provider: local, keyFile: {self.key}}}"])

    def path(self, name):
        return os.path.join(self.dir, name)

    def configuration(self, name, entries, more="node: rs0-a\n"):
        path = self.path(name)
        with open(path, "w") as file:
            file.write(more + "kms:\n" + "".join(f"  - {e}\n" for e in entries))
        os.chmod(path, 0o644)
        return path

    def home(self, name="home"):
        path = self.path(name)
        os.mkdir(path, 0o700)
        return path

    def init(self, home, *more, config=None):
        return wtkms("init", home, "--config", config or self.config, "--module", MODULE, *more)

    def encrypted_home(self, name="home", count=3000):
        home = self.home(name)
        self.done(self.init(home))
        load(home, count=count)
        return home

    def copy(self, home, name="copy", without=()):
        path = self.path(name)
        shutil.copytree(home, path, ignore=lambda d, names: [n for n in names if n in without])
        return path

    def status(self, home, *more, code=0, **kwargs):
        result = wtkms("status", home, "--format", "json", *more, **kwargs)
        self.assertEqual(result.code, code, result.err + result.out)
        return result.json()

    def check(self, home, *more, code=0):
        result = wtkms("check", home, "--config", self.config, "--format", "json", *more)
        self.assertEqual(result.code, code, result.err + result.out)
        return result.json()

    def done(self, result):
        self.assertEqual(result.code, 0, result.err + result.out)
        return result

    def refused(self, result, identity, code=1):
        """One line on stderr that ends in the id of the error."""
        lines = [line for line in result.err.splitlines() if not line.startswith("wtkms: warning")]
        self.assertEqual(result.code, code, result.err + result.out)
        self.assertEqual(len(lines), 1, result.err)
        self.assertTrue(lines[0].startswith("wtkms: "), result.err)
        self.assertTrue(lines[0].endswith(f"({identity})"), result.err)
        return lines[0]


def snapshot(path):
    """All that a directory holds, to see that a command left it alone."""
    found = {}
    for folder, _, names in os.walk(path):
        for name in names:
            full = os.path.join(folder, name)
            stat = os.lstat(full)
            content = os.readlink(full) if os.path.islink(full) else open(full, "rb").read()
            found[os.path.relpath(full, path)] = (stat.st_mode, stat.st_uid, stat.st_mtime_ns, content)
    return found
