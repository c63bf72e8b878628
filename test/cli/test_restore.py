#!/usr/bin/env python3
"""test/cli/test_restore.py -- wtkms snapshot verify and snapshot restore, on homes that the real engine wrote:
whole, damaged, interrupted at any point, packed, and packed by somebody with bad intentions.

Run by make check in the build directory; WTKMS_BUILD names another. Arguments are unittest's."""
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wtkms_lab import *  # noqa: E402,F403

ZSTD = shutil.which("zstd")
LONG = os.environ.get("WTKMS_LONG", "0") != "0"
KEYSTORES = ("wtkms.keystore", "wtkms.keystore.prev")
UNFINISHED = "wtkms.unfinished"


@unittest.skipUnless(WT, "no wt")
class RestoreCase(Case):
    def setUp(self):
        super().setUp()
        self.other = self.path("other.key")
        self.done(wtkms("keygen", self.other))
        self.target = self.configuration("target.conf", [f"{{provider: local, keyFile: {self.other}}}"],
                                         more="node: rs0-b\n")

    def empty(self, name="restored"):
        path = self.path(name)
        shutil.rmtree(path, True)
        os.mkdir(path, 0o700)
        return path

    def restore(self, copy, home, *more, config=None, origin=None, **kwargs):
        return wtkms("snapshot", "restore", copy, home, "--config", config or self.target, "--from",
                     origin or self.config, "--module", MODULE, *more, **kwargs)

    def verify(self, copy, *more, config=None, code=0):
        result = wtkms("snapshot", "verify", copy, "--config", config or self.config, "--format", "json", *more)
        self.assertEqual(result.code, code, result.err + result.out)
        return result.json()

    def dump(self, home, table="table:t"):
        return engine(home, "dump", table).stdout

    def without_key(self):
        """From here on nothing can be opened by the copy's customer key."""
        os.rename(self.key, self.key + ".gone")

    def tar(self, members, name="copy.tar"):
        """Of (TarInfo or name, content)."""
        path = self.path(name)
        with tarfile.open(path, "w") as archive:
            for info, content in members:
                if isinstance(info, str):
                    info = tarfile.TarInfo(info)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return path

    def members(self, home):
        found = []
        for folder, _, names in os.walk(home):
            for name in names:
                full = os.path.join(folder, name)
                with open(full, "rb") as file:
                    found.append((os.path.relpath(full, home), file.read()))
        return found


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


