#!/usr/bin/env python3
"""test/snapshot/test_copies.py -- Two hundred homes and copies in one list: those of each engine that is there, whole,
halved, torn, without keys, packed, linked in circles, named as no one should name a directory. Every one is listed,
and rightly; nothing is left out in silence; and it takes less than ten seconds.

  WTKMS_BUILD=TREE test/snapshot/test_copies.py

The engines are those of test/peers/engines (WTKMS_PEERS); without them Debian's wt alone. With WTKMS_REQUIRE_PEERS=1 one
that is missing is a failure. Arguments are unittest's."""
import os
import shutil
import subprocess
import sys
import tarfile
import time
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cli"))
from wtkms_lab import *  # noqa: E402,F403

PEERS = os.environ.get("WTKMS_PEERS", os.path.join(os.path.dirname(os.path.dirname(HERE)), ".peers"))
VERSIONS = ("3.2.1", "10.0.0", "11.2.0", "11.3.1")
KEYSTORES = ("wtkms.keystore", "wtkms.keystore.prev")
NAMES = (b"with space", b"new\nline", b"not\xff\xfeutf8", b"-rf", b"quote'\"$(x)`", "\u65e5\u672c".encode(), b"tab\there",
         b"back\\slash", b"\x1b[31m", b"<b>&amp;", b"*", b"~", b"x" * 255, b"d" * 200 + b"/" + b"e" * 200 + b"/f")


def engines():
    """Name and the command of each engine's wt."""
    found = {version: os.path.join(PEERS, "engines", version) for version in VERSIONS
             if os.path.isfile(os.path.join(PEERS, "engines", version, "stamp"))}
    if os.environ.get("WTKMS_REQUIRE_ENGINES") == "1" and len(found) < len(VERSIONS):
        raise AssertionError(f"of the engines {VERSIONS} only {list(found)} are there: test/peers/engines builds them")
    return found or ({ENGINE: None} if WT else {})


class Expected:
    """A row as it has to be. keys: data keys in use, by keyid and version. notes: what a problem must name."""

    def __init__(self, encryption, keystore, judged=True, recipients=(), keys=None, notes=(), plain_tables=None):
        self.encryption, self.keystore, self.judged = encryption, keystore, judged
        self.recipients, self.keys, self.notes, self.plain_tables = sorted(recipients), keys, notes, plain_tables


