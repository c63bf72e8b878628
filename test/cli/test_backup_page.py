#!/usr/bin/env python3
"""test/cli/test_backup_page.py -- doc/backup-and-restore.md does what it says: its marked blocks are run as they
stand, on a home that the real engine wrote, and every other wtkms line is held to the command's help.

Run by make check in the build directory; WTKMS_BUILD names another. Arguments are unittest's."""
import os
import re
import shutil
import struct
import subprocess
import sys
import textwrap
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wtkms_lab import *  # noqa: E402,F403

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "doc", "backup-and-restore.md")
with open(PAGE, encoding="utf-8") as page:
    TEXT = page.read()


def blocks_of(text):
    """(name, body) of each block of commands; the name is that of the mark before it, or empty."""
    found, name, body, fence = [], "", None, None
    for line in text.splitlines(True):
        mark = re.match(r" *<!-- run: (\w+) -->$", line)
        if mark:
            name = mark.group(1)
        elif re.match(r" *```", line):
            if body is None:
                body, fence = "", line.strip()
            else:
                if fence == "```":
                    found.append((name, textwrap.dedent(body)))
                body, name = None, ""
        elif body is not None:
            body += line
    return found


BLOCKS = blocks_of(TEXT)
FIRST, LAST, STEP = 1763999000, 1764003600, 50  # around the times in the page