class VerifyTest(RestoreCase):
    def test_whole(self):
        home = self.encrypted_home()
        before = snapshot(home)
        found = self.verify(home)
        self.assertEqual(snapshot(home), before)
        self.assertEqual((found["failures"], found["unjudged"], found["manifest"]), (0, 0, None))
        self.assertEqual(found["authenticated"], found["units"])
        self.assertTrue(found["keystore"]["opened"])
        quick = self.verify(home, "--quick")
        self.assertTrue(quick["quick"])
        self.assertEqual(quick["units"], found["units"])
        self.assertLess(quick["authenticated"], found["authenticated"])
        self.assertGreater(quick["authenticated"], 0)
        table = self.done(wtkms("snapshot", "verify", home, "--quick", "--config", self.config)).out
        self.assertIn("a sample", table)
        for jobs in ("1", "2", "16"):
            self.assertEqual(self.verify(home, "--jobs", jobs)["authenticated"], found["units"])

    def test_each_failure_is_named(self):
        home = self.encrypted_home()
        table = os.path.join(home, "t.wt")
        block = encrypted_block(table)
        block.data[100] ^= 1
        block.seal()
        block.write()
        found = self.verify(home, code=1)["findings"]
        self.assertEqual([(f["path"], f["offset"], f["torn"]) for f in found], [("t.wt", block.offset, False)])
        # One bit, as a disk loses it: then the checksum does not fit either.
        flip(table, block.offset + 200)
        found = self.verify(home, code=1)["findings"]
        self.assertEqual([(f["path"], f["offset"], f["torn"]) for f in found], [("t.wt", block.offset, True)])
        text = wtkms("snapshot", "verify", home, "--config", self.config)
        self.assertEqual(text.code, 1)
        self.assertIn(str(block.offset), text.out)

    def test_lost_pages_are_found(self):
        """A part of a block that reads as zeros: a write that was lost, or trimmed."""
        home = self.encrypted_home()
        table = os.path.join(home, "t.wt")
        block = encrypted_block(table)
        self.assertGreaterEqual(len(block.data), 5 * 4096)
        for start, end in ((4096, 8192), (8192, len(block.data)), (4096, len(block.data) - 4096)):
            with open(table, "r+b") as file:
                file.seek(block.offset + start)
                file.write(bytes(end - start))
            for found in (self.verify(home, code=1)["findings"], self.check(home, code=1)["findings"]):
                self.assertEqual([(f["path"], f["offset"]) for f in found], [("t.wt", block.offset)])
            self.assertIn("1 problems", wtkms("status", home, "--full").out)
            block.write()
        self.verify(home)

    def test_without_the_key(self):
        home = self.encrypted_home()
        self.without_key()
        found = self.verify(home, code=4)
        self.assertEqual((found["authenticated"], found["failures"]), (0, 0))
        self.assertEqual(found["unjudged"], found["units"])
        self.assertFalse(found["keystore"]["opened"])
        self.assertIn("customer.key", found["keystore"]["closedBecause"])
        # What needs no key is checked all the same.
        flip(os.path.join(home, "t.wt"), encrypted_block(os.path.join(home, "t.wt")).offset + 200)
        self.assertEqual(self.verify(home, code=1)["failures"], 1)
        missing = wtkms("snapshot", "verify", home)
        self.assertIn(missing.code, (1,))
        self.refused(wtkms("snapshot", "verify", home, "--config", self.path("none.conf")), "file-missing")

    def test_the_mirror_alone_and_nothing(self):
        home = self.encrypted_home()
        mirror = self.copy(home, "mirror", KEYSTORES)
        found = self.verify(mirror)
        self.assertEqual((found["keystore"]["state"], found["failures"]), ("from mirror", 0))
        self.assertEqual(found["authenticated"], found["units"])
        nothing = self.copy(home, "nothing", KEYSTORES + ("WiredTiger.config",))
        found = self.verify(nothing, code=4)
        self.assertEqual((found["keystore"]["state"], found["unjudged"]), ("missing", found["units"]))
        plain = self.home("plain")
        load(plain)
        self.assertEqual(self.verify(plain)["units"], 0)
        self.assertIn("Not encrypted", self.done(wtkms("snapshot", "verify", plain)).out)

    def test_a_part_of_the_keystore(self):
        """So many keyids that WiredTiger.config has the default scope's part only."""
        tenant = self.path("tenant.key")
        self.done(wtkms("keygen", tenant))
        config = self.configuration(
            "two.conf", [f"{{provider: local, keyFile: {self.key}}}"],
            more=f"node: rs1\nkeys:\n  tenantA: {{kms: [{{provider: local, keyFile: {tenant}}}]}}\n")
        home = self.home()
        self.done(self.init(home, config=config))
        load(home)
        load(home, "table:a", config="key_format=S,value_format=S,encryption=(name=kms,keyid=tenantA)")
        for _ in range(170):
            self.done(wtkms("rotate", "data", home, "--keyid", "tenantA", "--config", config, "--reason", "x" * 200))
        part = self.copy(home, "part", KEYSTORES)
        if not self.row_is_partial(part):
            self.skipTest("the keystore is not large enough for a partial mirror")
        found = self.verify(part, config=config, code=4)
        self.assertTrue(found["keystore"]["partial"])
        self.assertEqual(found["failures"], 0)
        self.assertGreater(found["unjudged"], 0)
        self.assertGreater(found["authenticated"], 0)
        self.refused(self.restore(part, self.empty(), config=config, origin=config), "keystore-partial")

    def row_is_partial(self, path):
        result = wtkms("snapshot", "list", path)
        return "carries a part of the keystore" in result.out

    def test_refused(self):
        home = self.encrypted_home()
        self.refused(wtkms("snapshot", "verify", self.tar(self.members(home))), "verify-archive")
        self.refused(wtkms("snapshot", "verify", "-"), "verify-archive")
        with open(os.path.join(home, UNFINISHED), "w") as file:
            file.write("snapshot restore\n")
        self.refused(wtkms("snapshot", "verify", home), "copy-unfinished")

    @unittest.skipUnless(ROOT, "needs another user")
    def test_what_may_not_be_read(self):
        home = self.encrypted_home()
        os.chmod(self.dir, 0o755)
        for folder, _, names in os.walk(home):
            shutil.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
            for name in names:
                if name != "t.wt":
                    shutil.chown(os.path.join(folder, name), NOBODY.pw_uid, NOBODY.pw_gid)
        os.chmod(os.path.join(home, "t.wt"), 0o600)
        shutil.chown(self.key, NOBODY.pw_uid)
        result = wtkms("snapshot", "verify", home, "--config", self.config, user=NOBODY)
        self.assertEqual(result.code, 1, result.err + result.out)
        self.assertIn("Permission denied", result.out)


