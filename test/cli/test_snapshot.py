#!/usr/bin/env python3
"""test/cli/test_snapshot.py -- wtkms snapshot list, inventory and key usage, on homes that the real engine
wrote and on what becomes of copies: torn, halved, packed, linked, badly named.

Run by make check in the build directory; WTKMS_BUILD names another. Arguments are unittest's."""
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wtkms_lab import *  # noqa: E402,F403

ZSTD = shutil.which("zstd")


@unittest.skipUnless(WT, "no wt")
class SnapshotCase(Case):
    def setUp(self):
        super().setUp()
        self.tree = self.path("tree")
        os.mkdir(self.tree)

    def list(self, *args, code=0, **kwargs):
        result = wtkms("snapshot", "list", *args, "--format", "json", **kwargs)
        self.assertEqual(result.code, code, result.err + result.out)
        return result.json()

    def rows(self, *args, code=0, **kwargs):
        """By path below the tree, with the directory in an archive behind it."""
        found = {}
        for copy in self.list(*args, code=code, **kwargs)["copies"]:
            name = os.path.relpath(copy["path"], self.tree)
            found[(name, copy["member"]) if copy["archive"] else name] = copy
        return found

    def row(self, path, code=0):
        copies = self.list(path, code=code)["copies"]
        self.assertEqual(len(copies), 1, copies)
        return copies[0]

    def encrypted(self, name, count=1500):
        """In the tree, by the engine."""
        home = self.encrypted_home(name, count)
        moved = os.path.join(self.tree, name)
        os.rename(home, moved)
        return moved

    def plain(self, name="plain"):
        home = os.path.join(self.tree, name)
        os.mkdir(home)
        load(home, count=1500)
        return home

    def variant(self, home, name, without=()):
        path = os.path.join(self.tree, name)
        shutil.copytree(home, path, ignore=lambda d, names: [n for n in names if n in without])
        return path

    def key_id(self, home):
        return self.row(home)["recipients"][0]["encryptionKeyId"]


KEYSTORES = ("wtkms.keystore", "wtkms.keystore.prev")


