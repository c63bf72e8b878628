#!/usr/bin/env python3
"""test/cli/test_keys.py -- wtkms keystore fork, key prune and key remove, on homes that the real engine wrote.

Run by make check in the build directory; WTKMS_BUILD names another. Arguments are unittest's."""
import os
import pty
import shutil
import struct
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wtkms_lab import *  # noqa: E402,F403

TENANT = "key_format=S,value_format=S,encryption=(name=kms,keyid=tenantA)"


class KeyCase(Case):
    def command(self, *args, code=0, config=None):
        result = wtkms(*args, "--config", config or self.config, "--format", "json")
        self.assertEqual(result.code, code, result.err + result.out)
        return result.json()

    def keystore(self, home):
        return self.done(wtkms("keystore", "show", home)).json()

    def rotate(self, home, what="data", *more):
        return self.command("rotate", what, home, *more)

    def keys(self, home, keyid="default"):
        return {k["version"]: k for k in self.keystore(home)["dataKeys"] if k["keyid"] == keyid}

    def rows_of(self, home, table="table:t"):
        return len([line for line in engine(home, "dump", table).stdout.splitlines()
                    if line.startswith(b"key0")])


class ForkTest(KeyCase):
    def test_a_clone_becomes_its_own(self):
        home = self.encrypted_home()
        self.rotate(home)
        clone = self.copy(home, "clone")
        before = self.keystore(home)
        original = snapshot(home)
        result = self.command("keystore", "fork", clone, "--reason", "test system")
        after = self.keystore(clone)
        self.assertEqual(result["parent"], before["uuid"])
        self.assertEqual(after["parent"], before["uuid"])
        self.assertEqual(after["uuid"], result["uuid"])
        self.assertNotEqual(after["uuid"], before["uuid"])
        self.assertEqual(after["generation"], before["generation"] + 1)
        self.assertEqual([k["id"] for k in after["dataKeys"]], [k["id"] for k in before["dataKeys"]])
        for old, new in zip(before["dataKeys"], after["dataKeys"]):
            self.assertNotEqual(old["wrapped"], new["wrapped"])
        self.assertEqual(len(after["masterKeys"]), 1)
        self.assertNotEqual(after["masterKeys"][0]["id"], before["masterKeys"][0]["id"])
        event = after["history"][-1]
        self.assertEqual((event["operation"], event["reason"]), ("keystore fork", "test system"))
        self.assertFalse(os.path.exists(os.path.join(clone, "wtkms.state")))
        self.assertEqual(snapshot(home), original)
        self.assertEqual(self.rows_of(clone), 3000)
        self.check(clone)
        self.assertEqual(self.rows_of(home), 3000)
        # The mirror is the fork's too: it opens the clone alone.
        os.unlink(os.path.join(clone, "wtkms.keystore"))
        self.assertEqual(self.rows_of(clone), 3000)
        self.assertEqual(self.keystore(clone)["uuid"], after["uuid"])

    def test_plan_writes_nothing(self):
        home = self.encrypted_home()
        before = snapshot(home)
        result = self.command("keystore", "fork", home, "--plan")
        self.assertEqual(result["parent"], self.keystore(home)["uuid"])
        after = snapshot(home)
        after.pop("wtkms.keystore.lock", None)
        before.pop("wtkms.keystore.lock", None)
        self.assertEqual(after, before)

    def test_refused(self):
        home = self.encrypted_home()
        with Host(home):
            self.refused(wtkms("keystore", "fork", home, "--config", self.config), "host-running")
        before = self.keystore(home)
        expecting = self.configuration("expect.conf", [f"{{provider: local, keyFile: {self.key}}}"],
                                       more=f"expect: {{keystore: {before['uuid']}}}\n")
        self.refused(wtkms("keystore", "fork", home, "--config", expecting), "fork-expect")
        other = self.path("other.key")
        self.done(wtkms("keygen", other))
        wrong = self.configuration("wrong.conf", [f"{{provider: local, keyFile: {other}}}"])
        result = wtkms("keystore", "fork", home, "--config", wrong)
        self.assertEqual(result.code, 1)
        self.assertEqual(self.keystore(home), before)

    def test_copies_of_the_original_are_left_alone(self):
        copies = self.path("copies")
        os.mkdir(copies)
        config = self.configuration("copies.conf", [f"{{provider: local, keyFile: {self.key}}}"],
                                    more=f"keystoreCopies: [{copies}/a.keystore]\n")
        home = self.home()
        self.done(self.init(home, config=config))
        load(home)
        clone = self.copy(home, "clone")
        self.command("rotate", "data", home, config=config)
        before = snapshot(clone)
        saved = snapshot(copies)
        self.refused(wtkms("keystore", "fork", clone, "--config", config), "fork-copy-newer")
        after = snapshot(clone)
        after.pop("wtkms.keystore.lock", None)
        before.pop("wtkms.keystore.lock", None)
        self.assertEqual(after, before)
        self.assertEqual(snapshot(copies), saved)

    def swapped(self, fork):
        """Two clones rotate, a page and the keystore of the one come into the other."""
        a = self.encrypted_home("a")
        b = self.copy(a, "b")
        if fork:
            self.command("keystore", "fork", b)
        for home in (a, b):
            self.rotate(home, "data")
            self.rotate(home, "master")
            engine(home, "loadtext", "table:t", feed=rows(3000, 3000))
            engine(home, "create", "-c", "key_format=S,value_format=S", "table:new")
            engine(home, "loadtext", "table:new", feed=rows(3000))
        active = self.keys(a)[2]["id"]
        foreign = self.copy(b, "foreign")
        page = encrypted_block(os.path.join(a, "new.wt"))
        place = encrypted_block(os.path.join(foreign, "new.wt"))
        self.assertEqual(len(page.data), len(place.data))
        page.write(place.path, place.offset)
        result = wtkms("check", foreign, "--config", self.config, "--format", "json")
        self.assertEqual(result.code, 1)
        self.assertIn(f"its data key {active} is not in the keystore", result.out)
        self.assertNotIn("authenticate", result.out.replace("authenticated", ""))
        # The keystore of the other: the home does not open, and says that keys are missing.
        for source, target in ((a, "b2"), (b, "a2")):
            home = self.copy(b if source == a else a, target)
            shutil.copy(os.path.join(source, "wtkms.keystore"), home)
            process = engine(home, "list", check=False)
            self.assertNotEqual(process.returncode, 0)
            text = process.stderr.decode()
            self.assertRegex(text, r"data key [0-9a-f]{16}")
            self.assertNotIn("does not authenticate", text)
        self.assertEqual(self.rows_of(a, "table:new"), 3000)
        self.assertEqual(self.rows_of(b, "table:new"), 3000)

    def test_swaps_between_clones(self):
        self.swapped(fork=False)

    def test_swaps_between_forks(self):
        self.swapped(fork=True)