class RestoreTest(RestoreCase):
    def test_under_another_customer_key(self):
        home = self.encrypted_home()
        rows_before, before = self.dump(home), snapshot(home)
        old = self.status(home)["keystore"]
        restored = self.empty()
        plan = self.done(self.restore(home, restored, "--plan", "--format", "json")).json()
        self.assertEqual((plan["plan"], plan["parent"]), (True, old["uuid"]))
        self.assertEqual(os.listdir(restored), [])
        done = self.done(self.restore(home, restored, "--format", "json", "--reason", "drill")).json()
        self.assertEqual((done["parent"], done["torn"], done["resumed"]), (old["uuid"], 0, False))
        self.assertEqual(snapshot(home), before)
        self.without_key()
        self.assertEqual(self.dump(restored), rows_before)
        engine(restored, "verify", "table:t")
        load(restored, "table:u")
        self.done(wtkms("check", restored, "--config", self.target))
        new = self.status(restored)["keystore"]
        self.assertEqual((new["parent"], new["node"]), (old["uuid"], "rs0-b"))
        self.assertNotEqual(new["uuid"], old["uuid"])
        shown = wtkms("keystore", "show", restored).json()
        self.assertEqual(len(shown["masterKeys"]), 1)
        self.assertNotIn(wtkms("keystore", "show", home).json()["masterKeys"][0]["id"],
                         [m["id"] for m in shown["masterKeys"]])
        self.assertIn("drill", str(shown["history"]))
        text = open(os.path.join(restored, "WiredTiger.config")).read()
        self.assertIn(self.target, text)
        self.assertNotIn(self.config, text)
        self.assertEqual([n for n in os.listdir(restored) if "restore" in n or n == UNFINISHED], [])

    def test_reencrypt(self):
        home = self.encrypted_home()
        rows_before = self.dump(home)
        restored = self.empty()
        done = self.done(self.restore(home, restored, "--reencrypt", "--format", "json")).json()
        self.assertGreater(done["rewritten"], 10)
        self.assertEqual(done["leftUnderOldKeys"], 0)
        self.without_key()
        self.assertEqual(self.dump(restored), rows_before)
        old = {k["id"] for k in wtkms("keystore", "show", home).json()["dataKeys"]}
        for name in os.listdir(restored):
            data = open(os.path.join(restored, name), "rb").read()
            for key in old:
                self.assertNotIn(b"WK\x01\x01" + bytes.fromhex(key)[::-1], data, name)

    def test_lines_of_the_user_and_other_extensions(self):
        home = self.encrypted_home()
        with open(os.path.join(home, "WiredTiger.config"), "r+") as file:
            text = file.read()
            file.seek(0)
            file.write("# mine\ncache_size=60MB\n" + text.replace(
                "extensions=[", "extensions=[/usr/lib/none.so=(config=(a=b)),"))
        restored = self.empty()
        result = self.done(self.restore(home, restored))
        self.assertIn("/usr/lib/none.so", result.out)
        text = open(os.path.join(restored, "WiredTiger.config")).read()
        self.assertTrue(text.startswith("# mine\ncache_size=60MB\n"), text[:80])
        self.assertIn("/usr/lib/none.so=(config=(a=b))", text)
        self.done(self.restore(home, self.empty(), "--extensions", "/opt/x.so"))
        text = open(os.path.join(restored, "WiredTiger.config")).read()
        self.assertNotIn("/usr/lib/none.so", text)
        self.assertIn("/opt/x.so", text)
        # A home whose application brings the module in keeps it that way.
        bare = self.copy(home, "bare")
        with open(os.path.join(bare, "WiredTiger.config"), "r+") as file:
            kept = [line for line in file.read().splitlines(True)
                    if "libwiredtiger_kms" not in line and not line.startswith(("encryption=", "#wtkms-engine"))]
            file.seek(0)
            file.truncate()
            file.write("".join(kept))
        result = self.done(self.restore(bare, self.empty()))
        self.assertIn("does not load the module", result.out)
        self.assertNotIn("libwiredtiger_kms", open(os.path.join(restored, "WiredTiger.config")).read())

    def test_tenants(self):
        tenant, new_tenant = self.path("tenant.key"), self.path("new-tenant.key")
        for key in (tenant, new_tenant):
            self.done(wtkms("keygen", key))
        entry = "node: rs1\nkeys:\n  tenantA: {{kms: [{{provider: local, keyFile: {}}}]}}\n"
        config = self.configuration("two.conf", [f"{{provider: local, keyFile: {self.key}}}"],
                                    more=entry.format(tenant))
        target = self.configuration("two-new.conf", [f"{{provider: local, keyFile: {self.other}}}"],
                                    more=entry.format(new_tenant))
        home = self.home()
        self.done(self.init(home, config=config))
        load(home)
        load(home, "table:a", config="key_format=S,value_format=S,encryption=(name=kms,keyid=tenantA)")
        rows_before = self.dump(home), self.dump(home, "table:a")
        restored = self.empty()
        self.refused(self.restore(home, restored, origin=config), "rotate-scope-unconfigured")
        self.assertEqual(os.listdir(restored), [])
        self.done(self.restore(home, restored, config=target, origin=config))
        os.unlink(tenant)
        self.without_key()
        self.assertEqual((self.dump(restored), self.dump(restored, "table:a")), rows_before)

    def test_keystore_elsewhere_and_copies(self):
        home = self.encrypted_home()
        places = [self.path("elsewhere.keystore"), self.path("copy.keystore")]
        config = self.configuration(
            "places.conf", [f"{{provider: local, keyFile: {self.other}}}"],
            more=f"node: x\nkeystore: {places[0]}\nkeystoreCopies: [ {places[1]} ]\n")
        restored = self.empty()
        open(places[1], "w").close()
        self.refused(self.restore(home, restored, config=config), "restore-keystore-path")
        self.assertEqual(os.listdir(restored), [])
        os.unlink(places[1])
        self.done(self.restore(home, restored, config=config))
        self.assertEqual(*[open(p, "rb").read() for p in places])
        self.assertNotIn("wtkms.keystore", os.listdir(restored))
        self.without_key()
        self.dump(restored)

    def test_refused_before_anything_is_written(self):
        home = self.encrypted_home()
        plain = self.home("plain")
        load(plain)
        nothing = self.copy(home, "nothing", KEYSTORES + ("WiredTiger.config",))
        restored = self.empty()
        for copy, identity in ((plain, "restore-plain"), (nothing, "restore-no-keystore"),
                               (self.dir, "restore-no-copy"), (self.path("none"), "restore-source")):
            self.refused(self.restore(copy, restored), identity)
            self.assertEqual(os.listdir(restored), [])
        expecting = self.configuration("expect.conf", [f"{{provider: local, keyFile: {self.other}}}"],
                                       more="expect: {minGeneration: 3}\n")
        self.refused(self.restore(home, restored, config=expecting), "restore-expect")
        self.refused(self.restore(home, restored, origin=self.target), "keystore-no-recipient")
        self.refused(self.restore(home, restored, config=self.configuration(
            "no-key.conf", [f"{{provider: local, keyFile: {self.path('none.key')}}}"])), "file-missing")
        self.refused(wtkms("snapshot", "restore", home, self.path("none"), "--config", self.target, "--module",
                           MODULE), "file-open-dir")
        self.assertEqual(os.listdir(restored), [])
        with Host(home):
            self.refused(self.restore(home, restored), "host-running")
        open(os.path.join(restored, "mine"), "w").close()
        self.refused(self.restore(home, restored), "restore-not-empty")
        self.assertEqual(os.listdir(restored), ["mine"])
        inside = os.path.join(home, "inside")
        os.mkdir(inside)
        self.refused(self.restore(home, inside), "restore-inside")

    def test_damage_is_refused(self):
        home = self.encrypted_home()
        block = encrypted_block(os.path.join(home, "t.wt"))
        damaged = self.copy(home, "damaged")
        block.data[100] ^= 1
        block.seal()
        block.write(os.path.join(damaged, "t.wt"))
        restored = self.empty()
        line = self.refused(self.restore(damaged, restored), "restore-damaged")
        self.assertIn(f"t.wt at offset {block.offset}", line)
        self.refused(self.restore(damaged, restored, "--accept-torn"), "restore-damaged")
        self.assertIn(UNFINISHED, os.listdir(restored))
        self.not_a_home(restored)
        flipped = self.copy(home, "flipped")
        flip(os.path.join(flipped, "t.wt"), block.offset + 300)
        restored = self.empty()
        line = self.refused(self.restore(flipped, restored), "restore-torn")
        self.assertIn(f"t.wt at offset {block.offset}", line)
        done = self.done(self.restore(flipped, restored, "--accept-torn", "--format", "json")).json()
        self.assertEqual((done["torn"], done["kept"], done["resumed"]), (1, done["files"], True))
        # The copy is mended meanwhile: the same command brings what is new.
        restored = self.empty()
        self.refused(self.restore(flipped, restored), "restore-torn")
        shutil.copy(os.path.join(home, "t.wt"), os.path.join(flipped, "t.wt"))
        done = self.done(self.restore(flipped, restored, "--format", "json")).json()
        self.assertEqual((done["torn"], done["files"] - done["kept"]), (0, 1))
        self.assertEqual(self.dump(restored), self.dump(home))

    def not_a_home(self, home):
        """Nothing takes it for one: no command, no engine with the module or without, none changes it."""
        before = snapshot(home)
        self.refused(self.init(home, config=self.target), "copy-unfinished")
        rows_found = wtkms("snapshot", "list", home)
        self.assertEqual(rows_found.code, 4)
        self.assertIn("a restore to here was not finished", rows_found.out)
        self.assertEqual(wtkms("status", home).code, 4)
        module = f"extensions=[{MODULE}=(config=(config_file={self.target}))],encryption=(name=kms,keyid=default)"
        for config in ("create", f"create,{module}"):
            process = engine(home, "list", check=False, config=config)
            self.assertNotEqual(process.returncode, 0, config)
        # An engine makes these two before it reads its configuration.
        made = ("WiredTiger", "WiredTiger.lock")
        self.assertEqual({n: s for n, s in snapshot(home).items() if n not in made},
                         {n: s for n, s in before.items() if n not in made})

    def test_the_module_and_the_commands_read_the_marker(self):
        """The last that a restore removes: all else is in place by then."""
        home = self.encrypted_home()
        restored = self.empty()
        self.done(self.restore(home, restored))
        marker = os.path.join(restored, UNFINISHED)
        with open(marker, "w") as file:
            file.write("snapshot restore\n")
        process = engine(restored, "list", check=False)
        self.assertNotEqual(process.returncode, 0)
        self.assertIn(b"(copy-unfinished)", process.stderr)
        for command in (("rotate", "master"), ("rotate", "data"), ("keystore", "fork"), ("reencrypt",)):
            self.refused(wtkms(*command, restored, "--config", self.target), "copy-unfinished")
        os.unlink(marker)
        engine(restored, "list")

    def test_other_commands_do_not_go_on(self):
        home = self.encrypted_home()
        flipped = self.copy(home, "flipped")
        flip(os.path.join(flipped, "t.wt"), encrypted_block(os.path.join(home, "t.wt")).offset + 300)
        restored = self.empty()
        self.refused(self.restore(flipped, restored), "restore-torn")
        self.refused(self.restore(home, restored), "restore-other")
        self.refused(self.restore(flipped, restored, "--reencrypt"), "restore-other")
        with open(os.path.join(restored, UNFINISHED), "w") as file:
            file.write("snapshot create\n")
        self.refused(self.restore(flipped, restored), "restore-other")

    @unittest.skipUnless(ROOT, "needs another user")
    def test_root_works_as_the_owner(self):
        home = self.encrypted_home()
        os.chmod(home, 0o700)
        os.chmod(os.path.join(home, "t.wt"), 0o644)
        restored = self.empty()
        shutil.chown(restored, NOBODY.pw_uid, NOBODY.pw_gid)
        shutil.chown(self.other, NOBODY.pw_uid, NOBODY.pw_gid)
        # Root's key file: readable to the group that the owner is in.
        shutil.chown(self.key, 0, NOBODY.pw_gid)
        os.chmod(self.key, 0o640)
        self.done(self.restore(home, restored))
        for name in os.listdir(restored):
            stat = os.lstat(os.path.join(restored, name))
            self.assertEqual((stat.st_uid, stat.st_gid), (NOBODY.pw_uid, NOBODY.pw_gid), name)
            self.assertEqual(stat.st_mode & 0o133, 0, name)
        self.assertEqual(os.stat(home).st_uid, 0)
        archive = self.tar(self.members(home))
        os.chmod(archive, 0o600)
        restored = self.empty()
        shutil.chown(restored, NOBODY.pw_uid, NOBODY.pw_gid)
        self.done(self.restore(archive, restored))
        self.assertEqual({os.lstat(os.path.join(restored, n)).st_uid for n in os.listdir(restored)},
                         {NOBODY.pw_uid})

    def test_directories_and_links(self):
        """One directory a database, one of them on another disk: a copy has it whole or is refused."""
        home = self.encrypted_home()
        load(home, "table:x")
        os.mkdir(os.path.join(home, "diagnostic.data"))
        with open(os.path.join(home, "diagnostic.data", "metrics"), "w") as file:
            file.write("m")
        os.symlink(".", os.path.join(home, "loop"))
        os.link(os.path.join(home, "diagnostic.data", "metrics"), os.path.join(home, "diagnostic.data", "again"))
        restored = self.empty()
        self.done(self.restore(home, restored))
        self.assertEqual(sorted(os.listdir(os.path.join(restored, "diagnostic.data"))), ["again", "metrics"])
        self.assertFalse(os.path.lexists(os.path.join(restored, "loop")))
        os.symlink(self.dir, os.path.join(home, "out"))
        line = self.refused(self.restore(home, self.empty()), "restore-link")
        self.assertIn("leads out", line)
        os.unlink(os.path.join(home, "out"))
        os.symlink("/etc/passwd", os.path.join(home, "stolen.wt"))
        self.refused(self.restore(home, self.empty()), "restore-link")
        os.unlink(os.path.join(home, "stolen.wt"))
        os.symlink("/nowhere", os.path.join(home, "gone"))
        self.assertIn("nowhere", self.refused(self.restore(home, self.empty()), "restore-link"))

    def test_trusted_keys(self):
        """A recorded recipient that the operator vouches for: of a key service, and recorded."""
        home = self.encrypted_home()
        copies = wtkms("snapshot", "list", home, "--format", "json").json()["copies"]
        recorded = copies[0]["recipients"][0]["encryptionKeyId"]
        for command in (("verify", home), ("restore", home, self.empty(), "--module", MODULE)):
            for key, identity in (("local:0", "trust-key-unrecorded"), (recorded, "trust-key-provider")):
                self.refused(wtkms("snapshot", *command, "--config", self.target, "--trust-key", key), identity)
        self.assertEqual(os.listdir(self.path("restored")), [])

    def test_made_when_it_is_missing(self):
        home = self.encrypted_home()
        missing = self.path("missing")
        result = self.restore(home, missing)
        if ROOT:
            self.refused(result, "file-open-dir")
        else:
            self.done(result)
            self.assertEqual(os.stat(missing).st_mode & 0o777, 0o700)

    def test_interrupted_reencryption_is_no_copy(self):
        home = self.encrypted_home()
        open(os.path.join(home, "wtkms.reencrypt"), "w").close()
        self.refused(self.restore(home, self.empty()), "restore-reencrypting")


