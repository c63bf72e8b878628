#!/usr/bin/env python3
"""test/cli/test_copy.py -- wtkms snapshot create and expire, on homes that the real engine wrote.

Run by make check in the build directory; WTKMS_BUILD names another. Arguments are unittest's."""
import calendar
import contextlib
import hashlib
import io
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wtkms_lab import *  # noqa: E402,F403

LONG = os.environ.get("WTKMS_LONG", "0") != "0"
MANIFEST = "wtkms.manifest"
UNFINISHED = "wtkms.unfinished"
# What a copy leaves out: the engine's lock, ours, and the manifest itself.
LEFT_OUT = {"WiredTiger.lock", "wtkms.keystore.lock", "wtkms.copies.lock", MANIFEST}


def contents(path, left_out=frozenset()):
    """Every file below a directory, links to directories followed: its name and its bytes."""
    found = {}
    for folder, _, names in os.walk(os.fsencode(path), followlinks=True):
        for name in names:
            full = os.path.join(folder, name)
            below = os.path.relpath(full, os.fsencode(path))
            if os.fsdecode(below) not in left_out:
                with open(full, "rb") as file:
                    found[below] = file.read()
    return found


@unittest.skipUnless(WT, "no wt")
class CopyCase(Case):
    def create(self, home, destination, *args, code=0, config=True, **kwargs):
        result = wtkms("snapshot", "create", home, destination, *(["--config", self.config] if config else []),
                       *args, **kwargs)
        self.assertEqual(result.code, code, result.err + result.out)
        return result

    def row(self, path, code=0):
        result = wtkms("snapshot", "list", path, "--format", "json")
        self.assertEqual(result.code, code, result.err + result.out)
        copies = result.json()["copies"]
        self.assertEqual(len(copies), 1, copies)
        return copies[0]

    def opens(self, home, count=3000, table="table:t"):
        """The engine reads every row from the copy of a copy: the copy itself stays as it is."""
        clone = self.path(f"clone-{random.getrandbits(32)}")
        shutil.copytree(home, clone)
        dump = engine(clone, "dump", table).stdout
        self.assertEqual(dump.count(SECRET_TEXT), count)
        shutil.rmtree(clone)

    def whole(self, home, copy):
        """The same files with the same bytes, and nothing else."""
        self.assertEqual(contents(copy, LEFT_OUT), contents(home, LEFT_OUT))
        self.assertIn(MANIFEST, os.listdir(copy))
        self.assertNotIn(UNFINISHED, os.listdir(copy))

    @contextlib.contextmanager
    def slow(self, home, *args, seconds=3):
        """A copy, to "slow", that is at work while the caller does something else: it has begun, and goes on for
        so many seconds."""
        with open(os.path.join(home, "zz.pad"), "ab") as file:
            file.truncate(seconds << 20)
        copy = self.path("slow")
        shutil.rmtree(copy, True)
        process = subprocess.Popen([WTKMS, "snapshot", "create", home, copy, "--config", self.config, "--throttle", "1",
                                    *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2000):
            if os.path.exists(os.path.join(copy, "zz.pad")):
                break
            time.sleep(0.01)
        else:
            process.kill()
            raise AssertionError(process.communicate())
        yield process
        process.out, process.err = process.communicate(timeout=60)

    def pack(self, home, *args, **kwargs):
        """To a stream: its bytes."""
        process = subprocess.run([WTKMS, "snapshot", "create", home, "-", "--config", self.config, *args],
                                 capture_output=True, timeout=120, **kwargs)
        self.assertEqual(process.returncode, 0, process.stderr)
        return process.stdout


class StoppedTest(CopyCase):
    def test_directory(self):
        home = self.encrypted_home()
        before = snapshot(home)
        copy = self.path("copy")
        result = self.create(home, copy, "--format", "json").json()
        after = snapshot(home)
        after.pop("wtkms.copies.lock")
        self.assertEqual(after, before)
        self.whole(home, copy)
        keystore = self.status(home)["keystore"]
        self.assertEqual(result["uuid"], keystore["uuid"])
        self.assertEqual(result["generation"], keystore["generation"])
        self.assertEqual(result["method"], "stopped")
        self.assertIsNone(result["keepUntil"])
        self.assertEqual(result["files"], len(contents(copy, LEFT_OUT)))
        self.assertEqual(result["bytes"], sum(map(len, contents(copy, LEFT_OUT).values())))
        self.assertEqual([r["provider"] for r in result["recipients"]], ["local"])
        self.opens(copy)
        for name in os.listdir(copy):
            self.assertEqual(os.stat(os.path.join(copy, name)).st_mode & 0o777, 0o600, name)
        self.assertEqual(os.stat(copy).st_mode & 0o777, 0o700)
        self.assertEqual(os.stat(os.path.join(copy, "t.wt")).st_mtime_ns,
                         os.stat(os.path.join(home, "t.wt")).st_mtime_ns)

    def test_list(self):
        home = self.encrypted_home()
        copy = self.path("copy")
        self.create(home, copy, "--keep-until", "30d")
        row, live = self.row(copy), self.row(home)
        self.assertEqual(row["node"], "rs0-a")
        self.assertEqual(row["recipients"], live["recipients"])
        self.assertTrue(row["recipients"][0]["openedIt"])
        self.assertEqual(row["dataKeys"], live["dataKeys"])
        self.assertEqual(row["problems"], [])
        kept = calendar.timegm(time.strptime(row["keepUntil"], "%Y-%m-%dT%H:%M:%SZ"))
        self.assertAlmostEqual(kept, time.time() + 30 * 86400, delta=60)
        key = row["recipients"][0]["encryptionKeyId"]
        usage = wtkms("key", "usage", key, copy)
        self.assertEqual(usage.code, 3, usage.err)
        self.assertIn("Free after " + row["keepUntil"], usage.out)
        usage = wtkms("key", "usage", key, copy, home, "--format", "json")
        self.assertIsNone(usage.json()["keys"][0]["freeAfter"])
        # who opened it stays known when wtkms.state is not there to say so
        os.unlink(os.path.join(copy, "wtkms.state"))
        row = self.row(copy, code=4)
        self.assertTrue(row["recipients"][0]["openedIt"])
        self.assertEqual(len(row["problems"]), 1)
        self.assertIn("1 of the", row["problems"][0])

    def test_used(self):
        """A copy that was put to use is a home, and homes have no date."""
        home = self.encrypted_home(count=100)
        copy = self.path("copy")
        self.create(home, copy, "--keep-until", "1d")
        load(copy, "table:more", 3000)
        row = self.row(copy, code=4)
        self.assertIsNone(row["keepUntil"])
        self.assertTrue(any("remove wtkms.manifest" in p for p in row["problems"]), row["problems"])
        os.unlink(os.path.join(copy, MANIFEST))
        self.assertEqual(self.row(copy)["problems"], [])

    def test_destinations(self):
        home = self.encrypted_home(count=100)
        full = self.path("full")
        os.mkdir(full)
        open(os.path.join(full, "x"), "w").close()
        for name in full, home, os.path.join(home, "copy"), os.path.join(home, "a", "..", "copy"):
            before = sorted(os.listdir(full)), sorted(os.listdir(home))
            result = self.create(home, name, code=1)
            if "a" not in name.split("/"):
                self.refused(result, "copy-destination")
            self.assertEqual((sorted(os.listdir(full)), sorted(set(os.listdir(home)) - LEFT_OUT)),
                             (before[0], sorted(set(before[1]) - LEFT_OUT)))
        self.refused(self.create(home, self.path("none/copy"), code=1), "file-open-dir")
        link = self.path("link")
        os.symlink(home, link)
        self.refused(self.create(home, link, code=1), "copy-destination")
        # one that is there, empty, open to others, and named with slashes
        empty = self.path("empty")
        os.mkdir(empty, 0o755)
        self.create(home, empty + "//")
        self.assertEqual(os.stat(empty).st_mode & 0o777, 0o700)
        self.whole(home, empty)
        # and what was not finished says what to do
        half = self.path("half")
        os.mkdir(half)
        with open(os.path.join(half, UNFINISHED), "w") as file:
            file.write("snapshot create\npid 1\n")
        line = self.refused(self.create(home, half, code=1), "copy-destination")
        self.assertIn("remove the directory", line)
        row = self.row(half, code=4)
        self.assertIn("was not finished", row["problems"][0])

    def test_running(self):
        home = self.encrypted_home(count=100)
        with Host(home):
            line = self.refused(self.create(home, self.path("copy"), code=1), "host-running")
            self.assertIn("--frozen", line)
            self.assertIn("--files", line)
        self.assertFalse(os.path.exists(self.path("copy")))

    def test_nobody_starts_meanwhile(self):
        home = self.encrypted_home()
        with self.slow(home, seconds=10) as process:
            engine_result = engine(home, "list", check=False)
            self.assertNotEqual(engine_result.returncode, 0)
            self.assertIsNone(process.poll())
        self.assertEqual(process.returncode, 0, process.err)
        self.whole(home, self.path("slow"))

    def test_unfinished_reencryption(self):
        home = self.encrypted_home(count=100)
        open(os.path.join(home, "wtkms.reencrypt"), "w").close()
        self.refused(self.create(home, self.path("copy"), code=1), "reencrypt-unfinished")

    def test_usage(self):
        home = self.encrypted_home(count=10)
        for args in (["--frozen", "--files", "-"], ["--keep-until", "2020-01-01"], ["--keep-until", "2027-02-30"],
                     ["--keep-until", "0d"], ["--keep-until", "soon"], ["--keep-until", "1d2"],
                     ["--keep-until", "2027-01-01T25:00:00Z"], ["--keep-until", "2027-01-01T00:00:00"],
                     ["--keep-until", "99999999999y"], ["--keep-until", "2027-1-1"]):
            self.refused(self.create(home, self.path("copy"), *args, code=2), "usage", code=2)
            self.assertFalse(os.path.exists(self.path("copy")))
        for text, expected in (("2090-05-06", "2090-05-06T23:59:59Z"),
                               ("2090-05-06T07:08:09Z", "2090-05-06T07:08:09Z"),
                               ("2090-05-06T07:08:09.123+02:30", "2090-05-06T04:38:09Z"),
                               ("2090-05-06t07:08:09-01:00", "2090-05-06T08:08:09Z")):
            copy = self.path("copy-" + text)
            result = self.create(home, copy, "--keep-until", text, "--format", "json")
            self.assertEqual(result.json()["keepUntil"], expected)
            self.assertEqual(self.row(copy)["keepUntil"], expected)
        master, slave = os.openpty()
        process = subprocess.run([WTKMS, "snapshot", "create", home, "-", "--config", self.config], stdout=slave,
                                 stderr=subprocess.PIPE)
        os.close(slave)
        os.close(master)
        self.assertEqual(process.returncode, 2)
        self.assertIn(b"not for a terminal", process.stderr)

    def test_no_home(self):
        empty = self.home("empty")
        self.refused(self.create(empty, self.path("copy"), code=1), "copy-no-home")
        self.assertFalse(os.path.exists(self.path("copy")))
        self.refused(self.create(self.path("nowhere"), self.path("copy"), code=1), "file-open-dir")


class KeysTest(CopyCase):
    def test_plain(self):
        home = self.home("plain")
        load(home, count=1500)
        copy = self.path("copy")
        result = self.create(home, copy, "--keep-until", "2d", "--format", "json", config=False)
        self.assertIsNone(result.json()["uuid"])
        self.whole(home, copy)
        row = self.row(copy)
        self.assertEqual(row["encryption"], "Not enabled")
        self.assertIsNotNone(row["keepUntil"])
        self.opens(copy, 1500)

    def test_prepared(self):
        home = self.home()
        self.done(self.init(home))
        self.create(home, self.path("copy"))
        self.assertEqual(self.row(self.path("copy"))["encryption"], "no data yet")

    def test_mirror_alone(self):
        home = self.encrypted_home()
        for name in "wtkms.keystore", "wtkms.keystore.prev":
            if os.path.exists(os.path.join(home, name)):
                os.unlink(os.path.join(home, name))
        copy = self.path("copy")
        result = self.create(home, copy, "--format", "json").json()
        self.assertTrue(result["fromMirror"])
        row = self.row(copy)
        self.assertEqual(row["keystore"], "from mirror")
        self.assertEqual(row["problems"], [])
        self.opens(copy)

    def test_keystore_elsewhere(self):
        away = self.path("away")
        os.mkdir(away)
        config = self.configuration("away.conf", [f"{{provider: local, keyFile: {self.key}}}"],
                                    f"node: rs0-b\nkeystore: {away}/ks\n")
        home = self.home()
        self.done(self.init(home, config=config))
        load(home)
        self.assertNotIn("wtkms.keystore", os.listdir(home))
        copy = self.path("copy")
        self.done(wtkms("snapshot", "create", home, copy, "--config", config))
        self.assertEqual(contents(copy)[b"wtkms.keystore"], contents(away)[b"ks"])
        self.assertEqual(self.row(copy)["keystore"], "present")

    def test_keystore_lost(self):
        home = self.encrypted_home()
        bare = self.copy(home, "bare", {"wtkms.keystore", "wtkms.keystore.prev", "WiredTiger.config"})
        for config in True, False:
            self.refused(self.create(bare, self.path("copy"), code=1, config=config), "copy-no-keystore")
            self.assertFalse(os.path.exists(self.path("copy")))

    def test_key_not_at_hand(self):
        home = self.encrypted_home(count=100)
        os.rename(self.key, self.key + ".gone")
        result = self.create(home, self.path("copy"), code=1)
        self.assertNotEqual(result.err, "")
        self.assertFalse(os.path.exists(self.path("copy")))
        os.rename(self.key + ".gone", self.key)
        # another keystore's seal: the copy is refused before its first byte
        with open(os.path.join(home, "wtkms.keystore"), "r+b") as file:
            file.seek(-5, os.SEEK_END)
            byte = file.read(1)
            file.seek(-5, os.SEEK_END)
            file.write(bytes([byte[0] ^ 1]))
        self.refused(self.create(home, self.path("copy"), code=1), "keystore-seal")
        self.assertFalse(os.path.exists(self.path("copy")))

    def test_rotated_meanwhile(self):
        """The keystore goes last: what the host did meanwhile is in it, and in the manifest."""
        home = self.encrypted_home(count=20000)
        with self.slow(home, "--frozen", seconds=12) as process:
            for command in "master", "data", "cmk":
                self.done(wtkms("rotate", command, home, "--config", self.config,
                                *(["--from", self.config] if command == "cmk" else [])))
            self.assertIsNone(process.poll())
        self.assertEqual(process.returncode, 0, process.err)
        copy = self.path("slow")
        self.whole(home, copy)
        self.assertEqual(self.row(copy)["generation"], self.row(home)["generation"])
        self.assertEqual(self.row(copy)["problems"], [])
        verify = wtkms("snapshot", "verify", copy, "--config", self.config)
        self.assertEqual(verify.code, 0, verify.err + verify.out)
        self.opens(copy, 20000)

    def test_prune_waits(self):
        home = self.encrypted_home()
        self.done(wtkms("rotate", "data", home, "--config", self.config))
        # nothing is under the old key in what prune sees
        self.done(wtkms("reencrypt", home, "--config", self.config))
        began = time.monotonic()
        with self.slow(home, "--frozen", seconds=6) as process:
            prune = subprocess.Popen([WTKMS, "key", "prune", home, "--config", self.config], text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            time.sleep(1)
            self.assertIsNone(prune.poll())
            self.assertIsNone(process.poll())
        out, err = prune.communicate(timeout=60)
        self.assertEqual(prune.returncode, 0, err)
        self.assertIn("waiting until it is done", err)
        self.assertIn("1 keys retired", out)
        self.assertGreater(time.monotonic() - began, 1)
        # the copy has the keystore from before
        self.assertEqual(len(self.row(self.path("slow"))["problems"]), 0)
        self.assertEqual(self.row(self.path("slow"))["generation"] + 1, self.row(home)["generation"])


class FrozenTest(CopyCase):
    def test_running_host(self):
        home = self.encrypted_home()
        with Host(home):
            self.create(home, self.path("copy"), "--frozen")
            self.assertEqual(self.row(home)["running"], True)
        self.assertEqual(self.row(self.path("copy"))["problems"], [])
        self.opens(self.path("copy"))

    def test_read_only(self):
        """A volume snapshot: nothing in it can be written, no lock either."""
        if not ROOT:
            self.skipTest("mounting needs root")
        home = self.encrypted_home()
        point = self.path("snapshot")
        os.mkdir(point)
        if subprocess.run(["mount", "--bind", home, point], capture_output=True).returncode != 0:
            self.skipTest("no bind mounts here")
        self.addCleanup(subprocess.run, ["umount", point], capture_output=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", point], check=True, capture_output=True)
        before = snapshot(home)
        self.create(point, self.path("copy"), "--frozen")
        self.create(point, self.path("other"))
        self.assertEqual(snapshot(home), before)
        self.whole(home, self.path("copy"))
        self.whole(home, self.path("other"))

    def test_changes(self):
        home = self.encrypted_home()

        def grow():
            with open(os.path.join(home, "t.wt"), "ab") as file:
                file.write(bytes(4096))

        def come():
            shutil.copy2(os.path.join(home, "t.wt"), os.path.join(home, "u.wt"))

        def go():
            os.unlink(os.path.join(home, "u.wt"))

        def touch():
            os.utime(os.path.join(home, "WiredTiger.turtle"))

        def replace():
            shutil.copy2(os.path.join(home, "t.wt"), os.path.join(home, "t.new"))
            os.rename(os.path.join(home, "t.new"), os.path.join(home, "t.wt"))

        for change in grow, come, go, touch, replace:
            with self.subTest(change=change.__name__):
                with self.slow(home, "--frozen") as process:
                    change()
                self.assertEqual(process.returncode, 1, process.err)
                self.assertIn("(copy-changed)", process.err)
                self.assertFalse(os.path.exists(self.path("slow")))

    def test_what_is_no_matter(self):
        """A running mongod's own files change under fsyncLock too."""
        home = self.encrypted_home()
        os.mkdir(os.path.join(home, "diagnostic.data"))
        metrics = os.path.join(home, "diagnostic.data", "metrics.interim")
        with open(metrics, "wb") as file:
            file.write(b"x" * 5000)
        with self.slow(home, "--frozen") as process:
            with open(metrics, "wb") as file:
                file.write(b"y")
            with open(os.path.join(home, "mongod.log"), "w") as file:
                file.write("line\n")
        self.assertEqual(process.returncode, 0, process.err)
        self.assertEqual(self.row(self.path("slow"))["problems"], [])


class FilesTest(CopyCase):
    """Lists as a backup cursor gives them. test/engine has a real one, of a host that writes."""

    def backed_up(self):
        """A home as it is while a cursor is open: wt's backup has the files that the cursor listed."""
        home = self.encrypted_home()
        listed = self.path("listed")
        os.mkdir(listed)
        engine(home, "backup", listed)
        names = sorted(os.listdir(listed))
        self.assertIn("WiredTiger.backup", names)
        shutil.copy(os.path.join(listed, "WiredTiger.backup"), home)
        return home, names

    def listing(self, names, separator="\n"):
        path = self.path("list")
        with open(path, "wb") as file:
            file.write(b"".join(os.fsencode(n) + separator.encode() for n in names))
        return path

    def test_list(self):
        home, names = self.backed_up()
        copies = []
        absolute = [os.path.join(home, name) for name in names]
        for variant, listed, separator in (("lines", names, "\n"), ("nul", names, "\0"), ("absolute", absolute, "\n"),
                                           ("dots", ["./" + name for name in names] + names, "\n")):
            with self.subTest(variant):
                copy = self.path("copy-" + variant)
                result = self.create(home, copy, "--files", self.listing(listed, separator), "--format", "json").json()
                self.assertEqual(result["method"], "files")
                # what was listed, and keystore, mirror and state besides
                expected = set(names) | {"wtkms.keystore", "WiredTiger.config", "wtkms.state", MANIFEST}
                self.assertEqual(set(os.listdir(copy)), expected)
                self.assertEqual(self.row(copy)["problems"], [])
                copies.append(contents(copy, {MANIFEST}))
                self.opens(copy)
        self.assertTrue(all(c == copies[0] for c in copies))
        with open(self.listing(names)) as file:
            process = subprocess.run([WTKMS, "snapshot", "create", home, self.path("in"), "--files", "-", "--config",
                                      self.config], stdin=file, capture_output=True)
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertEqual(contents(self.path("in"), {MANIFEST}), copies[0])

    def test_running(self):
        home, names = self.backed_up()
        kept = self.path("WiredTiger.backup")
        shutil.copy(os.path.join(home, "WiredTiger.backup"), kept)
        with Host(home):
            # the engine removes what a cursor of an earlier run left; while one is open it is there
            shutil.copy(kept, home)
            self.create(home, self.path("copy"), "--files", self.listing(names))
        self.opens(self.path("copy"))

    def test_refused(self):
        home, names = self.backed_up()
        outside = self.path("outside")
        shutil.copy(os.path.join(home, "t.wt"), outside)
        os.mkdir(os.path.join(home, "sub"))
        for bad in (["../outside"], [outside], ["gone.wt"], ["/"], [""], ["sub"], ["sub/../../outside"],
                    [home + "x/t.wt"], ["WiredTigerLog.0000000009"]):
            with self.subTest(bad):
                if bad == [""]:
                    continue
                self.refused(self.create(home, self.path("copy"), "--files", self.listing(names + bad), code=1),
                             "copy-list")
                self.assertFalse(os.path.exists(self.path("copy")))
        self.refused(self.create(home, self.path("copy"), "--files",
                                 self.listing([n for n in names if n != "WiredTiger.backup"]), code=1), "copy-list")
        self.refused(self.create(home, self.path("copy"), "--files", self.path("none"), code=1), "copy-list")
        self.refused(self.create(home, self.path("copy"), "--files", os.devnull, code=1), "copy-list")


class ShapesTest(CopyCase):
    def test_linked_directories(self):
        """A directory a database, one of them on another disk, and a journal elsewhere."""
        home = self.home()
        self.done(self.init(home))
        disk, log = self.path("disk"), self.path("log")
        os.mkdir(disk)
        os.mkdir(log)
        os.mkdir(os.path.join(home, "db1"))
        os.symlink(disk, os.path.join(home, "db2"))
        os.symlink(log, os.path.join(home, "journal"))
        config = "log=(enabled=true,path=journal)"
        for table in "db1/c", "db2/c":
            load(home, f"file:{table}.wt", 1000)
        engine(home, "create", "-c", "key_format=S,value_format=S", "table:l", config=config)
        self.assertTrue(os.listdir(log))
        copy = self.path("copy")
        self.create(home, copy)
        self.whole(home, copy)
        self.assertFalse(any(os.path.islink(os.path.join(copy, n)) for n in os.listdir(copy)))
        self.assertEqual(self.row(copy)["problems"], [])
        self.opens(copy, 1000, "file:db2/c.wt")
        packed = tarfile.open(fileobj=io.BytesIO(self.pack(home)))
        self.assertEqual({m.name for m in packed if m.isdir()}, {"db1", "db2", "journal"})
        self.assertTrue(all(m.mode == (0o700 if m.isdir() else 0o600) for m in packed))

    def test_log_outside(self):
        home = self.home()
        self.done(self.init(home))
        log = self.path("log elsewhere")
        os.mkdir(log)
        engine(home, "create", "-c", "key_format=S,value_format=S", "table:t",
               config=f'log=(enabled=true,path="{log}")')
        self.assertTrue(os.listdir(log))
        copy = self.path("copy")
        result = self.create(home, copy, "--format", "json").json()
        self.assertEqual(result["logPath"], log)
        self.assertEqual(contents(os.path.join(copy, "wtkms.log-path")), contents(log))
        self.assertIn(log, self.create(home, self.path("other")).out)
        self.assertEqual(self.row(copy)["problems"], [])

    def test_names(self):
        home = self.encrypted_home(count=100)
        names = ["with space.wt", "new\nline.wt", "-dash.wt", "a" * 240 + ".wt", os.fsdecode(b"\xff\xfe.wt"),
                 "uml\u00e4ut.wt", "sub dir/deep/er/x.wt", "..dots.wt", "$(reboot).wt"]
        for name in names:
            path = os.path.join(home, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copy(os.path.join(home, "t.wt"), path)
        copy = self.path("copy")
        self.create(home, copy)
        self.whole(home, copy)
        self.assertEqual(self.row(copy)["problems"], [])
        data = self.pack(home)
        packed = self.path("packed.tar")
        with open(packed, "wb") as file:
            file.write(data)
        self.assertEqual(self.row(packed)["problems"], [])
        unpacked = self.path("unpacked")
        os.mkdir(unpacked)
        subprocess.run(["tar", "-xf", packed, "-C", unpacked], check=True)
        self.whole(home, unpacked)

    def test_left_out_and_refused(self):
        home = self.encrypted_home(count=100)
        listener = socket.socket(socket.AF_UNIX)
        here = os.getcwd()
        os.chdir(home)
        try:
            listener.bind("mongod.sock")
        finally:
            os.chdir(here)
        listener.close()
        os.mkfifo(os.path.join(home, "pipe"))
        result = self.create(home, self.path("copy"))
        self.assertEqual(result.err.count("pipe is no file and no directory"), 1)
        self.assertEqual(result.err.count("mongod.sock is no file and no directory"), 1)
        os.unlink(os.path.join(home, "mongod.sock"))
        os.unlink(os.path.join(home, "pipe"))
        self.whole(home, self.path("copy"))
        os.symlink("/nowhere/at/all", os.path.join(home, "db"))
        self.refused(self.create(home, self.path("other"), code=1), "copy-dangling")
        self.assertFalse(os.path.exists(self.path("other")))

    def test_holes(self):
        home = self.encrypted_home(count=100)
        big = os.path.join(home, "sparse.wt")
        shutil.copy(os.path.join(home, "t.wt"), big)
        os.truncate(big, 256 << 20)
        copy = self.path("copy")
        self.create(home, copy)
        self.assertEqual(os.stat(os.path.join(copy, "sparse.wt")).st_size, 256 << 20)
        self.assertLess(os.stat(os.path.join(copy, "sparse.wt")).st_blocks * 512, 16 << 20)
        data = self.pack(home)
        self.assertLess(len(data), 16 << 20)
        packed = self.path("packed.tar")
        with open(packed, "wb") as file:
            file.write(data)
        unpacked = self.path("unpacked")
        os.mkdir(unpacked)
        subprocess.run(["tar", "-xSf", packed, "-C", unpacked], check=True)
        with open(big, "rb") as a, open(os.path.join(unpacked, "sparse.wt"), "rb") as b:
            self.assertEqual(hashlib.file_digest(a, "sha256").digest(), hashlib.file_digest(b, "sha256").digest())
        self.assertEqual(self.row(packed)["problems"], [])

    @unittest.skipUnless(ROOT, "needs root")
    def test_owner(self):
        """Root reads as the home's owner, and the copy is root's."""
        home = self.encrypted_home(count=100)
        for folder, _, names in os.walk(home):
            os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
            for name in names:
                os.chown(os.path.join(folder, name), NOBODY.pw_uid, NOBODY.pw_gid)
        os.chown(self.key, NOBODY.pw_uid, NOBODY.pw_gid)
        mine = self.path("mine")
        os.mkdir(mine, 0o700)
        self.create(home, os.path.join(mine, "copy"))
        self.whole(home, os.path.join(mine, "copy"))
        self.assertEqual(os.stat(os.path.join(home, "wtkms.copies.lock")).st_uid, NOBODY.pw_uid)
        for folder, _, names in os.walk(os.path.join(mine, "copy")):
            for name in names:
                self.assertEqual(os.stat(os.path.join(folder, name)).st_uid, 0)
        # the owner planted links to what root alone may read
        secret = os.path.join(mine, "secret")
        with open(secret, "w") as file:
            file.write("root's")
        os.chmod(secret, 0o600)
        os.symlink(secret, os.path.join(home, "stolen.wt"))
        self.refused(self.create(home, os.path.join(mine, "other"), code=1), "copy-read")
        os.unlink(os.path.join(home, "stolen.wt"))
        os.unlink(os.path.join(home, "wtkms.state"))
        os.symlink(self.config, os.path.join(home, "wtkms.state"))
        self.create(home, os.path.join(mine, "other"), code=1)
        self.assertEqual(sorted(os.listdir(mine)), ["copy", "secret"])
        packed = tarfile.open(fileobj=io.BytesIO(self.pack_as_root(home)))
        self.assertTrue(all(m.uid == NOBODY.pw_uid for m in packed))

    def pack_as_root(self, home):
        os.unlink(os.path.join(home, "wtkms.state"))
        return self.pack(home)

    @unittest.skipUnless(ROOT, "needs root")
    def test_reader(self):
        """A user who may read the home and not write it can copy what is frozen, and is told."""
        home = self.encrypted_home(count=100)
        os.chmod(home, 0o755)
        for name in os.listdir(home):
            os.chmod(os.path.join(home, name), 0o644)
        os.chmod(self.dir, 0o777)
        os.chown(self.key, NOBODY.pw_uid, NOBODY.pw_gid)
        result = self.create(home, self.path("copy"), code=1, user=NOBODY)
        self.assertIn("run it as the home's owner", result.err)
        result = self.create(home, self.path("copy"), "--frozen", user=NOBODY)
        self.assertIn("does not wait for it", result.err)
        self.whole(home, self.path("copy"))
        os.chmod(os.path.join(home, "t.wt"), 0)
        self.refused(self.create(home, self.path("other"), "--frozen", code=1, user=NOBODY), "copy-read")
        self.assertFalse(os.path.exists(self.path("other")))


class StreamTest(CopyCase):
    def test_order(self):
        home = self.encrypted_home()
        data = self.pack(home, "--keep-until", "9d")
        names = [m.name for m in tarfile.open(fileobj=io.BytesIO(data))]
        self.assertEqual(names[-3:], ["wtkms.keystore", "WiredTiger.config", MANIFEST])
        self.assertEqual(len(names), len(set(names)))
        packed = self.path("packed.tar")
        with open(packed, "wb") as file:
            file.write(data)
        row = self.row(packed)
        self.assertEqual(row["problems"], [])
        self.assertIsNotNone(row["keepUntil"])
        # packed further, and read from a stream
        for program in "gzip", "zstd":
            if shutil.which(program):
                with open(packed + "." + program[:2], "wb") as file:
                    subprocess.run([program, "-c"], input=data, stdout=file, check=True)
                self.assertEqual(self.row(packed + "." + program[:2])["problems"], [])
        # every cut is seen: the manifest is the last
        for share in 0.3, 0.7, 0.99:
            with open(self.path("cut.tar"), "wb") as file:
                file.write(data[:int(len(data) * share)])
            result = wtkms("snapshot", "list", self.path("cut.tar"), "--format", "json")
            self.assertEqual(result.code, 4, share)

    def test_json_is_not_in_it(self):
        home = self.encrypted_home(count=100)
        process = subprocess.run([WTKMS, "snapshot", "create", home, "-", "--config", self.config, "--format", "json"],
                                 capture_output=True)
        self.assertEqual(json.loads(process.stderr)["copy"], "-")
        self.assertIn(MANIFEST, tarfile.open(fileobj=io.BytesIO(process.stdout)).getnames())

    def test_full(self):
        home = self.encrypted_home()
        with open("/dev/full", "w") as full:
            process = subprocess.run([WTKMS, "snapshot", "create", home, "-", "--config", self.config], stdout=full,
                                     stderr=subprocess.PIPE)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"No space left", process.stderr)


class FullDiskTest(CopyCase):
    def test_file_size(self):
        """A limit stops it in the middle of a file: nothing stays."""
        home = self.encrypted_home()

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))
        result = self.create(home, self.path("copy"), code=1, preexec_fn=limit)
        self.refused(result, "copy-write")
        self.assertFalse(os.path.exists(self.path("copy")))

    @unittest.skipUnless(ROOT, "mounting needs root")
    def test_full(self):
        home = self.encrypted_home()
        point = self.path("small")
        os.mkdir(point)
        size = sum(map(len, contents(home).values()))
        for share in 0.1, 0.5, 0.9:
            if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={int(size * share) // 4096 * 4096}", "tmpfs",
                               point], capture_output=True).returncode != 0:
                self.skipTest("no mounts here")
            try:
                line = self.refused(self.create(home, os.path.join(point, "copy"), code=1), "copy-write")
                self.assertIn("No space left", line)
                self.assertEqual(os.listdir(point), [])
            finally:
                subprocess.run(["umount", point], check=True)