class PruneTest(KeyCase):
    def test_unused_versions_go_and_used_ones_stay(self):
        home = self.encrypted_home()
        for _ in range(3):
            self.rotate(home)
        plan = self.command("key", "prune", home, "--plan")
        verdicts = {k["version"]: k["verdict"] for k in plan["dataKeys"]}
        self.assertEqual(verdicts, {1: "in use", 2: "unused", 3: "unused"})
        self.assertFalse(plan["written"])
        self.assertEqual({v: k["state"] for v, k in self.keys(home).items()},
                         {1: "readable", 2: "readable", 3: "readable", 4: "active"})
        result = self.command("key", "prune", home, "--reason", "quarterly")
        self.assertTrue(result["written"])
        self.assertEqual(sorted(k["version"] for k in result["dataKeys"] if k["retired"]), [2, 3])
        self.assertEqual({v: k["state"] for v, k in self.keys(home).items()},
                         {1: "readable", 2: "retired", 3: "retired", 4: "active"})
        # Until the next write of the keystore they can be brought back.
        back = self.copy(home, "back")
        self.done(wtkms("keystore", "restore", back, "--from", os.path.join(back, "wtkms.keystore.prev"),
                        "--force", "--reason", "too early", "--config", self.config))
        self.assertEqual({k["state"] for k in self.keys(back).values()}, {"readable", "active"})
        # They are gone with the next one, and after that there is nothing to do.
        self.assertEqual(self.command("key", "prune", home)["dropped"], 2)
        self.assertEqual(sorted(self.keys(home)), [1, 4])
        self.assertFalse(self.command("key", "prune", home)["written"])
        self.assertEqual(self.rows_of(home), 3000)
        self.check(home)
        self.assertEqual(self.keystore(home)["history"][-2]["reason"], "quarterly")

    def test_copies_keep_their_keys(self):
        home = self.encrypted_home()
        self.rotate(home)
        engine(home, "loadtext", "table:t", feed=rows(3000, 3000))
        copy = self.copy(home)
        shutil.rmtree(home)
        # A home whose files are all under version 3, by hand: only the copy needs 1 and 2.
        os.mkdir(home, 0o700)
        for name in ("wtkms.keystore", "WiredTiger.config"):
            shutil.copy(os.path.join(copy, name), home)
        self.rotate(home)
        load(home, count=100)
        plan = self.command("key", "prune", home, "--plan")
        self.assertEqual({k["version"]: k["verdict"] for k in plan["dataKeys"]},
                         {1: "unused", 2: "unused"})
        kept = self.command("key", "prune", home, copy)
        self.assertEqual({k["version"]: k["verdict"] for k in kept["dataKeys"]},
                         {1: "in use", 2: "in use"})
        self.assertFalse(kept["written"])
        self.assertEqual(kept["places"], 2)
        self.assertTrue(self.command("key", "prune", home)["written"])
        self.assertEqual(self.rows_of(home), 100)

    def test_what_cannot_be_judged_keeps_every_key(self):
        home = self.encrypted_home()
        self.rotate(home)
        self.rotate(home)
        before = self.keystore(home)
        empty = self.path("empty")
        os.mkdir(empty)
        damaged = self.copy(home, "damaged")
        block = encrypted_block(os.path.join(damaged, "t.wt"))
        block.data[200] ^= 1
        block.write()
        half = self.copy(home, "half", without=("WiredTiger.wt",))
        linked = self.copy(home, "linked")
        os.symlink("/nowhere/volume", os.path.join(linked, "journal2"))
        for place in (empty, damaged, half, linked, self.path("missing")):
            with self.subTest(place=place):
                result = self.command("key", "prune", home, place, code=4)
                self.assertFalse(result["written"])
                self.assertTrue(any(place in line for line in result["unjudged"]), result)
                self.assertIn("not judged", {k["verdict"] for k in result["dataKeys"]})
        text = wtkms("key", "prune", home, empty, "--config", self.config)
        self.assertIn("So no key was taken away.", text.out)
        self.assertEqual(self.keystore(home), before)

    def test_running_host(self):
        home = self.encrypted_home()
        self.rotate(home)
        with Host(home):
            self.refused(wtkms("key", "prune", home, "--config", self.config), "host-running")
            result = wtkms("key", "prune", home, "--running", "--config", self.config,
                           "--format", "json")
            self.assertIn(result.code, (0, 4), result.err)
            if result.code == 0:
                self.assertEqual(result.json()["dataKeys"][0]["verdict"], "in use")
        self.assertEqual(self.rows_of(home), 3000)


