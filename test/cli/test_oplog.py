#!/usr/bin/env python3
"""test/cli/test_oplog.py -- wtkms oplog seal, list, verify and open, as a DBA calls them.

Run by make check in the build directory; WTKMS_BUILD names another. Arguments are unittest's."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
BUILD = os.path.abspath(os.environ.get("WTKMS_BUILD", "."))
WTKMS = os.path.join(BUILD, "wtkms")
SCRATCH = os.environ.get("TMPDIR") or ("/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
T0 = 1764000000  # 2025-11-24T16:00:00Z


def entry(seconds, increment, text=b"x" * 40):
    body = b"\x11ts\0" + struct.pack("<II", increment, seconds)
    body += b"\x02o\0" + struct.pack("<I", len(text) + 1) + text + b"\0"
    return struct.pack("<I", len(body) + 5) + body + b"\0"


def entries(first, last, increments=3):
    return [((s, i), entry(s, i)) for s in range(first, last) for i in range(1, increments + 1)]


def joined(pairs):
    return b"".join(data for _, data in pairs)


class OplogTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="wtkms-oplog-", dir=SCRATCH)
        self.addCleanup(shutil.rmtree, self.dir)
        self.config = self.configure("k")

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def configure(self, name, node="rs0-a"):
        key = self.path(name + ".key")
        if not os.path.exists(key):
            self.assertEqual(self.run_wtkms("keygen", key)[0], 0)
        config = self.path(f"{name}-{node}.conf")
        with open(config, "w") as f:
            f.write(f"node: {node}\nkms: [{{provider: local, keyFile: {key}}}]\n")
        return config

    def run_wtkms(self, *args, feed=b"", config=None):
        command = [WTKMS, *args] + (["--config", config] if config else [])
        process = subprocess.run(command, input=feed, capture_output=True, timeout=120)
        return process.returncode, process.stdout, process.stderr.decode()

    def seal(self, name, pairs, *more, code=0, config=None):
        result = self.run_wtkms("oplog", "seal", self.path(name), *more, feed=joined(pairs),
                                config=config or self.config)
        self.assertEqual(result[0], code, result[2])
        return result

    def open(self, *names, more=(), code=0):
        result = self.run_wtkms("oplog", "open", *(self.path(n) for n in names), *more, config=self.config)
        self.assertEqual(result[0], code, result[2])
        return result[1], result[2]

    def listed(self, *args, code=0, verify=False):
        what = "verify" if verify else "list"
        result = self.run_wtkms("oplog", what, *args, "--format", "json",
                                config=self.config if verify else None)
        self.assertEqual(result[0], code, result[2])
        return json.loads(result[1])["archives"]

    def test_round_trip_in_three_appends(self):
        first, second, third = entries(T0, T0 + 100), entries(T0 + 100, T0 + 101), entries(T0 + 200, T0 + 300)
        self.seal("a", first)
        self.seal("a", second)
        with open(self.path("third.bson"), "wb") as f:
            f.write(joined(third))
        code, _, err = self.run_wtkms("oplog", "seal", self.path("a"), self.path("third.bson"), config=self.config)
        self.assertEqual(code, 0, err)
        self.assertEqual(self.open("a")[0], joined(first + second + third))
        self.assertEqual(os.stat(self.path("a")).st_mode & 0o777, 0o600)
        (row,) = self.listed(self.path("a"))
        self.assertEqual((row["node"], row["first"], row["last"], row["entries"], row["segments"]),
                         ("rs0-a", f"{T0}:1", f"{T0 + 299}:3", 603, 3))
        self.assertEqual(row["recipients"][0]["provider"], "local")
        self.assertFalse(row["verified"])
        self.assertTrue(self.listed(self.path("a"), verify=True)[0]["verified"])

    def test_from_and_until_cut_exactly(self):
        pairs = entries(T0, T0 + 20)
        self.seal("a", pairs)
        for start, end in ((0, 7), (4, 31), (31, 60), (59, 60), (10, 10 + 1)):
            begin = pairs[start][0]
            more = ["--from", "%d:%d" % begin]
            if end < 60:
                more += ["--until", "%d:%d" % pairs[end][0]]
            self.assertEqual(self.open("a", more=more)[0], joined(pairs[start:end]), more)
        more = ["--from", "2025-11-24T16:00:05Z", "--until", "2025-11-24T17:00:06+01:00"]
        self.assertEqual(self.open("a", more=more)[0], joined(pairs[15:18]))
        self.assertEqual(self.open("a", more=["--from", str(T0 + 1000)])[0], b"")
        self.assertIn("no time", self.open("a", more=["--until", "yesterday"], code=2)[1])
        self.open("a", more=["--until", str(T0), "--from", str(T0)], code=2)

    def test_an_open_end_is_told(self):
        pairs = entries(T0, T0 + 20)
        self.seal("a", pairs)
        with open(self.path("a"), "r+b") as f:
            f.truncate(os.path.getsize(self.path("a")) - 1)
        out, err = self.open("a", code=1)
        self.assertEqual(out, joined(pairs))
        self.assertIn("oplog-open-end", err)
        out, err = self.open("a", more=["--allow-open-end"])
        self.assertEqual(out, joined(pairs))
        self.assertIn(f"what came after {T0 + 19}:3 is not in it", err)
        self.assertTrue(self.listed(self.path("a"))[0]["endIsOpen"])
        self.listed(self.path("a"), verify=True, code=1)
        _, _, err = self.seal("a", pairs + entries(T0 + 20, T0 + 21), "--resume")
        self.assertIn("were cut off", err)
        self.assertEqual(self.open("a")[0], joined(pairs + entries(T0 + 20, T0 + 21)))

    def test_input_that_stops_inside_of_an_entry(self):
        pairs = entries(T0, T0 + 20)
        code, _, err = self.run_wtkms("oplog", "seal", self.path("a"), feed=joined(pairs)[:-3], config=self.config)
        self.assertEqual(code, 1)
        self.assertIn("entry 60", err)
        self.assertEqual(self.open("a", code=1)[0], joined(pairs[:-1]))
        self.seal("a", pairs, "--resume")
        self.assertEqual(self.open("a")[0], joined(pairs))

    def test_changed_archives_fail(self):
        self.seal("a", entries(T0, T0 + 20))
        with open(self.path("a"), "r+b") as f:
            f.seek(-120, os.SEEK_END)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 1]))
        out, err = self.open("a", code=1)
        self.assertIn("offset", err)
        self.listed(self.path("a"), verify=True, code=1)

    def test_gaps_between_files(self):
        os.mkdir(self.path("d"))
        self.seal("d/1", entries(T0, T0 + 10))
        self.seal("d/2", entries(T0 + 9, T0 + 20))
        self.seal("d/other", entries(T0 + 500, T0 + 501), config=self.configure("k", "rs0-b"))
        rows = self.listed(self.path("d"), verify=True)
        self.assertEqual([row["gapAfter"] for row in rows], [None, None, None])
        self.seal("d/3", entries(T0 + 20, T0 + 30))
        rows = self.listed(self.path("d"), verify=True, code=4)
        self.assertEqual(rows[2]["gapAfter"], f"{T0 + 19}:3")
        # What two of them have is written once, in order whatever the order of the names.
        self.assertEqual(self.open("d/2", "d/1")[0], joined(entries(T0, T0 + 20)))
        _, err = self.open("d/1", "d/3")
        self.assertIn("entries may be missing", err)
        self.assertIn("more than one node", self.open("d", code=1)[1])

    def test_a_home_is_recorded_and_not_needed(self):
        home = self.path("home")
        os.mkdir(home)
        code, _, err = self.run_wtkms("init", home, "--module", os.path.join(BUILD, ".libs/libwiredtiger_kms.so"),
                                      config=self.config)
        self.assertEqual(code, 0, err)
        uuid = json.loads(self.run_wtkms("keystore", "show", home, "--format", "json")[1])["uuid"]
        pairs = entries(T0, T0 + 20)
        self.seal("a", pairs, "--home", home)
        self.assertEqual(self.listed(self.path("a"))[0]["home"], uuid)
        code, _, err = self.run_wtkms("rotate", "master", home, config=self.config)
        self.assertEqual(code, 0, err)
        self.assertEqual(self.open("a")[0], joined(pairs))
        shutil.rmtree(home)
        self.assertEqual(self.open("a")[0], joined(pairs))
        # A configuration that does not open the home is not one to seal its oplog with.
        os.mkdir(home)
        self.seal("b", pairs, "--home", home, code=1)
        self.assertFalse(os.path.exists(self.path("b")))

    def test_another_key_does_not_open(self):
        self.seal("a", entries(T0, T0 + 20))
        self.config = self.configure("other")
        out, err = self.open("a", code=1)
        self.assertEqual(out, b"")
        self.assertIn("no configured key opens", err)


if __name__ == "__main__":
    unittest.main()