class ArchiveTest(RestoreCase):
    def test_every_packing(self):
        home = self.encrypted_home()
        rows_before = self.dump(home)
        packings = [("plain.tar", ["-cf"]), ("dir.tar.gz", ["-czf"])]
        if ZSTD:
            packings.append(("copy.tar.zst", ["--zstd", "-cf"]))
        for name, options in packings:
            path = self.path(name)
            inside = ["-C", self.dir, "home"] if name.startswith("dir") else ["-C", home, "."]
            subprocess.run(["tar", *options, path, *inside], check=True)
            restored = self.empty()
            done = self.done(self.restore(path, restored, "--format", "json")).json()
            self.assertGreater(done["authenticated"], 10, name)
            self.assertEqual(self.dump(restored), rows_before, name)
            self.assertEqual([n for n in os.listdir(restored) if "restore" in n], [])

    def test_stream(self):
        home = self.encrypted_home()
        restored = self.empty()
        command = [WTKMS, "snapshot", "restore", "-", restored, "--config", self.target, "--module", MODULE]
        data = open(self.tar(self.members(home)), "rb").read()
        process = subprocess.run(command, input=data, capture_output=True)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"(keystore-no-recipient)", process.stderr)
        self.assertEqual(os.listdir(restored), [])
        process = subprocess.run(command + ["--from", self.config], input=data[:len(data) // 2], capture_output=True)
        self.assertIn(b"(restore-archive)", process.stderr)
        self.assertEqual(os.listdir(restored), [])
        process = subprocess.run(command + ["--from", self.config], input=data, capture_output=True)
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertEqual(self.dump(restored), self.dump(home))
        self.refused(wtkms("snapshot", "restore", "-", self.empty(), "--plan", "--config", self.target,
                           "--module", MODULE), "usage", code=2)

    def test_hostile_members(self):
        home = self.encrypted_home()
        whole = self.members(home)
        outside = self.path("outside")

        def entry(name, kind, link=""):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            return info, b""

        bad = {
            "dots": ("../outside", b"x"), "absolute": (outside, b"x"), "deep": ("a/../../outside", b"x"),
            "dot": ("./a/./b/../../../outside", b"x"), "empty": ("a//b", b"x"), "marker": (UNFINISHED, b"x"),
            "symlink": entry("lnk", tarfile.SYMTYPE, self.dir), "dirlink": entry("db", tarfile.SYMTYPE, "/etc"),
            "hardlink": entry("hl", tarfile.LNKTYPE, "../customer.key"),
            "hardlink2": entry("hl", tarfile.LNKTYPE, self.key)}
        for name, member in bad.items():
            for members in ([member] + whole, whole + [member]):
                archive = self.tar(members, "bad.tar")
                restored = self.empty()
                self.refused(self.restore(archive, restored), "restore-member")
                self.assertEqual(os.listdir(restored), [], name)
                process = subprocess.run(
                    [WTKMS, "snapshot", "restore", "-", restored, "--config", self.target, "--from", self.config,
                     "--module", MODULE], input=open(archive, "rb").read(), capture_output=True)
                self.assertEqual(process.returncode, 1, name)
                self.assertIn(b"(restore-member)", process.stderr)
                self.assertEqual(os.listdir(restored), [], name)
                self.assertFalse(os.path.lexists(outside), name)
        # A link followed by a member below it: the first is refused, the second alone makes a directory.
        archive = self.tar([entry("db", tarfile.SYMTYPE, self.dir), ("db/outside", b"x")] + whole)
        self.refused(self.restore(archive, self.empty()), "restore-member")
        self.assertFalse(os.path.lexists(outside))

    def test_odd_members(self):
        home = self.encrypted_home()
        whole = self.members(home)

        def entry(name, kind, link=""):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            return info, b""

        odd = [entry("pipe", tarfile.FIFOTYPE), entry("dev", tarfile.CHRTYPE), entry("d", tarfile.DIRTYPE),
               ("t.wt", b"overwritten by the next"), ("with space/\xe4\n", b"y")]
        restored = self.empty()
        self.done(self.restore(self.tar(odd + whole + [entry("t2.wt", tarfile.LNKTYPE, "t.wt")]), restored))
        self.assertFalse(os.path.lexists(os.path.join(restored, "pipe")))
        self.assertFalse(os.path.lexists(os.path.join(restored, "dev")))
        one, two = (os.stat(os.path.join(restored, n)) for n in ("t.wt", "t2.wt"))
        self.assertEqual(one.st_size, two.st_size)
        self.assertNotEqual(one.st_ino, two.st_ino)
        self.assertEqual(self.dump(restored), self.dump(home))
        mode = tarfile.TarInfo("loose")
        mode.mode = 0o6777
        self.done(self.restore(self.tar(whole + [(mode, b"z")]), self.empty()))
        self.assertEqual(os.stat(os.path.join(restored, "loose")).st_mode & 0o7777, 0o644)

    def test_no_copy_and_several(self):
        home = self.encrypted_home()
        whole = self.members(home)
        self.refused(self.restore(self.tar([("notes", b"x")]), self.empty()), "restore-no-keystore")
        keystore = [m for m in whole if m[0] == "wtkms.keystore"]
        self.refused(self.restore(self.tar(keystore), self.empty()), "restore-no-copy")
        two = [(f"a/{n}", c) for n, c in whole] + [(f"b/{n}", c) for n, c in whole]
        self.refused(self.restore(self.tar(two), self.empty()), "restore-several")
        path = self.path("noise.tar")
        with open(path, "wb") as file:
            file.write(os.urandom(4096))
        self.refused(self.restore(path, self.empty()), "restore-archive")


class InterruptedTest(RestoreCase):
    """A kill at any point, and the same command again."""

    def kills(self, copy, *more, feed=None):
        rows_before = self.dump(self.path("home"))
        command = [WTKMS, "snapshot", "restore", copy, self.path("restored"), "--config", self.target, "--from",
                   self.config, "--module", MODULE, *more]
        start = time.monotonic()
        self.empty()
        self.done(self.restore(copy, self.path("restored"), *more))
        whole = time.monotonic() - start
        interrupted = 0
        for i in range(20 if LONG else 6):
            restored = self.empty()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if i % 2 == 0:  # how long a run takes varies with the load, so some are caught at work
                while process.poll() is None and UNFINISHED not in os.listdir(restored):
                    pass
                time.sleep(random.uniform(0, whole / 20) if i > 0 else 0)
            else:
                time.sleep(random.uniform(0, whole * 1.1))
            process.kill()
            process.wait()
            if UNFINISHED in os.listdir(restored):
                interrupted += 1
                self.not_opened(restored)
            names = os.listdir(restored)
            if UNFINISHED in names or "wtkms.keystore" not in names:  # else it was done, if not with its words
                self.done(self.restore(copy, restored, *more))
            self.assertNotIn(UNFINISHED, os.listdir(restored))
            self.assertEqual(self.dump(restored), rows_before, i)
            self.done(wtkms("check", restored, "--config", self.target))
        return interrupted

    def not_opened(self, home):
        module = f"extensions=[{MODULE}=(config=(config_file={self.target}))],encryption=(name=kms,keyid=default)"
        for config in ("create", f"create,{module}"):
            process = engine(home, "list", check=False, config=config)
            # The module alone reads the marker; no other engine gets as far as to write.
            self.assertNotEqual(process.returncode, 0, sorted(os.listdir(home)))

    def test_directory(self):
        self.encrypted_home(count=60000)
        self.assertGreater(self.kills(self.path("home")), 0)

    def test_reencrypt(self):
        self.encrypted_home(count=40000)
        self.assertGreater(self.kills(self.path("home"), "--reencrypt"), 0)

    def test_archive(self):
        home = self.encrypted_home(count=40000)
        self.assertGreater(self.kills(self.tar(self.members(home))), 0)


class ManifestTest(RestoreCase):
    """Copies that snapshot create made."""

    def created(self, home, name="copy", *more):
        copy = self.path(name)
        self.done(wtkms("snapshot", "create", home, copy, "--config", self.config, *more))
        return copy

    def test_verified(self):
        copy = self.created(self.encrypted_home())
        before = snapshot(copy)
        found = self.verify(copy)
        self.assertEqual(snapshot(copy), before)
        self.assertTrue(found["manifest"]["authentic"])
        self.assertEqual(found["manifest"]["hashesThatFit"], found["manifest"]["files"])
        self.assertEqual(found["differences"], [])
        quick = self.verify(copy, "--quick")
        self.assertEqual(quick["manifest"]["hashesThatFit"], 0)
        self.assertIn("no hashes", wtkms("snapshot", "verify", copy, "--quick", "--config", self.config).out)
        self.without_key()
        found = self.verify(copy, code=4)
        self.assertFalse(found["manifest"]["authentic"])
        self.assertEqual(found["manifest"]["hashesThatFit"], found["manifest"]["files"])

    def test_each_difference_is_named(self):
        home = self.encrypted_home()
        copy = self.created(home)

        def differences(*more):
            return {d["path"]: d["difference"] for d in self.verify(copy, *more, code=1)["differences"]}

        os.rename(os.path.join(copy, "WiredTiger.turtle"), self.path("turtle"))
        self.assertEqual(differences(), {"WiredTiger.turtle": "missing"})
        os.rename(self.path("turtle"), os.path.join(copy, "WiredTiger.turtle"))
        with open(os.path.join(copy, "notes"), "w") as file:
            file.write("mine")
        self.assertEqual(differences(), {"notes": "not in the manifest"})
        os.unlink(os.path.join(copy, "notes"))
        with open(os.path.join(copy, "t.wt"), "ab") as file:
            file.write(bytes(4096))
        self.assertEqual(differences("--quick"), {"t.wt": "other size"})
        os.truncate(os.path.join(copy, "t.wt"), os.path.getsize(os.path.join(home, "t.wt")))
        # A clear file, which no key authenticates.
        flip(os.path.join(copy, "WiredTiger.turtle"), 30)
        self.assertEqual(differences(), {"WiredTiger.turtle": "other content"})
        line = self.refused(self.restore(copy, self.empty()), "restore-manifest")
        self.assertIn("WiredTiger.turtle", line)
        flip(os.path.join(copy, "WiredTiger.turtle"), 30)
        self.verify(copy)

    def test_a_forged_manifest_is_refused(self):
        copy = self.created(self.encrypted_home())
        flip(os.path.join(copy, "wtkms.manifest"), os.path.getsize(os.path.join(copy, "wtkms.manifest")) - 10)
        self.refused(wtkms("snapshot", "verify", copy, "--config", self.config), "manifest-mac")
        self.refused(self.restore(copy, self.empty()), "manifest-mac")

    def test_torn_when_it_was_copied(self):
        """Of a running database a copy may cut a write: the manifest says that it was so then."""
        home = self.encrypted_home()
        block = encrypted_block(os.path.join(home, "t.wt"))
        with open(os.path.join(home, "t.wt"), "ab") as file:
            # Behind the end: nothing needs it.
            file.write(bytes(block.data)[:300] + bytes(len(block.data) - 300))
        copy = self.created(home)
        found = self.verify(copy)
        self.assertEqual((found["failures"], found["tornBefore"]), (0, 1))
        self.assertIn("when the copy was made", wtkms("snapshot", "verify", copy, "--config", self.config).out)
        restored = self.empty()
        self.assertEqual(self.done(self.restore(copy, restored, "--format", "json")).json()["torn"], 1)
        self.assertEqual(self.dump(restored), self.dump(home))
        os.unlink(os.path.join(copy, "wtkms.manifest"))
        self.refused(self.restore(copy, self.empty()), "restore-torn")

    def test_restored(self):
        home = self.encrypted_home()
        rows_before = self.dump(home)
        copy = self.created(home)
        for more in ((), ("--reencrypt",)):
            restored = self.empty()
            result = self.done(self.restore(copy, restored, *more))
            self.assertIn("authentic manifest", result.out)
            self.assertEqual(self.dump(restored), rows_before)
            self.assertNotIn("wtkms.manifest", os.listdir(restored))

    def test_streams(self):
        home = self.encrypted_home()
        rows_before = self.dump(home)
        archive = self.path("copy.tar")
        with open(archive, "wb") as file:
            subprocess.run([WTKMS, "snapshot", "create", home, "-", "--config", self.config], stdout=file,
                           stderr=subprocess.DEVNULL, check=True)
        restored = self.empty()
        result = self.done(self.restore(archive, restored))
        self.assertIn("authentic manifest", result.out)
        self.assertEqual(self.dump(restored), rows_before)
        restored = self.empty()
        create = subprocess.Popen([WTKMS, "snapshot", "create", home, "-", "--config", self.config],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process = subprocess.run([WTKMS, "snapshot", "restore", "-", restored, "--config", self.target, "--from",
                                  self.config, "--module", MODULE], stdin=create.stdout, capture_output=True)
        create.stdout.close()
        self.assertEqual((create.wait(), process.returncode), (0, 0), process.stderr)
        self.assertEqual(self.dump(restored), rows_before)

    def test_log_outside_of_the_home(self):
        log = self.path("log")
        os.mkdir(log, 0o700)
        config = self.configuration("log.conf", [f"{{provider: local, keyFile: {self.key}}}"],
                                    more=f"node: x\nlogPath: {log}\n")
        home = self.home()
        self.done(self.init(home, config=config))
        options = f"create,log=(enabled=true,path={log})"
        engine(home, "create", "-c", "key_format=S,value_format=S,log=(enabled=true)", "table:l", config=options)
        engine(home, "loadtext", "table:l", feed=rows(200), config=options)
        copy = self.path("copy")
        self.done(wtkms("snapshot", "create", home, copy, "--config", config))
        self.assertIn("wtkms.log-path", os.listdir(copy))
        restored = self.empty()
        self.refused(self.restore(copy, restored), "restore-log-path")
        self.assertEqual(os.listdir(restored), [])
        new_log = self.path("new-log")
        os.mkdir(new_log, 0o700)
        target = self.configuration("new-log.conf", [f"{{provider: local, keyFile: {self.other}}}"],
                                    more=f"node: x\nlogPath: {new_log}\n")
        self.done(self.restore(copy, restored, config=target, origin=config))
        self.assertNotIn("wtkms.log-path", os.listdir(restored))
        self.assertEqual(sorted(os.listdir(new_log)), sorted(os.listdir(os.path.join(copy, "wtkms.log-path"))))
        before = engine(home, "dump", "table:l", config=options).stdout
        shutil.rmtree(log)
        options = f"create,log=(enabled=true,path={new_log})"
        self.assertEqual(engine(restored, "dump", "table:l", config=options).stdout, before)


if __name__ == "__main__":
    unittest.main()