class ProgressTest(KeyCase):
    def test_share_under_each_version(self):
        home = self.encrypted_home()
        told = self.status(home)["rotation"]
        self.assertEqual([(k["keyid"], k["percent"], k["oldestVersion"]) for k in told["keyids"]],
                         [("default", 100, 1)])
        self.rotate(home)
        load(home, "table:u", count=200)
        told = self.status(home)["rotation"]
        keyid = told["keyids"][0]
        self.assertEqual((keyid["activeVersion"], keyid["oldestVersion"]), (2, 1))
        self.assertTrue(0 < keyid["unitsActive"] < keyid["units"])
        self.assertEqual(keyid["percent"], 100 * keyid["unitsActive"] // keyid["units"])
        files = {f["path"]: f for f in told["files"]}
        self.assertEqual(files["t.wt"]["percent"], 0)
        self.assertEqual(files["u.wt"]["percent"], 100)
        self.assertEqual(sum(f["unitsActive"] for f in files.values()), keyid["unitsActive"])
        text = self.done(wtkms("status", home)).out
        self.assertRegex(text, r"(?m)^Rotation\n.*OLDEST IN USE.*\ndefault +v2 ")
        metrics = self.done(wtkms("status", home, "--format", "prometheus")).out
        self.assertIn(f'wtkms_keyid_units_active{{home="{home}",keyid="default"}} {keyid["unitsActive"]}\n', metrics)
        self.assertIn(f'wtkms_file_units_behind{{home="{home}",file="t.wt"}} {files["t.wt"]["units"]}\n', metrics)
        self.assertNotIn('file="u.wt"', metrics)
        self.assertNotIn("overdue", metrics)

    def test_overdue(self):
        home = self.encrypted_home()
        recipients = [f"{{provider: local, keyFile: {self.key}}}"]
        soon = self.configuration("soon.conf", recipients, more="policy: {dataKeyMaxAge: 1s}\n")
        late = self.configuration("late.conf", recipients,
                                  more="policy: {masterKeyMaxAge: 90d, dataKeyMaxAge: 365d}\n")
        self.assertEqual(self.status(home, "--config", late)["rotation"]["overdue"], [])
        time.sleep(1.1)
        overdue = self.status(home, "--config", soon)["rotation"]["overdue"]
        self.assertEqual([(o["kind"], o["name"], o["maxAgeSeconds"]) for o in overdue],
                         [("dataKey", "default", 1)])
        self.assertTrue(1 <= overdue[0]["ageSeconds"] < 120)
        text = self.done(wtkms("status", home, "--config", soon)).out
        self.assertRegex(text, r"Warning: +the data key \w+ of keyid default is overdue for rotation: \d+s old")
        metrics = self.done(wtkms("status", home, "--config", late, "--format", "prometheus")).out
        self.assertIn(f'wtkms_master_key_overdue{{home="{home}",scope="default"}} 0\n', metrics)
        metrics = self.done(wtkms("status", home, "--config", soon, "--format", "prometheus")).out
        self.assertIn(f'wtkms_data_key_overdue{{home="{home}",keyid="default"}} 1\n', metrics)
        self.assertNotIn("wtkms_master_key_overdue", metrics)


class RemoveTest(KeyCase):
    def tenant_home(self):
        home = self.home()
        tenant = self.path("tenant.key")
        self.done(wtkms("keygen", tenant))
        self.config = self.configuration(
            "tenant.conf", [f"{{provider: local, keyFile: {self.key}}}"],
            more=f"keys: {{tenantA: {{kms: [{{provider: local, keyFile: {tenant}}}]}}}}\n")
        self.done(self.init(home))
        load(home)
        load(home, "table:a", config=TENANT)
        self.rotate(home, "data", "--keyid", "tenantA")
        return home

    def remove(self, home, *more):
        return wtkms("key", "remove", home, "--keyid", "tenantA", "--config", self.config, *more)

    def test_used_keys_stay(self):
        home = self.tenant_home()
        before = self.keystore(home)
        line = self.refused(self.remove(home, "--yes", "tenantA"), "remove-used")
        self.assertIn("a.wt", line)
        self.assertEqual(self.keystore(home), before)
        self.refused(wtkms("key", "remove", home, "--keyid", "default", "--yes", "default",
                           "--config", self.config), "remove-default")
        self.refused(wtkms("key", "remove", home, "--keyid", "nobody", "--yes", "nobody",
                           "--config", self.config), "remove-keyid")
        with Host(home):
            self.refused(self.remove(home, "--yes", "tenantA"), "host-running")

    def test_everything_loses_them(self):
        copies = self.path("copies")
        os.mkdir(copies)
        home = self.tenant_home()
        with open(self.config, "a") as file:
            file.write(f"keystoreCopies: [{copies}/a.keystore]\n")
        ids = [k["id"] for k in self.keys(home, "tenantA").values()]
        self.assertEqual(len(ids), 2)
        master = {m["scope"]: m["id"] for m in self.keystore(home)["masterKeys"]}["tenantA"]
        engine(home, "drop", "table:a")
        self.done(wtkms("keystore", "backup", home, os.path.join(home, "wtkms.keystore.damaged")))
        plan = self.done(self.remove(home, "--plan", "--format", "json")).json()
        self.assertEqual(sorted(k["id"] for k in plan["dataKeys"]), sorted(ids))
        self.assertEqual(plan["masterKey"], master)
        self.refused(self.remove(home), "remove-unconfirmed")
        self.refused(self.remove(home, "--yes", "tenantB"), "usage", 2)
        self.assertEqual(len(self.keys(home, "tenantA")), 2)
        result = self.done(self.remove(home, "--yes", "tenantA"))
        self.assertIn("wtkms.keystore.damaged", result.out)
        self.assertIn("customer key", result.out)
        os.unlink(os.path.join(home, "wtkms.keystore.damaged"))
        self.assertEqual(self.keys(home, "tenantA"), {})
        for folder in (home, copies):
            for name, content in snapshot(folder).items():
                for key in ids:
                    self.assertNotIn(struct.pack("<Q", int(key, 16)), content[3], name)
        mirror = self.copy(home, "mirror", without=("wtkms.keystore", "wtkms.keystore.prev"))
        self.assertEqual(self.keys(mirror, "tenantA"), {})
        self.assertEqual(self.rows_of(home), 3000)
        self.check(home)
        self.refused(self.remove(home, "--yes", "tenantA"), "remove-keyid")
        # A keyid that comes back gets new keys.
        load(home, "table:a", config=TENANT)
        self.assertEqual(self.rows_of(home, "table:a"), 3000)
        self.assertFalse(set(ids) & {k["id"] for k in self.keys(home, "tenantA").values()})

    def test_what_a_crash_left_is_finished(self):
        home = self.tenant_home()
        engine(home, "drop", "table:a")
        prev = open(os.path.join(home, "wtkms.keystore"), "rb").read()
        self.done(self.remove(home, "--yes", "tenantA"))
        path = os.path.join(home, "wtkms.keystore.prev")
        with open(path, "wb") as file:
            file.write(prev)
        result = self.done(self.remove(home, "--yes", "tenantA", "--format", "json")).json()
        self.assertEqual(len(result["dataKeys"]), 2)
        self.assertNotIn("tenantA", {k["keyid"] for k in wtkms("keystore", "show", path).json()["dataKeys"]})

    def test_typed_on_a_terminal(self):
        home = self.tenant_home()
        engine(home, "drop", "table:a")
        for typed, code in ((b"tenantB\n", 1), (b"tenantA\n", 0)):
            leader, follower = pty.openpty()
            process = subprocess.Popen([WTKMS, "key", "remove", home, "--keyid", "tenantA", "--config",
                                        self.config], stdin=follower, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            os.write(leader, typed)
            out, err = process.communicate(timeout=60)
            os.close(leader)
            os.close(follower)
            self.assertEqual(process.returncode, code, err)
            self.assertEqual(len(self.keys(home, "tenantA")), 2 if code else 0)


if __name__ == "__main__":
    for needed in (WTKMS, MODULE):
        if not os.path.exists(needed):
            sys.exit(f"{needed} is not built; WTKMS_BUILD names the build directory")
    if WT is None:
        print("SKIP: no wt (Debian: wiredtiger)")
        sys.exit(77)
    unittest.main(warnings="ignore", verbosity=int(os.environ.get("WTKMS_VERBOSE", "1")))