def commands(text):
    """Every wtkms command of the page's blocks and of its text in backquotes, as words."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for body in [b.replace("\\\n", " ") for _, b in BLOCKS] + re.findall(r"`(wtkms [^`]*)`", joined.replace("\n", " ")):
        for line in body.splitlines():
            for part in re.split(r"[|;]|&&|#", line):
                words = part.split()
                if words and words[0] == "wtkms":
                    yield words[1:]


class HelpTest(unittest.TestCase):
    def test_every_command_exists(self):
        found = list(commands(TEXT))
        self.assertGreater(len(found), 25)
        for words in found:
            name = [words[0]]
            if wtkms(*name, "--help").code != 0 or words[0] in ("snapshot", "inventory", "oplog", "key", "keystore", "rotate"):
                name = words[:2]
            text = wtkms(*name, "--help")
            self.assertEqual(text.code, 0, f"the page has wtkms {' '.join(words)}: {text.err}")
            for word in words[len(name):]:
                if word.startswith("--"):
                    self.assertRegex(text.out, rf"{word}\b", f"the page has wtkms {' '.join(words)}")


@unittest.skipUnless(WT, "no wt")
class BlockTest(Case):
    def setUp(self):
        super().setUp()
        for name in ("backup", "backup/oplog", "look", "tmp", "bin"):
            os.mkdir(self.path(name))
        self.home = self.encrypted_home("mongodb", count=10)
        load(self.home, "table:collection", count=500)
        self.copy_path = self.path("backup/2026-11-24")
        shutil.copytree(self.home, self.copy_path)
        self.entries()
        # What stands in for an installed wtkms: the module is where it was built.
        with open(self.path("bin/wtkms"), "w") as file:
            file.write(f'#!/bin/sh\ncase "$1 $2" in\ninit* | "snapshot restore") set -- "$@" --module {MODULE} ;;\nesac\n'
                       f'exec {WTKMS} "$@"\n')
        # And the engine's tool, which may have to load a sanitizer's library first; wtkms must not.
        with open(self.path("bin/wt"), "w") as file:
            file.write(f"#!/bin/sh\n{'LD_PRELOAD=' + PRELOAD + ' ASAN_OPTIONS=detect_leaks=0' if PRELOAD else ''} exec {WT} \"$@\"\n")
        for name in ("wtkms", "wt"):
            os.chmod(self.path("bin/" + name), 0o755)

    def entries(self):
        with open(self.path("tmp/oplog.bson"), "wb") as file:
            for second in range(FIRST, LAST + 1, STEP):
                body = (b"\x11ts\0" + struct.pack("<II", 1, second) + b"\x02op\0\x02\0\0\0n\0" +
                        b"\x02ns\0\x01\0\0\0\0" + b"\x03o\0\x05\0\0\0\0")
                file.write(struct.pack("<i", len(body) + 5) + body + b"\0")

    def run_block(self, name, code=0):
        """As it stands, but for where things are."""
        blocks = [body for n, body in BLOCKS if n == name]
        self.assertEqual(len(blocks), 1, name)
        text = re.sub(r"/var/lib/mongodb|/etc/wtkms(-new)?\.conf|/srv/look|/srv/new|/backup\b|/tmp\b",
                      lambda m: {"/var/lib/mongodb": self.home, "/etc/wtkms.conf": self.config,
                                 "/etc/wtkms-new.conf": self.path("new.conf"), "/srv/new": self.path("new"),
                                 "/srv/look": self.path("look"), "/backup": self.path("backup"),
                                 "/tmp": self.path("tmp")}[m.group(0)], blocks[0])
        environment = {**os.environ, "PATH": self.path("bin") + ":" + os.environ["PATH"]}
        environment.pop("WIREDTIGER_CONFIG", None)
        done = Result(subprocess.run(["bash", "-euc", text], capture_output=True, stdin=subprocess.DEVNULL,
                                     env=environment, timeout=120))
        self.assertEqual(done.code, code, done.err + done.out)
        return done

    def test_list(self):
        out = self.run_block("list").out
        self.assertEqual(out.count(self.copy_path), 3)
        self.assertEqual(out.count(": opens"), 1)
        self.assertTrue(os.path.getsize(self.path("backup/keys.html")) > 1000)

    def rows_of(self, home):
        """What the engine reads."""
        return engine(home, "dump", "table:collection").stdout.count(SECRET_TEXT)

    def row(self, path):
        row, = wtkms("snapshot", "list", path, "--format", "json").json()["copies"]
        return row

    def test_create(self):
        self.run_block("create")
        copy = self.path("backup/cold")
        self.assertIsNotNone(self.row(copy)["keepUntil"])
        self.done(wtkms("snapshot", "verify", copy, "--config", self.config))
        self.assertEqual(self.rows_of(copy), 500)

    def test_files_and_archive(self):
        with open(self.path("tmp/files.txt"), "w") as file:
            file.writelines(name + "\n" for name in os.listdir(self.home)
                            if name != "WiredTiger.lock" and not name.startswith("wtkms."))
        self.run_block("files")
        self.assertEqual(self.row(self.path("backup/hot"))["keystore"], "present")
        self.assertEqual(self.rows_of(self.path("backup/hot")), 500)
        if shutil.which("zstd"):
            self.assertIn("backup/2026-11-24.tar.zst", self.run_block("archive").out)

    def test_verify_and_restore(self):
        self.run_block("verify")
        before = self.row(self.home)
        for name in os.listdir(self.home):
            os.unlink(os.path.join(self.home, name))
        self.run_block("restore")
        after = self.row(self.home)
        self.assertNotEqual(after["uuid"], before["uuid"])
        self.assertNotEqual(after["masterKeys"], before["masterKeys"])
        self.assertEqual(self.rows_of(self.home), 500)

    def test_move_to_another_key(self):
        key = self.path("new.key")
        self.done(wtkms("keygen", key))
        self.configuration("new.conf", [f"{{provider: local, keyFile: {key}}}"])
        os.mkdir(self.path("new"), 0o700)
        self.run_block("move")
        os.rename(self.key, self.key + ".away")
        self.assertEqual(self.rows_of(self.path("new")), 500)
        self.assertEqual(self.row(self.path("new"))["recipients"][0]["credential"], key)

    def test_expire(self):
        old = self.path("backup/old")
        self.done(wtkms("snapshot", "create", self.home, old, "--config", self.config, "--keep-until", "1s"))
        time.sleep(1.1)
        self.assertIn(old, self.run_block("expire").out)
        self.assertEqual(sorted(os.listdir(self.path("backup"))), ["2026-11-24", "oplog"])

    def other_host(self):
        exported = self.done(wtkms("inventory", "export", self.copy_path)).out
        with open(self.path("tmp/rs0-b.json"), "w") as file:
            file.write(re.sub(r'"host" ?: "[^"]*"', '"host": "rs0-b.example.net"', exported))

    def test_inventory_and_usage(self):
        self.other_host()
        out = self.run_block("inventory", code=3).out
        self.assertIn("3 need it, of which 3 have no other recipient", out)
        self.assertIn("rs0-b.example.net:", out)
        self.assertEqual(self.run_block("usage", code=3).out, out)

    def test_point_in_time(self):
        out = self.run_block("seal").out
        self.assertIn(str((LAST - FIRST) // STEP + 1), out)
        self.run_block("open")
        with open(self.path("tmp/replay.bson"), "rb") as file:
            data = file.read()
        with open(self.path("tmp/oplog.bson"), "rb") as file:
            entry = len(file.read()) // ((LAST - FIRST) // STEP + 1)
        seconds = [struct.unpack_from("<I", data, at + 12)[0] for at in range(0, len(data), entry)]
        self.assertEqual(seconds, list(range(1764000000, 1764001800, STEP)))

    def test_one_collection(self):
        before = snapshot(self.copy_path)
        key = self.path("look/credential")
        shutil.copy(self.key, key)
        with open(self.path("look/wtkms.conf"), "w") as file:
            file.write(f"kms: [{{provider: local, keyFile: {key}}}]\naccess: {{onDisabled: warn}}\n")
        # The last line throws all away; what was read is looked at before.
        name, body = next(b for b in BLOCKS if b[0] == "look")
        self.assertTrue(body.endswith("rm -rf /srv/look\n"))
        BLOCKS.append(("look_kept", body.removesuffix("rm -rf /srv/look\n")))
        self.addCleanup(BLOCKS.pop)
        os.rename(self.key, self.key + ".away")  # the database's own credential plays no part
        out = self.run_block("look_kept").out
        self.assertIn("It decrypts the data of this home", out)
        self.assertIn("table:collection", out)
        with open(self.path("look/collection.dump"), "rb") as file:
            dump = file.read()
        self.assertEqual(dump.count(SECRET_TEXT.hex().encode()), 500)
        self.assertEqual(snapshot(self.copy_path), before)
        os.unlink(key)
        self.assertNotEqual(engine(self.path("look/clone"), "list", check=False).returncode, 0)


if __name__ == "__main__":
    unittest.main()