class KillTest(CopyCase):
    def test_kills(self):
        """A kill at any moment: no copy, one that says that it is unfinished, or a whole one."""
        home = self.encrypted_home(count=20000)
        os.makedirs(os.path.join(home, "a", "b"))
        for i in range(100):
            shutil.copy(os.path.join(home, "t.wt") if i % 20 == 0 else os.path.join(home, "WiredTiger.basecfg"),
                        os.path.join(home, "a", "b", f"{i}.wt" if i % 20 == 0 else f"{i}.txt"))
        began = time.monotonic()
        self.create(home, self.path("first"), "--throttle", "3")
        duration = time.monotonic() - began
        seen = {"none": 0, "unfinished": 0, "whole": 0}
        chance = random.Random(8)
        for i in range(20 if LONG else 8):
            copy = self.path(f"copy-{i}")
            process = subprocess.Popen([WTKMS, "snapshot", "create", home, copy, "--config", self.config, "--throttle",
                                        "3"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.random() * duration * 1.05)
            process.kill()
            process.wait()
            seen[self.judge(home, copy)] += 1
            # the home is as it was, and can be copied again
        print(f"{seen['unfinished']} of {sum(seen.values())} kills left an unfinished copy, {seen['whole']} a whole one")
        self.assertGreater(seen["unfinished"], 0, seen)
        self.create(home, self.path("last"))
        self.whole(home, self.path("last"))

    def judge(self, home, copy):
        if not os.path.exists(copy) or not os.listdir(copy):
            return "none"
        result = wtkms("snapshot", "list", copy, "--format", "json")
        if UNFINISHED in os.listdir(copy):
            self.assertEqual(result.code, 4)
            rows = result.json()["copies"]
            self.assertTrue(any("not finished" in p for row in rows for p in row["problems"]), rows)
            self.refused(self.create(home, copy, code=1), "copy-destination")
            return "unfinished"
        self.assertEqual(result.code, 0, result.out)
        self.whole(home, copy)
        return "whole"

    def test_interrupt(self):
        """Ctrl-C takes back what was made."""
        home = self.encrypted_home()
        for number in signal.SIGINT, signal.SIGTERM:
            with self.slow(home) as process:
                process.send_signal(number)
            self.assertEqual(process.returncode, 1)
            self.assertIn("(interrupted)", process.err)
            self.assertFalse(os.path.exists(self.path("slow")))


class ExpireTest(CopyCase):
    def setUp(self):
        super().setUp()
        self.source = self.encrypted_home(count=1500)
        self.tree = self.path("tree")
        os.mkdir(self.tree)

    def expire(self, *args, code=0, **kwargs):
        result = wtkms("snapshot", "expire", self.tree, *args, **kwargs)
        self.assertEqual(result.code, code, result.err + result.out)
        return result

    def due(self, name="due", *args):
        """A copy whose date passes at once."""
        path = os.path.join(self.tree, name)
        self.create(self.source, path, "--keep-until", "1s", *args)
        return path

    def verdicts(self, *args, code=0):
        found = self.expire("--format", "json", *args, code=code).json()["copies"]
        return {os.path.relpath(copy["path"], self.tree): copy["verdict"] for copy in found}

    def test_removes(self):
        later = os.path.join(self.tree, "later")
        self.create(self.source, later, "--keep-until", "1d")
        for_good = os.path.join(self.tree, "for-good")
        self.create(self.source, for_good)
        due = self.due()
        packed = os.path.join(self.tree, "due.tar")
        with open(packed, "wb") as file:
            file.write(self.pack(self.source, "--keep-until", "1s"))
        time.sleep(1.1)
        before = snapshot(self.tree)
        expected = {"due": "would be removed", "due.tar": "would be removed"}
        self.assertEqual(self.verdicts("--plan"), expected)
        self.assertEqual(snapshot(self.tree), before)
        line = self.refused(self.expire(code=1), "expire-unconfirmed")
        self.assertIn("2 copies", line)
        self.assertEqual(snapshot(self.tree), before)
        self.assertEqual(self.verdicts("--yes"), {"due": "removed", "due.tar": "removed"})
        self.assertEqual(sorted(os.listdir(self.tree)), ["for-good", "later"])
        self.assertFalse(os.path.exists(due))
        self.whole(self.source, later)
        self.whole(self.source, for_good)
        self.assertIn("Nothing has expired", self.expire("--yes").out)

    def test_keys(self):
        key = self.row(self.source)["recipients"][0]["encryptionKeyId"]
        self.due()
        other = self.path("other")
        self.due("b")
        time.sleep(1.1)
        os.rename(os.path.join(self.tree, "b"), other)
        result = self.expire("--plan", "--format", "json").json()
        self.assertEqual(result["keys"], [{"encryptionKeyId": key, "needed": 0, "notJudged": 0, "free": True}])
        result = wtkms("snapshot", "expire", self.tree, self.source, "--plan", "--format", "json").json()
        self.assertEqual(result["keys"][0], {"encryptionKeyId": key, "needed": 1, "notJudged": 0, "free": False})
        out = self.expire("--yes").out
        self.assertIn(f"{key}: nothing in these places needs it any more.", out)
        self.assertIn("This says nothing of places that are not named here.", out)
        usage = wtkms("key", "usage", key, self.tree)
        self.assertEqual(usage.code, 0, usage.out)

    def test_asks(self):
        due = self.due()
        time.sleep(1.1)
        for answer, code in (b"no\n", 1), (b"y\n", 1), (b"yes\n", 0):
            master, slave = os.openpty()
            process = subprocess.Popen([WTKMS, "snapshot", "expire", self.tree], stdin=slave, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            os.close(slave)
            os.write(master, answer)
            out, err = process.communicate(timeout=60)
            os.close(master)
            self.assertEqual(process.returncode, code, err)
            self.assertIn(b"due", err)
            self.assertIn(b"Type yes", err)
            self.assertEqual(os.path.exists(due), code != 0)

    def test_stays(self):
        """What is not surely ours, and only ours, is not touched."""
        def add_file(path):
            open(os.path.join(path, "notes.txt"), "w").close()

        def add_link(path):
            os.symlink("/etc", os.path.join(path, "etc"))

        def link_file(path):
            os.rename(os.path.join(path, "t.wt"), self.path("moved.wt"))
            os.symlink(self.path("moved.wt"), os.path.join(path, "t.wt"))

        def add_deep(path):
            os.mkdir(os.path.join(path, "sub"))
            open(os.path.join(path, "sub", "WiredTiger.lock"), "w").close()

        def lose_file(path):
            os.unlink(os.path.join(path, "t.wt"))

        def grow_file(path):
            with open(os.path.join(path, "t.wt"), "ab") as file:
                file.write(b"x")

        def change_text(path):
            with open(os.path.join(path, "WiredTiger.turtle"), "r+b") as file:
                file.write(b"w")

        def use(path):
            engine(path, "create", "-c", "key_format=S,value_format=S", "table:u")

        def begin(path):
            with open(os.path.join(path, UNFINISHED), "w") as file:
                file.write("snapshot create\n")

        def restore(path):
            with open(os.path.join(path, UNFINISHED), "w") as file:
                file.write("snapshot restore\n")

        changes = (add_file, add_link, link_file, add_deep, lose_file, grow_file, change_text, use, begin, restore)
        for change in changes:
            change(self.due(change.__name__))
        time.sleep(1.1)
        before = snapshot(self.tree)
        result = self.expire("--yes", code=1)
        self.assertEqual(snapshot(self.tree), before)
        # what has another size is no copy with a date any more, by the list already
        judged = {change.__name__ for change in changes} - {"grow_file", "use"}
        self.assertEqual(result.out.count(" stays: "), len(judged), result.out)
        self.assertEqual(self.verdicts("--plan", code=1), {name: "stays" for name in judged})
        self.assertEqual(snapshot(self.tree), before)

    def test_manifest_damaged(self):
        due = self.due()
        time.sleep(1.1)
        path = os.path.join(due, MANIFEST)
        with open(path, "rb") as file:
            good = file.read()
        for bad in good[:-1], good + b"\0", b"", good[:4] + b"\x01" + good[5:], good.replace(b"t.wt", b"/.wt"):
            with open(path, "wb") as file:
                file.write(bad)
            self.assertEqual(self.verdicts("--yes"), {})
            self.assertTrue(self.row(due, code=4)["problems"])
        os.unlink(path)
        self.assertEqual(self.verdicts("--yes"), {})
        self.assertTrue(os.path.exists(os.path.join(due, "t.wt")))

    def test_running(self):
        """A copy that somebody opened is a home."""
        due = self.due()
        time.sleep(1.1)
        with Host(due):
            self.assertEqual(self.verdicts("--yes"), {})
            self.assertTrue(os.path.exists(os.path.join(due, "t.wt")))

    def test_archives(self):
        """Only those that we wrote, whole, with one copy and nothing else."""
        due = self.due()
        data = self.pack(self.source, "--keep-until", "1s")

        def write(name, content):
            with open(os.path.join(self.tree, name), "wb") as file:
                file.write(content)

        def repack(change):
            out = io.BytesIO()
            with tarfile.open(fileobj=io.BytesIO(data)) as old, tarfile.open(fileobj=out, mode="w") as new:
                change(old, new)
            return out.getvalue()

        def add(tar, name, content, **more):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in more.items():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(content))

        def members(old, new, but=()):
            for member in old:
                if member.name not in but:
                    new.addfile(member, old.extractfile(member))

        write("packed-by-tar.tar", subprocess.run(["tar", "-c", "-C", due, "."], capture_output=True,
                                                  check=True).stdout)
        shutil.rmtree(due)
        write("more.tar", repack(lambda o, n: (add(n, "x", b"x"), members(o, n))))
        write("behind.tar", repack(lambda o, n: (members(o, n), add(n, "x", b"x"))))
        write("less.tar", repack(lambda o, n: members(o, n, {"t.wt"})))
        write("link.tar", repack(lambda o, n: (add(n, "x", b"", type=tarfile.SYMTYPE, linkname="/etc"), members(o, n))))
        write("two.tar", repack(lambda o, n: (add(n, "sub/WiredTiger", b"x"), members(o, n))))
        write("renamed.tar", data)
        os.link(os.path.join(self.tree, "renamed.tar"), os.path.join(self.tree, "again.tar"))
        os.symlink("renamed.tar", os.path.join(self.tree, "symbolic.tar"))
        with open(os.path.join(self.tree, "due.tar.gz"), "wb") as file:
            subprocess.run(["gzip", "-c"], input=data, stdout=file, check=True)
        time.sleep(1.1)
        verdicts = self.verdicts("--yes", code=1)
        removed = {name for name, verdict in verdicts.items() if verdict == "removed"}
        self.assertEqual(removed, {"renamed.tar", "again.tar", "due.tar.gz"})
        self.assertEqual(set(os.listdir(self.tree)), {"packed-by-tar.tar", "more.tar", "behind.tar", "less.tar",
                                                      "link.tar", "two.tar", "symbolic.tar"})

    def test_kills(self):
        """What an interrupted removal leaves is known as such, and the same command goes on."""
        seen = 0
        chance = random.Random(9)
        for i in range(20 if LONG else 6):
            for k in range(400):
                os.makedirs(os.path.join(self.source, f"d{k}"), exist_ok=True)
                shutil.copy(os.path.join(self.source, "WiredTiger.basecfg"), os.path.join(self.source, f"d{k}", "f"))
            due = self.due()
            time.sleep(1.1)
            process = subprocess.Popen([WTKMS, "snapshot", "expire", self.tree, "--yes"], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            # by what can be seen, since it is short
            limit = time.monotonic() + 5
            gone = chance.randrange(1, 200)
            while time.monotonic() < limit and process.poll() is None and os.path.exists(
                    os.path.join(due, f"d{gone}")):
                pass
            process.kill()
            process.wait()
            if os.path.exists(due) and os.listdir(due):
                seen += 1
                self.assertIn(UNFINISHED, os.listdir(due))
                row = self.row(due, code=4)
                self.assertTrue(any("removed in part" in p for p in row["problems"]), row)
            self.expire("--yes")
            if os.path.exists(due):
                os.rmdir(due)
        self.assertGreater(seen, 0)

    def test_marker_alone(self):
        """The kill came before the very last call."""
        due = os.path.join(self.tree, "due")
        os.mkdir(due)
        with open(os.path.join(due, UNFINISHED), "w") as file:
            file.write("snapshot expire\n")
        self.assertEqual(self.verdicts("--yes"), {"due": "removed"})
        self.assertFalse(os.path.exists(due))
        os.mkdir(due)
        with open(os.path.join(due, UNFINISHED), "w") as file:
            file.write("snapshot expire\n")
        open(os.path.join(due, "x"), "w").close()
        self.assertEqual(self.verdicts("--yes", code=1), {"due": "stays"})
        self.assertEqual(sorted(os.listdir(due)), [UNFINISHED, "x"])


if __name__ == "__main__":
    unittest.main()