class CopiesTest(Case):
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.tree = self.path("tree")
        os.mkdir(self.tree)
        self.expected = {}
        self.skipped = 0
        self.configure()

    def configure(self):
        """One recipient; and three, with a key of its own for a tenant."""
        for name in ("second", "tenant"):
            self.done(wtkms("keygen", self.path(name + ".key")))
        for args in (["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072", "-out", self.path("p")],
                     ["pkey", "-in", self.path("p"), "-pubout", "-out", self.path("recovery.pem")]):
            subprocess.run(["openssl", *args], check=True)
        self.several = self.configuration(
            "several.conf", [f"{{provider: local, keyFile: {self.key}}}",
                             f"{{provider: local, keyFile: {self.path('second.key')}}}",
                             f"{{provider: publickey, publicKeyFile: {self.path('recovery.pem')}}}"],
            f"node: rs1\nkeys:\n  tenantA: {{kms: [{{provider: local, keyFile: {self.path('tenant.key')}}}]}}\n")

    # --- homes, by each engine

    def wt(self, home, *args, feed=None):
        environment = engine_environment()
        program = WT
        if self.engine:
            program = os.path.join(self.engine, "bin", "wt")
            environment["LD_LIBRARY_PATH"] = os.path.join(self.engine, "lib")
        done = subprocess.run([program, "-h", home, *args], input=feed, capture_output=True, env=environment, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))

    def fill(self, home, table, config="", count=40):
        self.wt(home, "create", "-c", "key_format=S,value_format=S" + config, "table:" + table)
        self.wt(home, "loadtext", "table:" + table, feed=rows(count))

    def homes(self, version):
        """In the shape that directoryPerDB and directoryForIndexes give."""
        one, several, plain = (self.path(f"{version}-{kind}") for kind in ("one", "several", "plain"))
        for home, config in ((one, self.config), (several, self.several), (plain, None)):
            os.makedirs(os.path.join(home, "shop", "collection"), 0o700)
            if config:
                self.done(self.init(home, config=config))
        for home in (one, plain):
            self.fill(home, "catalog")
            self.fill(home, "shop/collection/7-1")
        self.fill(several, "t")
        self.fill(several, "shop/collection/8-1", ",encryption=(name=kms,keyid=tenantA)")
        self.fill(several, "clear", ",encryption=(name=none)", count=4)
        self.done(wtkms("rotate", "data", several, "--keyid", "default", "--config", self.several))
        self.fill(several, "u")
        return one, several, plain

    # --- what becomes of them

    def add(self, source, name, expected, without=(), change=None):
        """A copy of source in the tree. A name may have directories."""
        raw = name if isinstance(name, bytes) else name.encode()
        path = os.path.join(self.tree.encode(), raw)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        without = [w.encode() for w in without]
        shutil.copytree(source.encode(), path, symlinks=True, ignore=lambda d, names: [n for n in names if n in without])
        if change:
            change(path.decode(errors="surrogateescape"))
        self.assertNotIn(raw, self.expected)
        self.expected[raw] = expected
        return path.decode(errors="surrogateescape")

    def recipients(self, home):
        row, = wtkms("snapshot", "list", home, "--format", "json").json()["copies"]
        return [r["encryptionKeyId"] for r in row["recipients"]]

    @staticmethod
    def cut(name, size):
        return lambda path: os.truncate(os.path.join(path, name), size)

    @staticmethod
    def write(name, data):
        def change(path):
            with open(os.path.join(path, name), "wb") as file:
                file.write(data)
        return change

    def torn(self, version, one, ids):
        """Half copies, and keystores that are torn or away, with a mirror and without."""
        good = {"recipients": ids, "keys": {("default", 1)}}
        mirror = ("WiredTiger.config",)
        none = {"recipients": [], "keys": None}
        for name, expected, without, change in (
                ("whole", Expected("encrypted", "present", **good), (), None),
                ("mirror", Expected("encrypted", "from mirror", **good), KEYSTORES, None),
                ("keystore-alone", Expected("encrypted", "present", **good), mirror, None),
                ("no-keys", Expected("keystore missing", "missing", False, **none), KEYSTORES + mirror, None),
                ("torn-keystore", Expected("keystore missing", "present", False, notes=["wtkms.keystore"], **none),
                 mirror + KEYSTORES[1:], self.cut("wtkms.keystore", 200)),
                ("empty-keystore", Expected("keystore missing", "present", False, notes=["wtkms.keystore"], **none),
                 mirror + KEYSTORES[1:], self.cut("wtkms.keystore", 0)),
                ("torn-beside-mirror", Expected("encrypted", "from mirror", False, notes=["wtkms.keystore"], **good),
                 (), self.cut("wtkms.keystore", 200)),
                ("noise-keystore", Expected("encrypted", "from mirror", False, notes=["wtkms.keystore"], **good), (),
                 self.write("wtkms.keystore", bytes(range(256)) * 8)),
                ("torn-mirror", Expected("keystore missing", "missing", False, **none), KEYSTORES,
                 self.cut("WiredTiger.config", 400)),
                ("half", Expected("encrypted", "present", False, notes=["half a copy"], **good),
                 ("WiredTiger.turtle", "WiredTiger.wt"), None),
                ("no-metadata", Expected("encrypted", "present", False, **good), ("WiredTiger.wt",), None),
                ("cut-table", Expected("encrypted", "present", False, notes=["catalog.wt"], **good), (),
                 self.cut("catalog.wt", 4096 + 700)),
                ("empty-table", Expected("encrypted", "present", False, notes=["catalog.wt"], **good), (),
                 self.cut("catalog.wt", 0)),
                ("noise-table", Expected("encrypted", "present", False, notes=["catalog.wt"], **good), (),
                 self.write("catalog.wt", os.urandom(20000))),
                ("foreign-files", Expected("encrypted", "present", **good), (), self.strangers),
                ("nested/deep/er", Expected("encrypted", "present", **good), (), None)):
            self.add(one, f"{version}/{name}", expected, without, change)
        self.only_tables(version, one)

    def only_tables(self, version, one):
        """Tables that were saved without anything else."""
        path = os.path.join(self.tree, version, "tables")
        os.mkdir(path)
        shutil.copy(os.path.join(one, "catalog.wt"), path)
        self.expected[f"{version}/tables".encode()] = Expected("keystore missing", "missing", False)

    @staticmethod
    def strangers(path):
        """What lies about in homes and is not the engine's."""
        for name, data in (("core.1234", b"\x7fELF" + bytes(8192)), ("mongod.lock", b"77\n"), ("notes.txt", b"WiredTiger\n"),
                           ("storage.bson", b"\x16\0\0\0\2a\0\2\0\0\0b\0\0"), ("sizeStorer.old", b""), ("x.gz", b"\x1f\x8b\x08\0"),
                           ("WiredTiger.wt.bak", b"not a table"), ("diagnostic.data", b"metrics")):
            with open(os.path.join(path, name), "wb") as file:
                file.write(data)
        os.mkfifo(os.path.join(path, "fifo"))
        os.mkdir(os.path.join(path, "_tmp"))

    def linked(self, version, one, ids):
        good = Expected("encrypted", "present", recipients=ids, keys={("default", 1)})

        def loops(path):
            os.symlink(".", os.path.join(path, "self"))
            os.symlink("../../..", os.path.join(path, "shop", "up"))

        def circle(path):
            os.symlink("b", os.path.join(path, "a"))
            os.symlink("a", os.path.join(path, "b"))

        def other_disk(path):
            disk = self.path(f"disk-{version}")
            os.rename(os.path.join(path, "shop"), disk)
            os.symlink(disk, os.path.join(path, "shop"))

        def dangling(path):
            os.unlink(os.path.join(path, "shop", "collection", "7-1.wt"))
            os.symlink("/nowhere/7-1.wt", os.path.join(path, "shop", "collection", "7-1.wt"))

        self.add(one, f"{version}/loops", good, change=loops)
        self.add(one, f"{version}/circle", Expected("encrypted", "present", False, ids, {("default", 1)}, ["/a", "/b"]),
                 change=circle)
        self.add(one, f"{version}/other-disk", good, change=other_disk)
        self.add(one, f"{version}/dangling", Expected("encrypted", "present", False, ids, {("default", 1)}, ["7-1.wt"]),
                 change=dangling)
        self.add(one, f"{version}/outer", good)
        self.add(one, f"{version}/outer/inner", good)

    def packed(self, version, one, plain, ids):
        """Archives of three: one row for each of their members."""
        good = Expected("encrypted", "present", recipients=ids, keys={("default", 1)})
        mirror = Expected("encrypted", "from mirror", recipients=ids, keys={("default", 1)})
        for mode, end in (("w", "tar"), ("w:gz", "tar.gz"), ("w:xz", "tar.xz")):
            name = f"{version}/backup.{end}"
            with tarfile.open(os.path.join(self.tree, name), mode) as tar:
                tar.add(one, "one")
                tar.add(one, "mirror", filter=lambda info: None if os.path.basename(info.name) in KEYSTORES else info)
                tar.add(plain, "plain")
            for member, expected in (("one", good), ("mirror", mirror), ("plain", Expected("Not enabled", "missing"))):
                self.expected[name.encode(), member] = expected
        name = f"{version}/cut.tar.gz"
        shutil.copy(os.path.join(self.tree, f"{version}/backup.tar.gz"), os.path.join(self.tree, name))
        os.truncate(os.path.join(self.tree, name), 100)
        self.skipped += 1

    # --- the test

    def check(self, name, row, expected):
        self.assertEqual((row["encryption"], row["keystore"], row["judged"]),
                         (expected.encryption, expected.keystore, expected.judged), (name, row["problems"]))
        self.assertEqual(sorted(r["encryptionKeyId"] for r in row["recipients"]), expected.recipients, name)
        if expected.keys is not None:
            self.assertEqual({(k["keyid"], k["version"]) for k in row["dataKeys"]}, expected.keys, name)
        if expected.plain_tables is not None:
            self.assertEqual(row["plainTables"], expected.plain_tables, name)
        for note in expected.notes:
            self.assertIn(note, " ".join(row["problems"]), name)
        if expected.judged:
            self.assertEqual(row["problems"], [], name)

    @staticmethod
    def shown(name):
        """As the inventory has it: other bytes than UTF-8 are \\xHH."""
        return "".join(f"\\x{ord(c) - 0xdc00:02x}" if 0xdc80 <= ord(c) <= 0xdcff else c
                       for c in name.decode(errors="surrogateescape"))

    def make(self):
        found = engines()
        if not found:
            self.skipTest("no engine")
        for version, self.engine in found.items():
            one, several, plain = self.homes(version)
            ids = self.recipients(one)
            self.assertEqual(len(ids), 1)
            of_several = self.recipients(several)
            self.assertEqual(len(of_several), 4)
            self.torn(version, one, ids)
            self.linked(version, one, ids)
            self.packed(version, one, plain, ids)
            self.add(several, f"{version}/several", Expected(
                "encrypted", "present", True, of_several, {("default", 1), ("default", 2), ("tenantA", 1)}, plain_tables=1))
            self.add(plain, f"{version}/plain", Expected("Not enabled", "missing"))
            for name in NAMES:
                self.add(one, version.encode() + b"/" + name,
                         Expected("encrypted", "present", recipients=ids, keys={("default", 1)}))
        for number in range(1000):
            if len(self.expected) >= 200:
                break
            self.add(one, f"more/{number}", Expected("encrypted", "present", recipients=ids, keys={("default", 1)}))
        os.symlink("..", os.path.join(self.tree, "round"))
        return found

    def test_two_hundred(self):
        found = self.make()
        before = {name: os.lstat(os.path.join(self.tree.encode(), name if isinstance(name, bytes) else name[0])).st_mtime_ns
                  for name in self.expected}
        start = time.monotonic()
        result = wtkms("snapshot", "list", self.tree, "--format", "json")
        took = time.monotonic() - start
        self.assertEqual(result.code, 4, result.err)
        inventory = result.json()
        got, around = {}, []
        for copy in inventory["copies"]:
            key = copy["path"][len(self.tree) + 1:]
            if key.startswith("round/"):
                around.append(key[6:])
                continue
            key = (key, copy["member"]) if copy["archive"] else key
            self.assertNotIn(key, got)
            got[key] = copy
        want = {self.shown(name) if isinstance(name, bytes) else (self.shown(name[0]), name[1]): expected
                for name, expected in self.expected.items()}
        self.assertGreaterEqual(len(want), 200)
        self.assertEqual(sorted(map(str, got)), sorted(map(str, want)))
        for name, expected in want.items():
            self.check(name, got[name], expected)
        # By the link that leads around, what is beside the tree; the tree itself not again.
        self.assertEqual(sorted(around), sorted(f"{v}-{kind}" for v in found for kind in ("one", "several", "plain")))
        skipped = [line for line in inventory["skipped"] if "cut.tar.gz" in line]
        self.assertEqual((len(skipped), len(inventory["skipped"])), (self.skipped, self.skipped), inventory["skipped"])
        for name, mtime in before.items():
            path = os.path.join(self.tree.encode(), name if isinstance(name, bytes) else name[0])
            self.assertEqual(os.lstat(path).st_mtime_ns, mtime, name)
        print(f"{len(got)} copies of WiredTiger {', '.join(found)} in {took:.2f} s", file=sys.stderr)
        self.assertLess(took, 10)

        # A key that all of one engine's copies need, and one that nobody knows: what could not be judged is told.
        usage = wtkms("key", "usage", "arn:aws:kms:eu-west-1:111122223333:key/unknown", self.tree)
        self.assertEqual(usage.code, 4, usage.err)

    @unittest.skipUnless(WT, "no wt")
    def test_sparse_100_gib(self):
        self.engine = None
        home = self.path("sparse")
        os.mkdir(home)
        self.done(self.init(home))
        self.fill(home, "t")
        # As a real one would be: many files, most of the bytes in a few.
        for number, size in enumerate([30 << 30] * 3 + [10 << 30] + [1 << 20] * 60):
            path = os.path.join(home, f"collection-{number}.wt")
            shutil.copy(os.path.join(home, "t.wt"), path)
            os.truncate(path, size)
        start = time.monotonic()
        row, = wtkms("snapshot", "list", home, "--format", "json").json()["copies"]
        took = time.monotonic() - start
        self.assertTrue(row["sampled"])
        self.assertGreater(row["size"], 100 << 30)
        print(f"a home of {row['size'] >> 30} GiB (sparse) in {took:.2f} s", file=sys.stderr)
        self.assertLess(took, 2)


if __name__ == "__main__":
    unittest.main()
