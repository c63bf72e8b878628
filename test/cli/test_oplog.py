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


def document(*elements):
    body = b"".join(elements)
    return struct.pack("<I", len(body) + 5) + body + b"\0"


def text(value):
    return struct.pack("<I", len(value) + 1) + value + b"\0"


def server_entry(seconds, increment, term, message=None, session=None, number=0, before=None):
    """As a server writes one: a no-op with a message, or an insert, of a session and after another one of it."""
    fields = [b"\x11ts\0" + struct.pack("<II", increment, seconds), b"\x12t\0" + struct.pack("<q", term),
              b"\x02op\0" + text(b"n" if message else b"i"),
              b"\x03o\0" + (document(b"\x02msg\0" + text(message.encode())) if message else document())]
    if session:
        at, of = (before, term) if before else (0, -1)
        fields += [b"\x03lsid\0" + document(b"\x05id\0" + struct.pack("<IB", 16, 4) + session * 16),
                   b"\x12txnNumber\0" + struct.pack("<q", number),
                   b"\x03prevOpTime\0" + document(b"\x11ts\0" + struct.pack("<II", 1 if before else 0, at),
                                                   b"\x12t\0" + struct.pack("<q", of))]
    return document(*fields)


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
        first, second, third = entries(T0, T0 + 100), entries(T0 + 100, T0 + 101), entries(T0 + 160, T0 + 260)
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
                         ("rs0-a", f"{T0}:1", f"{T0 + 259}:3", 603, 3))
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

    def gaps(self, name, *more, code=4):
        row, = self.listed(self.path(name), *more, code=code, verify=True)
        self.assertEqual(row["gapCount"], len(row["gaps"]))
        return [(gap["kind"], gap["after"], gap["before"], gap["missing"]) for gap in row["gaps"]]

    def test_silence_inside_of_an_archive(self):
        self.seal("a", entries(T0, T0 + 2) + entries(T0 + 61, T0 + 62) + entries(T0 + 122, T0 + 123))
        self.seal("a", entries(T0 + 300, T0 + 301))
        self.assertEqual(self.gaps("a"), [("silence", f"{T0 + 61}:3", f"{T0 + 122}:1", None),
                                          ("silence", f"{T0 + 122}:3", f"{T0 + 300}:1", None)])
        self.assertEqual(len(self.gaps("a", "--silence", "59")), 3)
        self.assertEqual(len(self.gaps("a", "--silence", "177")), 1)
        self.assertEqual(self.gaps("a", "--silence", "178", code=0), [])
        code, out, _ = self.run_wtkms("oplog", "verify", self.path("a"), config=self.config)
        self.assertEqual(code, 4)
        self.assertIn(f"has no entry for 178 s, between {T0 + 122}:3 and {T0 + 300}:1".encode(), out)
        # A list reads no entry, so it says nothing of them.
        self.assertNotIn("gaps", self.listed(self.path("a"))[0])

    def test_terms(self):
        def written(second, term, message=None):
            return ((T0 + second, 1), server_entry(T0 + second, 1, term, message))
        whole = [written(0, 3), written(1, 3), written(2, 4, "new primary"), written(3, 4), written(4, 6, "new primary")]
        self.seal("a", whole)
        self.assertEqual(self.gaps("a", code=0), [])
        self.seal("b", whole[:2] + whole[3:])
        self.assertEqual(self.gaps("b"), [("term start", f"{T0 + 1}:1", f"{T0 + 3}:1", None)])
        self.seal("c", whole[:2] + [written(2, 4, "another note")])
        self.assertEqual(self.gaps("c"), [("term start", f"{T0 + 1}:1", f"{T0 + 2}:1", None)])
        self.seal("d", whole + [written(9, 5)])
        self.assertEqual(self.gaps("d"), [("term back", f"{T0 + 4}:1", f"{T0 + 9}:1", None)])

    def test_sessions(self):
        """Three writes of a session that name each other, others in between; then without one of them."""
        def write(second, session, number, before):
            return ((T0 + second, 1), server_entry(T0 + second, 1, 1, None, session, number, before))
        whole = [write(1, b"A", 7, None), write(2, b"B", 1, None), write(3, b"A", 7, T0 + 1), write(4, b"B", 1, T0 + 2),
                 write(5, b"A", 7, T0 + 3), write(6, b"A", 8, None), write(7, b"A", 8, T0 + 6)]
        self.seal("a", whole)
        self.assertEqual(self.gaps("a", code=0), [])
        self.seal("b", whole[:2] + whole[3:])
        self.assertEqual(self.gaps("b"), [("session", f"{T0 + 4}:1", f"{T0 + 5}:1", f"{T0 + 3}:1")])
        # What was before the archive is no gap in it.
        self.seal("c", whole[2:])
        self.assertEqual(self.gaps("c", code=0), [])
        code, out, _ = self.run_wtkms("oplog", "verify", self.path("b"), config=self.config)
        self.assertEqual(code, 4)
        self.assertIn(f"an entry of {T0 + 5}:1 that follows one of {T0 + 3}:1, which is missing".encode(), out)

    def test_many_gaps_are_counted(self):
        self.seal("a", [((T0 + 100 * i, 1), entry(T0 + 100 * i, 1)) for i in range(151)])
        row, = self.listed(self.path("a"), code=4, verify=True)
        self.assertEqual((row["gapCount"], len(row["gaps"])), (150, 100))
        _, out, _ = self.run_wtkms("oplog", "verify", self.path("a"), config=self.config)
        self.assertIn(b"has 50 more", out)

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