class ListTest(SnapshotCase):
    def test_encrypted(self):
        home = self.encrypted("rs0")
        before = snapshot(home)
        row = self.row(home)
        self.assertEqual(snapshot(home), before)
        status = self.status(home)
        self.assertEqual((row["encryption"], row["keystore"], row["node"]), ("encrypted", "present", "rs0-a"))
        self.assertEqual(row["uuid"], status["keystore"]["uuid"])
        recipient = row["recipients"][0]
        self.assertEqual((recipient["provider"], recipient["credential"], recipient["openedIt"]),
                         ("local", self.key, True))
        self.assertEqual(row["dataKeys"][0]["keyid"], "default")
        self.assertEqual(row["dataKeys"][0]["version"], 1)
        self.assertEqual(len(row["masterKeys"]), 1)
        self.assertFalse(row["sampled"])
        made = time.mktime(time.strptime(row["checkpointTime"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        self.assertLess(abs(time.time() - made), 600)
        self.assertEqual(row["size"], sum(os.path.getsize(os.path.join(home, n)) for n in os.listdir(home)
                                          if n != "WiredTiger.lock"))
        table = self.done(wtkms("snapshot", "list", self.tree)).out
        for text in ("ENCRYPTION KEY ID", recipient["encryptionKeyId"], "rs0-a", home, "default v1"):
            self.assertIn(text, table)

    def test_every_kind_of_copy(self):
        home = self.encrypted("home")
        self.plain()
        self.variant(home, "mirror", KEYSTORES)
        self.variant(home, "missing", KEYSTORES + ("WiredTiger.config",))
        half = self.variant(home, "half", ("WiredTiger.turtle", "WiredTiger.wt"))
        torn = self.variant(home, "torn", ("WiredTiger.config", "wtkms.keystore.prev"))
        os.truncate(os.path.join(torn, "wtkms.keystore"), 100)
        torn_mirrored = self.variant(home, "torn-mirrored")
        os.truncate(os.path.join(torn_mirrored, "wtkms.keystore"), 100)
        stump = self.variant(home, "stump")
        with open(os.path.join(stump, "t.wt"), "r+b") as file:
            file.truncate(5000)
        only_table = os.path.join(self.tree, "only")
        os.mkdir(only_table)
        shutil.copy(os.path.join(half, "t.wt"), only_table)
        empty = os.path.join(self.tree, "empty-table")
        os.mkdir(empty)
        open(os.path.join(empty, "t.wt"), "w").close()

        rows = self.rows(self.tree, code=4)
        self.assertEqual({name: (row["encryption"], row["keystore"], row["judged"]) for name, row in rows.items()}, {
            "home": ("encrypted", "present", True),
            "plain": ("Not enabled", "missing", True),
            "mirror": ("encrypted", "from mirror", True),
            "missing": ("keystore missing", "missing", False),
            "half": ("encrypted", "present", False),
            "torn": ("keystore missing", "present", False),
            "torn-mirrored": ("encrypted", "from mirror", False),
            "stump": ("encrypted", "present", False),
            "only": ("keystore missing", "missing", False),
            "empty-table": ("not judged", "missing", False)})
        for name in ("mirror", "half", "torn-mirrored", "stump"):
            self.assertEqual(rows[name]["recipients"][0]["encryptionKeyId"],
                             rows["home"]["recipients"][0]["encryptionKeyId"])
        self.assertIn("t.wt", " ".join(rows["stump"]["problems"]))
        table = wtkms("snapshot", "list", self.tree)
        self.assertEqual(table.code, 4)
        for text in ("Not enabled", "keystore missing", "(from mirror)", "half a copy"):
            self.assertIn(text, table.out)

    def test_several_recipients_and_scopes(self):
        other, tenant = self.path("other.key"), self.path("tenant.key")
        self.done(wtkms("keygen", other))
        self.done(wtkms("keygen", tenant))
        config = self.configuration(
            "two.conf", [f"{{provider: local, keyFile: {self.key}}}", f"{{provider: local, keyFile: {other}}}"],
            more=f"node: rs1\nkeys:\n  tenantA: {{kms: [{{provider: local, keyFile: {tenant}}}]}}\n")
        home = os.path.join(self.tree, "home")
        os.mkdir(home, 0o700)
        self.done(self.init(home, config=config))
        load(home)
        load(home, "table:a", config="key_format=S,value_format=S,encryption=(name=kms,keyid=tenantA)")
        row = self.row(home)
        self.assertEqual(sorted(r["scope"] for r in row["recipients"]), ["default", "default", "tenantA"])
        self.assertEqual({k["keyid"] for k in row["dataKeys"]}, {"default", "tenantA"})
        mine, theirs, alone = (r["encryptionKeyId"] for r in sorted(row["recipients"], key=lambda r: (
            r["scope"], r["credential"] != self.key)))
        usage = wtkms("key", "usage", mine, home, "--format", "json")
        self.assertEqual(usage.code, 3)
        copy = usage.json()["keys"][0]["copies"][0]
        self.assertEqual(copy["need"], "oneOf")
        self.assertIn(theirs, copy["wouldStillOpen"])
        copy = wtkms("key", "usage", alone, home, "--format", "json").json()["keys"][0]["copies"][0]
        self.assertEqual((copy["need"], copy["wouldStillOpen"]), ("only", None))

    def test_plain_tables_beside_encrypted_ones(self):
        home = self.encrypted("home")
        load(home, "table:open", config="key_format=S,value_format=S,encryption=(name=none)")
        self.assertEqual(self.row(home)["plainTables"], 1)

    def test_old_data_keys_are_listed(self):
        home = self.encrypted("home")
        self.done(wtkms("rotate", "data", home, "--config", self.config))
        load(home, "table:u")
        self.assertEqual({k["version"] for k in self.row(home)["dataKeys"]}, {1, 2})

    def test_no_copies(self):
        with open(os.path.join(self.tree, "notes.txt"), "w") as file:
            file.write("WiredTiger")
        with open(os.path.join(self.tree, "x.gz"), "wb") as file:
            file.write(b"\x1f\x8b\x08\x00")
        self.assertEqual(self.list(self.tree)["copies"], [])
        self.assertIn("No copy", wtkms("snapshot", "list", self.tree).out)
        self.refused(wtkms("snapshot", "list", os.path.join(self.tree, "notes.txt")), "inventory-archive")
        self.refused(wtkms("snapshot", "list", os.path.join(self.tree, "none")), "inventory-open")
        self.refused(wtkms("snapshot", "list", "/dev/null"), "inventory-path")

    def test_running_home(self):
        home = self.encrypted("home")
        self.assertFalse(self.row(home)["running"])
        with Host(home):
            self.assertTrue(self.row(home)["running"])


class TreeTest(SnapshotCase):
    def test_links_and_loops(self):
        home = self.encrypted("home")
        os.symlink(".", os.path.join(self.tree, "loop"))
        os.symlink("../..", os.path.join(home, "up"))
        os.symlink("home", os.path.join(self.tree, "a-latest"))
        rows = self.rows(self.tree)
        self.assertEqual(set(rows), {"home"})
        os.symlink("/nowhere/at/all", os.path.join(home, "t2.wt"))
        row = self.row(home, code=4)
        self.assertIn("t2.wt", " ".join(row["problems"]))

    def test_directory_a_database_on_another_disk(self):
        home = self.encrypted("home")
        disk = self.path("disk")
        os.mkdir(disk)
        os.rename(os.path.join(home, "t.wt"), os.path.join(disk, "t.wt"))
        os.symlink(disk, os.path.join(home, "db1"))
        row = self.row(home)
        self.assertEqual(row["encryption"], "encrypted")
        self.assertGreater(row["size"], os.path.getsize(os.path.join(disk, "t.wt")))

    def test_hard_links_are_shared_by_copies(self):
        home = self.encrypted("home")
        shutil.copytree(home, os.path.join(self.tree, "linked"), copy_function=os.link)
        rows = self.rows(self.tree)
        self.assertEqual(rows["home"]["recipients"], rows["linked"]["recipients"])
        self.assertEqual(rows["home"]["size"], rows["linked"]["size"])

    def test_copies_inside_a_home(self):
        home = self.encrypted("home")
        self.variant(home, "x")
        os.rename(os.path.join(self.tree, "x"), os.path.join(home, "backup"))
        self.assertEqual(set(self.rows(self.tree)), {"home", "home/backup"})

    def test_strange_names(self):
        home = self.encrypted("home")
        names = [b"with space", b"new\nline", b"not\xff\xfeutf8", b"<script>alert(1)</script>", b"\x1b[31mred"]
        for name in names:
            shutil.copytree(home.encode(), os.path.join(self.tree.encode(), name))
        copies = self.list(self.tree)["copies"]
        self.assertEqual(len(copies), 1 + len(names))
        self.assertTrue(any(c["path"].endswith(r"not\xff\xfeutf8") for c in copies))
        self.assertTrue(any(c["path"].endswith("new\nline") for c in copies))
        table = wtkms("snapshot", "list", self.tree).out
        self.assertNotIn("\x1b", table)
        self.assertEqual(len(table.splitlines()), 2 + len(names))

    @unittest.skipUnless(ROOT, "needs another user")
    def test_what_may_not_be_read_is_told(self):
        home = self.encrypted("home")
        hidden = os.path.join(self.tree, "hidden")
        os.mkdir(hidden, 0o700)
        for folder in (self.tree, home):
            os.chmod(folder, 0o755)
        for name in os.listdir(home):
            os.chmod(os.path.join(home, name), 0o644)
        os.chmod(os.path.join(home, "t.wt"), 0o600)
        result = wtkms("snapshot", "list", self.tree, "--format", "json", user=NOBODY)
        self.assertEqual(result.code, 4, result.err)
        self.assertIn("hidden", " ".join(result.json()["skipped"]))
        self.assertIn("t.wt", " ".join(result.json()["copies"][0]["problems"]))
        usage = wtkms("key", "usage", "some-key", self.tree, user=NOBODY)
        self.assertEqual(usage.code, 4, usage.out)

    def test_sparse_giant(self):
        home = self.encrypted("home")
        with open(os.path.join(home, "t.wt"), "r+b") as file:
            file.truncate(100 << 30)
        start = time.monotonic()
        row = self.row(home)
        self.assertLess(time.monotonic() - start, 2)
        self.assertTrue(row["sampled"])
        self.assertGreater(row["size"], 100 << 30)
        self.assertIn("(sampled)", wtkms("snapshot", "list", home).out)

    def test_a_new_key_far_back_in_a_large_file_is_sampled(self):
        home = self.encrypted("home", count=40000)
        self.done(wtkms("rotate", "data", home, "--config", self.config))
        engine(home, "loadtext", "table:t", feed=rows(40000, 40000))
        self.assertGreater(os.path.getsize(os.path.join(home, "t.wt")), 1 << 20)
        row = self.row(home)
        self.assertTrue(row["sampled"])
        self.assertEqual({k["version"] for k in row["dataKeys"]}, {1, 2})

    def test_two_hundred_homes(self):
        home = self.encrypted("home")
        for i in range(199):
            shutil.copytree(home, os.path.join(self.tree, f"copy{i}"))
        start = time.monotonic()
        self.assertEqual(len(self.list(self.tree)["copies"]), 200)
        self.assertLess(time.monotonic() - start, 10)


class ArchiveTest(SnapshotCase):
    def pack(self, mode, name):
        path = os.path.join(self.tree, name)
        with tarfile.open(path, mode) as tar:
            for source in ("home", "plain", "missing", "mirror"):
                tar.add(os.path.join(self.dir, "src", source), source)
        return path

    def sources(self):
        os.mkdir(self.path("src"))
        home = self.encrypted("home")
        self.plain()
        self.variant(home, "missing", KEYSTORES + ("WiredTiger.config",))
        self.variant(home, "mirror", KEYSTORES)
        for name in os.listdir(self.tree):
            os.rename(os.path.join(self.tree, name), os.path.join(self.dir, "src", name))

    def judge(self, rows, name):
        self.assertEqual({member: rows[name, member]["encryption"] for member in ("home", "plain", "missing", "mirror")},
                         {"home": "encrypted", "plain": "Not enabled", "missing": "keystore missing",
                          "mirror": "encrypted"})
        self.assertEqual(rows[name, "mirror"]["keystore"], "from mirror")
        self.assertEqual(rows[name, "home"]["recipients"][0]["credential"], self.key)
        self.assertTrue(rows[name, "home"]["recipients"][0]["openedIt"])
        self.assertIsNotNone(rows[name, "plain"]["checkpointTime"])

    def test_compressions(self):
        self.sources()
        self.pack("w", "a.tar")
        self.pack("w:gz", "b.tar.gz")
        self.pack("w:xz", "c.tar.xz")
        if ZSTD:
            subprocess.run([ZSTD, "-q", os.path.join(self.tree, "a.tar")], check=True)
        before = snapshot(self.dir)
        rows = self.rows(self.tree, code=4)
        self.assertEqual(snapshot(self.dir), before)
        for name in ("a.tar", "b.tar.gz", "c.tar.xz") + (("a.tar.zst",) if ZSTD else ()):
            self.judge(rows, name)

    def test_stream(self):
        self.sources()
        path = self.pack("w:gz", "b.tar.gz")
        with open(path, "rb") as file:
            feeder = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE)
            result = subprocess.run([WTKMS, "snapshot", "list", "-", "--format", "json"], stdin=feeder.stdout,
                                    capture_output=True)
            feeder.stdout.close()
            feeder.wait()
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertEqual(sorted(c["member"] for c in json.loads(result.stdout)["copies"]),
                         ["home", "mirror", "missing", "plain"])

    def test_hostile_paths_touch_nothing(self):
        home = self.encrypted("home")
        os.rename(home, self.path("away"))
        path = os.path.join(self.tree, "evil.tar")
        with tarfile.open(path, "w") as tar:
            for prefix in ("../../escaped", "/absolute/escaped", "a/../../b"):
                for name in os.listdir(self.path("away")):
                    info = tarfile.TarInfo(f"{prefix}/{name}")
                    with open(os.path.join(self.path("away"), name), "rb") as file:
                        data = file.read()
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.BLKTYPE):
                info = tarfile.TarInfo("x/wtkms.keystore")
                info.type, info.linkname = kind, "/etc/passwd"
                tar.addfile(info)
        before = snapshot(self.dir)
        rows = self.rows(self.tree)
        self.assertEqual(snapshot(self.dir), before)
        self.assertFalse(os.path.exists("/absolute"))
        for member in ("../../escaped", "/absolute/escaped", "a/../../b"):
            self.assertEqual(rows["evil.tar", member]["encryption"], "encrypted")

    def test_hard_links_inside(self):
        home = self.encrypted("home")
        shutil.copytree(home, os.path.join(self.tree, "second"), copy_function=os.link)
        path = os.path.join(self.dir, "links.tar")
        with tarfile.open(path, "w") as tar:
            tar.add(self.tree, "t")
        members = {c["member"]: c for c in self.list(path)["copies"]}
        self.assertEqual(set(members), {"t/home", "t/second"})
        self.assertEqual(members["t/home"]["recipients"], members["t/second"]["recipients"])

    def test_cut_archive(self):
        self.sources()
        for mode, name in (("w", "a.tar"), ("w:gz", "b.tar.gz")):
            path = self.pack(mode, name)
            os.truncate(path, os.path.getsize(path) * 2 // 3)
            found = self.list(path, code=4)
            self.assertTrue(found["skipped"] or any(not c["judged"] for c in found["copies"]))
            self.assertIn("home", [c["member"] for c in found["copies"]])
            self.assertEqual(wtkms("key", "usage", "no-such-key", path).code, 4)


    def test_cut_near_the_start_or_no_archive_at_all(self):
        """Nothing of these can be read, and that is told; a compressed log is no copy and is not."""
        self.sources()
        for mode, name in (("w:gz", "b.tar.gz"), ("w:xz", "c.txz"), ("w:bz2", "d.tar.bz2")):
            path = self.pack(mode, name)
            os.truncate(path, 200)
        with open(os.path.join(self.tree, "noise.tar"), "wb") as file:
            file.write(os.urandom(5000))
        subprocess.run(["gzip", "-c"], input=b"a log\n" * 1000, check=True,
                       stdout=open(os.path.join(self.tree, "server.log.gz"), "wb"))
        skipped = self.list(self.tree, code=4)["skipped"]
        for name in ("b.tar.gz", "c.txz", "d.tar.bz2", "noise.tar"):
            self.assertEqual(len([line for line in skipped if name in line]), 1, skipped)
        self.assertEqual(len(skipped), 4)
        self.assertEqual(wtkms("key", "usage", "k", self.tree).code, 4)
        self.assertEqual(self.list(os.path.join(self.tree, "b.tar.gz"), code=4)["copies"], [])


class UsageTest(SnapshotCase):
    def test_exit_codes(self):
        home = self.encrypted("home")
        key = self.key_id(home)
        used = wtkms("key", "usage", key, self.tree)
        self.assertEqual(used.code, 3)
        self.assertIn("needs it: nothing else opens it", used.out)
        self.assertIn(f":{self.tree}", used.out)
        free = wtkms("key", "usage", "arn:aws:kms:eu-west-1:111122223333:key/unknown", self.tree)
        self.assertEqual(free.code, 0)
        self.assertIn("nothing in these places", free.out)
        self.assertIn(f":{self.tree}", free.out)
        self.assertIn("says nothing of places", free.out)
        self.variant(home, "missing", KEYSTORES + ("WiredTiger.config",))
        unknown = wtkms("key", "usage", "some-key", self.tree)
        self.assertEqual(unknown.code, 4)
        self.assertIn("could not be judged", unknown.out)
        self.assertEqual(wtkms("key", "usage", key, self.tree).code, 3)
        self.assertEqual(wtkms("key", "usage", "some-key", self.plain()).code, 0)

    def test_usage_errors(self):
        for args in ([], ["key"], ["--all"]):
            self.refused(wtkms("key", "usage", *args), "usage", 2)

    def test_free_again_after_rotation(self):
        home = self.encrypted("home")
        old = self.key_id(home)
        other = self.path("other.key")
        self.done(wtkms("keygen", other))
        config = self.configuration("other.conf", [f"{{provider: local, keyFile: {other}}}"])
        self.done(wtkms("rotate", "cmk", home, "--config", config, "--from", self.config))
        self.assertEqual(wtkms("key", "usage", old, home).code, 0)
        self.assertEqual(wtkms("key", "usage", self.key_id(home), home).code, 3)
        every = wtkms("key", "usage", "--all", home, "--format", "json")
        self.assertEqual([k["encryptionKeyId"] for k in every.json()["keys"]], [self.key_id(home)])

    def test_inventories_of_many_hosts(self):
        home = self.encrypted("home")
        key = self.key_id(home)
        first, second = self.path("first.json"), self.path("second.json")
        self.save(first, "export", home)
        self.save(second, "export", self.plain())
        with open(first) as file:
            elsewhere = json.load(file)
        for item in elsewhere["places"] + elsewhere["copies"]:
            item["host"] = "backup-7"
        third = self.path("third.json")
        with open(third, "w") as file:
            json.dump(elsewhere, file)
        merged = self.path("merged.json")
        self.save(merged, "merge", first, second, third, first)
        with open(merged) as file:
            copies = json.load(file)["copies"]
        self.assertEqual(len(copies), 3)
        shutil.rmtree(self.tree)
        usage = wtkms("key", "usage", key, "--inventory", merged)
        self.assertEqual(usage.code, 3)
        self.assertIn("backup-7:", usage.out)
        self.assertEqual(wtkms("key", "usage", "other", "--inventory", merged).code, 0)

    def save(self, path, *args):
        text = self.done(wtkms("inventory", *args)).out
        with open(path, "w") as file:
            file.write(text)

    def test_damaged_inventories(self):
        path = self.path("inventory.json")
        for text, identity in (("", "inventory-parse"), ("[]", "inventory-parse"), ("{}", "inventory-parse"),
                               ('{"wtkmsInventory": 2}', "inventory-version"),
                               ('{"wtkmsInventory": 1, "places": [], "copies": [{}], "skipped": []}',
                                "inventory-parse"),
                               ('{"wtkmsInventory": 1, "places": [], "copies": [], "skipped": [1]}',
                                "inventory-parse")):
            with open(path, "w") as file:
                file.write(text)
            self.refused(wtkms("inventory", "merge", path), identity)
            self.refused(wtkms("key", "usage", "k", "--inventory", path), identity)


class OplogTest(SnapshotCase):
    def archive(self, name="log.wko"):
        entries = self.path("oplog.bson")
        with open(entries, "wb") as file:
            for i in range(20):
                body = (b"\x11ts\0" + struct.pack("<II", i + 1, 1700000000) + b"\x02op\0\x02\0\0\0n\0" +
                        b"\x02ns\0\x01\0\0\0\0" + b"\x03o\0\x05\0\0\0\0")
                file.write(struct.pack("<i", len(body) + 5) + body + b"\0")
        path = os.path.join(self.tree, name)
        self.done(wtkms("oplog", "seal", path, entries, "--config", self.config))
        return path

    def test_archives_are_rows_of_their_own(self):
        path = self.archive()
        home = self.encrypted("home")
        shutil.copy(path, os.path.join(home, "inside"))
        key = self.key_id(path)
        row = self.row(path)
        self.assertEqual((row["kind"], row["encryption"], row["node"]), ("oplog archive", "encrypted", "rs0-a"))
        with tarfile.open(self.path("t.tar"), "w") as tar:
            tar.add(self.tree, ".")
        rows = self.rows(self.tree)
        self.assertEqual({name: row["kind"] for name, row in rows.items()},
                         {"home": "home", "home/inside": "oplog archive", "log.wko": "oplog archive"})
        self.assertEqual(len(self.list(self.path("t.tar"))["copies"]), 3)
        self.assertEqual(wtkms("key", "usage", key, path).code, 3)
        os.truncate(path, 100)
        self.assertFalse(self.row(path, code=4)["judged"])


class CheckTest(SnapshotCase):
    def test_check_asks_what_is_configured(self):
        home = self.encrypted("home")
        rows = self.rows(self.tree, "--check", "--config", self.config)
        self.assertEqual(rows["home"]["recipients"][0]["access"], "opens")
        os.rename(self.key, self.key + ".away")
        rows = self.rows(self.tree, "--check", "--config", self.config, code=1)
        self.assertEqual(rows["home"]["recipients"][0]["access"], "configuration")
        self.assertIn("customer.key", wtkms("snapshot", "list", home, "--check", "--config", self.config).out)
        os.rename(self.key + ".away", self.key)
        other = self.path("other.key")
        self.done(wtkms("keygen", other))
        config = self.configuration("other.conf", [f"{{provider: local, keyFile: {other}}}"])
        rows = self.rows(home, "--check", "--config", config)
        self.assertIsNone(rows["home"]["recipients"][0]["access"])


class PageTest(SnapshotCase):
    def test_page(self):
        home = self.encrypted("home")
        self.variant(home, "missing", KEYSTORES + ("WiredTiger.config",))
        shutil.copytree(home, os.path.join(self.tree, "<script>alert(1)<!--"))
        page = self.path("report.html")
        self.assertEqual(wtkms("snapshot", "list", self.tree, "--html", page).code, 4)
        with open(page, encoding="utf-8") as file:
            text = file.read()
        self.assertIn(self.key_id(home), text)
        self.assertIn("Free after", text)
        self.assertIn("keystore missing", text)
        self.assertNotIn("<script>alert", text)
        self.assertNotRegex(text, r"(src|href)=")
        self.assertIn("default-src 'none'", text)
        self.assertEqual(text.count("<tr>"), 2 + 1 + 3)
        whole = wtkms("snapshot", "list", home, "--html", "-").out
        self.assertTrue(whole.startswith("<!DOCTYPE html>") and whole.endswith("</html>\n"))
        self.refused(wtkms("snapshot", "list", home, "--html", "/nonexistent/x.html"), "html-write")


if __name__ == "__main__":
    unittest.main()
