#!/usr/bin/env python3
"""test/cli/test_wtkms.py -- wtkms as its users call it, on homes that the real engine wrote.

Run by make check in the build directory; WTKMS_BUILD names another. Arguments are unittest's:
`test_wtkms.py -v CheckTest.test_flipped_unit`."""
import base64
import json
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wtkms_lab import *  # noqa: E402,F403


class CommandLineTest(Case):
    def test_help_of_everything(self):
        listed = self.done(wtkms("--help")).out
        commands = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", listed, re.M)
        self.assertLessEqual({"keygen", "init", "status", "check", "abi", "key list", "keystore show",
                              "keystore backup", "keystore restore", "keystore recover",
                              "rotate cmk", "rotate master", "rotate data"}, set(commands))
        for command in commands:
            text = self.done(wtkms(*command.split(), "--help")).out
            self.assertIn("--format", text)
            self.assertIn(f"usage: wtkms {command}", text)
        self.assertIn("keystore recover", self.done(wtkms("keystore", "--help")).out)
        self.assertRegex(self.done(wtkms("--version")).out, r"^wtkms \d+\.\d+\.\d+")
        self.assertRegex(self.done(wtkms("status", "--version")).out, r"^wtkms \d+\.\d+\.\d+")

    def test_usage_errors(self):
        for args in ([], ["shred", "all"], ["keystore"], ["keystore", "burn"], ["status"],
                     ["status", "a", "b"], ["status", "--colour", "x"], ["status", "--config"],
                     ["status", "--config", "", "x"], ["status", "--full", "--full", "x"],
                     ["status", "--full=yes", "x"], ["status", "--format", "xml", "x"],
                     ["key", "list", "--format", "prometheus", "x"], ["check", "-j", "0", "x"],
                     ["check", "-j", "1x", "x"], ["check", "-j99999999999999999999", "x"],
                     ["status", "--form", "json", "x"], ["keystore", "restore", self.dir],
                     ["keystore", "restore", self.dir, "--from", "x", "--force"],
                     ["keystore", "recover", self.dir]):
            with self.subTest(args=args):
                result = wtkms(*args)
                self.assertEqual(result.code, 2, result.err)
                self.assertEqual(result.out, "")
                if args:
                    self.refused(result, "usage", 2)

    def test_options_and_operands_mix(self):
        home = self.home("-dashes")
        result = wtkms("status", "--format=json", "--", os.path.join(home))
        self.assertEqual(result.json()["encrypted"], "empty")
        result = wtkms("status", "--", "-dashes", "--format", cwd=self.dir)
        self.assertEqual(result.code, 2)
        self.assertEqual(self.done(wtkms("status", "--", "-dashes", cwd=self.dir)).code, 0)

    def test_result_that_cannot_be_written(self):
        for args in (["--help"], ["status", self.home()], ["status", self.dir, "--format", "json"]):
            with open("/dev/full", "w") as full:
                process = subprocess.run([WTKMS, *args], stdout=full, stderr=subprocess.PIPE)
            self.assertEqual(process.returncode, 1)
            self.assertIn(b"(output)", process.stderr)

    def test_errors_as_json(self):
        result = wtkms("check", self.home(), "--config", self.config, "--format", "json")
        error = result.json()["error"]
        self.refused(result, error["id"])
        self.assertIn(error["message"], result.err)
        self.assertTrue(error["class"])

    def test_no_progress_bar_in_a_pipe(self):
        home = self.encrypted_home()
        self.assertEqual(self.done(wtkms("check", home, "--config", self.config)).err, "")


class KeygenTest(Case):
    def test_key_file(self):
        text = open(self.key).read()
        self.assertEqual(len(base64.b64decode(text, validate=False)), 32)
        self.assertEqual(stat.S_IMODE(os.stat(self.key).st_mode), 0o600)
        other = self.path("other.key")
        self.done(wtkms("keygen", other, "--format", "json"))
        self.assertNotEqual(open(other).read(), text)

    def test_never_over_a_file(self):
        before = open(self.key).read()
        self.refused(wtkms("keygen", self.key), "file-exists")
        self.assertEqual(open(self.key).read(), before)
        os.symlink(self.path("nowhere"), self.path("link"))
        self.assertEqual(wtkms("keygen", self.path("link")).code, 1)
        self.assertFalse(os.path.exists(self.path("nowhere")))

    def test_no_such_directory(self):
        self.assertEqual(wtkms("keygen", self.path("none/x.key")).code, 1)


class AbiTest(Case):
    def test_engine(self):
        library = "/usr/lib/x86_64-linux-gnu/libwiredtiger.so"
        if not os.path.exists(library):
            self.skipTest("no " + library)
        result = self.done(wtkms("abi", library, "--format", "json")).json()
        self.assertEqual((result["version"], result["known"]), ("3.2.1", True))
        self.assertEqual(result["layouts"], [{"members": 20, "mongodb": "4.2"}])
        self.assertIn("3.2.1", self.done(wtkms("abi", library)).out)

    def test_unknown_version_and_no_version(self):
        made = self.path("program")
        with open(made, "wb") as file:
            file.write(bytes(5000) + b"WiredTiger 99.1.2: (January 1, 2099)\0" + bytes(100))
        result = wtkms("abi", made, "--format", "json")
        self.assertEqual(result.code, 1)
        self.assertEqual((result.json()["version"], result.json()["known"]), ("99.1.2", False))
        self.assertIn("11.2.0", wtkms("abi", made).out)
        self.assertEqual(wtkms("abi", "/bin/true").code, 1)
        self.assertEqual(wtkms("abi", self.path("none")).code, 1)

    def test_one_version_several_layouts(self):
        made = self.path("program")
        with open(made, "wb") as file:
            file.write(b"WiredTiger 10.0.0: (x)\0")
        layouts = self.done(wtkms("abi", made, "--format", "json")).json()["layouts"]
        self.assertEqual([row["members"] for row in layouts], [20, 18, 20])


class InitTest(Case):
    def config_text(self, home):
        return open(os.path.join(home, "WiredTiger.config")).read()

    def test_fresh_home_and_second_run(self):
        home = self.home()
        result = self.done(self.init(home, "--format", "json")).json()
        self.assertEqual((result["keystore"], result["generation"], result["node"]), ("made", 1, "rs0-a"))
        text = self.config_text(home)
        self.assertIn(f"extensions=[{MODULE}=(config=(config_file={self.config}))]\n", text)
        self.assertIn("encryption=(name=kms,keyid=default)\n", text)
        before = snapshot(home)
        result = self.done(self.init(home, "--format", "json")).json()
        self.assertEqual(result["keystore"], "verified")
        after = snapshot(home)
        self.assertEqual({n: v[3] for n, v in before.items()}, {n: v[3] for n, v in after.items()})
        load(home)
        self.assertEqual(self.status(home)["encrypted"], "yes")
        self.assertTrue(self.done(self.init(home, "--format", "json")).json()["proved"])

    def test_second_run_repairs(self):
        home = self.encrypted_home()
        text = self.config_text(home)
        os.remove(os.path.join(home, "WiredTiger.config"))
        self.done(self.init(home))
        self.assertEqual(self.config_text(home), text)
        os.remove(os.path.join(home, "wtkms.keystore"))
        self.assertEqual(self.status(home)["keystore"]["source"], "mirror")
        result = self.done(self.init(home, "--format", "json")).json()
        self.assertEqual((result["keystore"], result["proved"]), ("restored", True))
        self.assertEqual(self.status(home)["keystore"]["source"], "keystore")
        self.assertIn(SECRET_TEXT, engine(home, "dump", "table:t").stdout)

    def test_lines_of_the_users_stay(self):
        home = self.home()
        mine = "# mine\ncache_size=64MB\n  statistics=(fast)\n"
        with open(os.path.join(home, "WiredTiger.config"), "w") as file:
            file.write(mine)
        self.done(self.init(home))
        self.assertIn(mine, self.config_text(home))
        load(home, count=10)
        self.done(self.init(home))
        self.assertIn(mine, self.config_text(home))

    def test_conflicting_lines_are_named(self):
        for number, (line, key) in enumerate([("extensions=[/usr/lib/x.so]", "extensions="),
                                              ("encryption=(name=other)", "encryption="),
                                              ("statistics=(fast),\"encryption\"=(name=other)", "encryption=")]):
            with self.subTest(line=line):
                home = self.home(f"home{number}")
                with open(os.path.join(home, "WiredTiger.config"), "w") as file:
                    file.write(f"# encryption=(in a comment)\n\ncache_size=64MB\n{line}\n")
                before = snapshot(home)
                message = self.refused(self.init(home), "engine-lines-conflict")
                self.assertIn("line 4 ", message)
                self.assertIn(key, message)
                self.assertEqual(snapshot(home), before)
        # After ours were written too, with the right number, and keys of other things do not count.
        home = self.home()
        self.done(self.init(home))
        with open(os.path.join(home, "WiredTiger.config"), "a") as file:
            file.write("log=(enabled,encryption=none)\nextensions=[x.so]\n")
        count = self.config_text(home).count("\n")
        self.assertIn(f"line {count} ", self.refused(self.init(home), "engine-lines-conflict"))

    def test_other_extensions_are_repeated(self):
        snappy = "/usr/lib/x86_64-linux-gnu/libwiredtiger_snappy.so"
        if ENGINE != "3.2.1" or not os.path.exists(snappy):
            self.skipTest("needs Debian's engine and its snappy extension")
        home = self.home()
        plain = self.home("plain")
        engine(plain, "list", config=f"create,extensions=[{snappy}=(entry=wiredtiger_extension_init)]",
               check=False)
        shutil.copy(os.path.join(plain, "WiredTiger.basecfg"), home)
        result = self.done(self.init(home))
        self.assertIn(snappy, result.err)
        self.assertRegex(self.config_text(home), rf"extensions=\[.*{re.escape(snappy)}.*,{re.escape(MODULE)}=")
        load(home, config="key_format=S,value_format=S,block_compressor=snappy")
        # The engine's own record now has ours as well: it is not repeated twice.
        self.done(self.init(home))
        self.assertEqual(self.config_text(home).split("encryption=")[0].count(MODULE), 1)
        given = self.home("given")
        self.done(self.init(given, "--extensions", snappy))
        self.done(self.init(given))
        self.assertIn(f"extensions=[{snappy},{MODULE}=", self.config_text(given))
        self.refused(self.init(self.home("bad"), "--extensions", "x.so=(config="), "engine-config")

    def test_plain_home_is_refused(self):
        home = self.home()
        load(home, config="key_format=S,value_format=S")
        before = snapshot(home)
        message = self.refused(self.init(home), "plain-home")
        self.assertRegex(message, "initial sync|dump")
        self.assertEqual(snapshot(home), before)

    def test_encrypted_home_without_keystore_is_refused(self):
        home = self.encrypted_home()
        for name in ("wtkms.keystore", "WiredTiger.config"):
            os.remove(os.path.join(home, name))
        before = snapshot(home)
        self.assertIn("restore", self.refused(self.init(home), "keystore-missing"))
        self.assertEqual(snapshot(home), before)

    def test_foreign_keystore_is_refused(self):
        home, other = self.encrypted_home(), self.encrypted_home("other")
        for name in ("wtkms.keystore", "WiredTiger.config"):
            shutil.copy(os.path.join(other, name), home)
        before = snapshot(home)
        result = self.init(home)
        self.assertEqual(result.code, 1)
        self.assertRegex(result.err, r"offset \d+")
        self.assertEqual({n: v[3] for n, v in snapshot(home).items() if not n.endswith(".lock")},
                         {n: v[3] for n, v in before.items() if not n.endswith(".lock")})

    def test_what_is_missing_is_named(self):
        self.assertIn("install -d", wtkms("init", self.path("none"), "--config", self.config).err)
        home = self.home()
        self.refused(wtkms("init", home, "--config", self.config, "--module", self.path("none.so")),
                     "module-missing")
        self.assertEqual(wtkms("init", home, "--config", self.path("none.conf"), "--module", MODULE).code, 1)
        os.remove(self.key)
        self.assertEqual(self.init(home).code, 1)
        self.assertLessEqual(set(os.listdir(home)), {"wtkms.keystore.lock"})

    def test_relative_and_strange_paths(self):
        strange = self.path("a b,c [x]")
        os.mkdir(strange)
        for name in ("wtkms.conf", "customer.key"):
            shutil.copy(self.path(name), strange)
        os.chmod(os.path.join(strange, "customer.key"), 0o600)
        home = os.path.join(strange, "home\nof (this)")
        os.mkdir(home)
        self.done(wtkms("init", "home\nof (this)", "--config", "wtkms.conf", "--module", MODULE, cwd=strange))
        self.assertIn(f'config_file="{strange}/wtkms.conf"', self.config_text(home))
        load(home)
        self.assertEqual(self.status(home)["path"], home)
        table = self.done(wtkms("status", home)).out
        self.assertIn(r"home\nof (this)", table.splitlines()[0])
        bad = self.path('quo"te.conf')
        shutil.copy(self.config, bad)
        self.refused(self.init(self.home("quote"), config=bad), "engine-path")

    def test_uninstall(self):
        home = self.home()
        with open(os.path.join(home, "WiredTiger.config"), "w") as file:
            file.write("cache_size=64MB\n")
        self.done(self.init(home))
        self.done(wtkms("init", home, "--uninstall"))
        self.assertEqual(self.config_text(home), "cache_size=64MB\n")
        self.assertTrue(os.path.exists(os.path.join(home, "wtkms.keystore")))
        self.done(wtkms("init", home, "--uninstall"))
        bare = self.home("bare")
        self.done(self.init(bare))
        self.done(wtkms("init", bare, "--uninstall"))
        self.assertFalse(os.path.exists(os.path.join(bare, "WiredTiger.config")))

    def test_uninstall_is_refused_while_encrypted(self):
        home = self.encrypted_home()
        before = snapshot(home)
        self.refused(wtkms("init", home, "--uninstall"), "still-encrypted")
        self.assertEqual(snapshot(home), before)


class StatusTest(Case):
    def test_all_that_a_home_tells(self):
        home = self.encrypted_home()
        engine(home, "create", "-c", "key_format=S,value_format=S,encryption=(name=kms,keyid=tenant)", "table:own")
        engine(home, "loadtext", "table:own", feed=rows(500))
        load(home, "table:plain", config="key_format=S,value_format=S,encryption=(name=none)")
        told = self.status(home)
        self.assertEqual(told["encrypted"], "yes")
        self.assertEqual(told["keystore"]["node"], "rs0-a")
        self.assertEqual(told["keystore"]["seal"], "not checked")
        self.assertEqual(told["keystore"]["generation"], 2)
        recipient = told["masterKeys"][0]["recipients"][0]
        self.assertRegex(recipient["encryptionKeyId"], r"^local:[0-9a-f]{32}$")
        self.assertEqual((recipient["provider"], recipient["credential"]), ("local", self.key))
        self.assertEqual([(k["keyid"], k["version"], k["state"]) for k in told["dataKeys"]],
                         [("default", 1, "active"), ("tenant", 1, "active")])
        files = {f["path"]: f for f in told["files"]}
        self.assertEqual([k["keyid"] for k in files["own.wt"]["dataKeys"]], ["tenant"])
        self.assertEqual([k["keyid"] for k in files["t.wt"]["dataKeys"]], ["default"])
        self.assertTrue(files["plain.wt"]["plain"])
        self.assertEqual(told["plainTables"], 1)
        units = sum(1 for b in blocks(os.path.join(home, "t.wt")) if b.encrypted)
        self.assertGreaterEqual(files["t.wt"]["units"], units)
        self.assertLessEqual(files["t.wt"]["units"], units + 2)
        self.assertEqual(told["units"], sum(f["units"] for f in told["files"]))
        self.assertEqual(told["host"]["engineVersion"], ENGINE)
        self.assertFalse(told["host"]["running"])
        self.assertEqual(told["warnings"], [])
        full = self.status(home, "--full")
        self.assertEqual(full["units"], told["units"])
        table = self.done(wtkms("status", home)).out
        for part in (recipient["encryptionKeyId"], "headers only", "plain: not encrypted", "tenant v1", "rs0-a"):
            self.assertIn(part, table)

    def test_seal(self):
        home = self.encrypted_home()
        self.assertEqual(self.status(home, "--config", self.config)["keystore"]["seal"], "verified")
        wrong = self.path("wrong.key")
        self.done(wtkms("keygen", wrong))
        config = self.configuration("wrong.conf", [f"{{provider: local, keyFile: {wrong}}}"])
        told = self.status(home, "--config", config, code=4)
        self.assertEqual(told["keystore"]["seal"], "not checked")
        self.assertTrue(told["keystore"]["sealProblem"])

    def test_tampered_keystore(self):
        home = self.encrypted_home()
        path = os.path.join(home, "wtkms.keystore")
        data = bytearray(open(path, "rb").read())
        at = data.index(b"rs0-a")
        data[at:at + 5] = b"rs9-z"
        open(path, "wb").write(data)
        told = self.status(home)
        self.assertEqual((told["keystore"]["node"], told["keystore"]["seal"]), ("rs9-z", "not checked"))
        told = self.status(home, "--config", self.config, code=4)
        self.assertEqual(told["keystore"]["seal"], "failed")
        self.assertEqual(wtkms("check", home, "--config", self.config).code, 1)
        self.assertEqual(wtkms("keystore", "backup", home, self.path("b"), "--config", self.config).code, 1)
        self.assertFalse(os.path.exists(self.path("b")))

    def test_copy_without_keystore(self):
        home = self.encrypted_home()
        told = self.status(self.copy(home, "mirror", without=("wtkms.keystore", "wtkms.state")))
        self.assertEqual(told["keystore"]["source"], "mirror")
        self.assertEqual(told["encrypted"], "yes")
        bare = self.copy(home, "bare", without=("wtkms.keystore", "WiredTiger.config"))
        told = self.status(bare, code=4)
        self.assertEqual(told["keystore"]["source"], "missing")
        self.assertFalse(told["judged"])
        self.assertIn("missing", wtkms("status", bare).out)
        self.assertTrue(all(k["keyid"] is None for f in told["files"] for k in f["dataKeys"]))

    def test_nothing_encrypted(self):
        told = self.status(self.home())
        self.assertEqual((told["encrypted"], told["warnings"]), ("empty", []))
        plain = self.home("plain")
        load(plain)
        told = self.status(plain)
        self.assertEqual((told["encrypted"], told["units"], told["plainTables"]), ("no", 0, 2))

    def test_half_copied(self):
        home = self.encrypted_home()
        path = os.path.join(self.copy(home, "cut"), "t.wt")
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) // 2 + 100)
        told = self.status(os.path.dirname(path), code=4)
        self.assertIn("not copied whole", {f["path"]: f for f in told["files"]}["t.wt"]["problem"])
        empty = self.copy(home, "empty")
        open(os.path.join(empty, "t.wt"), "wb").close()
        self.status(empty, code=4)
        for name in ("WiredTiger.wt", "WiredTiger.turtle"):
            told = self.status(self.copy(home, "without-" + name, without=(name,)), code=4)
            self.assertTrue(any("not a whole home" in w for w in told["warnings"]))

    def test_full_finds_damage(self):
        home = self.encrypted_home()
        block = encrypted_block(os.path.join(home, "t.wt"))
        block.data[1000] ^= 1
        block.write()
        self.status(home)
        told = self.status(home, "--full", code=4)
        file = {f["path"]: f for f in told["files"]}["t.wt"]
        self.assertEqual((file["problems"], file["problemOffset"]), (1, block.offset))

    def test_warnings(self):
        home = self.encrypted_home()
        config = os.path.join(home, "WiredTiger.config")
        text = open(config).read()
        os.remove(config)
        self.assertTrue(any("--repair" in w for w in self.status(home)["warnings"]))
        open(config, "w").write("cache_size=64MB\n")
        told = self.status(home)
        self.assertFalse(told["mirror"]["engineLines"])
        self.assertTrue(any("no copy of the keystore" in w for w in told["warnings"]))
        open(config, "w").write(text)
        engine(home, "create", "-c", "key_format=S,value_format=S,encryption=(name=kms,keyid=k2)", "table:own")
        open(config, "w").write(text)
        self.assertTrue(any("behind" in w for w in self.status(home)["warnings"]))
        self.done(self.init(home))
        self.assertEqual(self.status(home)["warnings"], [])
        policy = self.configuration("policy.conf", [f"{{provider: local, keyFile: {self.key}}}"],
                                    "node: rs0-a\npolicy: {masterKeyMaxAge: 1ms, dataKeyMaxAge: 1ms}\n")
        told = self.status(home, "--config", policy)
        self.assertEqual(sum("overdue" in w for w in told["warnings"]), 3)

    def test_keystore_elsewhere(self):
        away, copy = self.path("away.keystore"), self.path("copy.keystore")
        self.config = self.configuration("away.conf", [f"{{provider: local, keyFile: {self.key}}}"],
                                         f"node: n\nkeystore: {away}\nkeystoreCopies: [{copy}]\n")
        home = self.encrypted_home()
        self.assertFalse(os.path.exists(os.path.join(home, "wtkms.keystore")))
        self.assertEqual(self.status(home)["keystore"]["source"], "mirror")
        told = self.status(home, "--config", self.config)
        self.assertEqual((told["keystore"]["source"], told["keystore"]["seal"]), ("keystore", "verified"))
        self.assertEqual(open(copy, "rb").read(), open(away, "rb").read())
        self.assertEqual(self.check(home)["failures"], 0)
        os.remove(away)
        os.remove(os.path.join(home, "WiredTiger.config"))
        self.done(wtkms("keystore", "restore", home, "--from", copy, "--config", self.config))
        self.done(self.init(home))
        self.assertEqual(self.status(home, "--config", self.config)["warnings"], [])

    def test_key_versions_and_a_partial_mirror(self):
        tool = os.path.join(BUILD, "engine_keystore")
        if not os.path.exists(tool):
            self.skipTest("engine_keystore is not built")
        home = self.encrypted_home()
        rotate = [tool, home, self.config, "rotate"]
        subprocess.run(rotate + ["default"], check=True, capture_output=True)
        engine(home, "loadtext", "table:t", feed=rows(3000, start=5000))
        told = self.status(home)
        self.assertEqual([(k["version"], k["state"]) for k in told["dataKeys"]], [(1, "readable"), (2, "active")])
        used = {f["path"]: {k["version"] for k in f["dataKeys"]} for f in told["files"]}
        self.assertEqual(used["t.wt"], {1, 2})
        self.assertEqual(self.check(home)["failures"], 0)
        for number in range(320):
            subprocess.run(rotate + [f"tenant-{number}"], check=True, capture_output=True)
        told = self.status(home)
        self.assertTrue(told["mirror"]["partial"])
        self.assertTrue(any("partial" in w for w in told["warnings"]))
        self.assertLess(os.path.getsize(os.path.join(home, "WiredTiger.config")), 100 * 1024)
        self.assertEqual(self.check(home)["failures"], 0)
        os.remove(os.path.join(home, "wtkms.keystore"))
        told = self.status(home)
        self.assertEqual((told["keystore"]["source"], told["keystore"]["partial"]), ("mirror", True))
        self.refused(wtkms("keystore", "backup", home, self.path("b")), "mirror-partial")

    def test_prometheus(self):
        home = self.encrypted_home('h"o\\m\ne')
        text = self.done(wtkms("status", home, "--format", "prometheus")).out
        sample = re.compile(r'^([a-z_]+)(\{([a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? -?\d+$')
        families, samples = {}, {}
        for line in text.splitlines():
            if line.startswith("# "):
                _, kind, name, rest = line.split(" ", 3)
                self.assertIn(kind, ("HELP", "TYPE"))
                families.setdefault(name, set()).add(kind)
                continue
            match = sample.match(line)
            self.assertTrue(match, line)
            self.assertEqual(families[match.group(1)], {"HELP", "TYPE"})
            samples.setdefault(match.group(1), []).append(line)
        self.assertTrue(samples["wtkms_encrypted"][0].endswith(" 1"))
        self.assertIn('provider="local"', samples["wtkms_recipient_info"][0])
        self.assertIn(r'home="', samples["wtkms_units"][0])
        bare = self.copy(home, "bare", without=("wtkms.keystore", "WiredTiger.config"))
        result = wtkms("status", bare, "--format", "prometheus")
        self.assertEqual(result.code, 4)
        self.assertRegex(result.out, r"(?m)^wtkms_judged\{.*\} 0$")

    def test_names_on_the_disk(self):
        home = self.encrypted_home()
        nested = os.path.join(home, "dir\x1b[31m\nname")
        os.mkdir(nested)
        shutil.copy(os.path.join(home, "t.wt"), os.path.join(nested.encode(), b"bad\xff.wt"))
        told = self.status(home)
        self.assertIn("dir\x1b[31m\nname/bad\\xff.wt", [f["path"].replace("\\x1b", "\x1b").replace("\\n", "\n")
                                                         for f in told["files"]])
        table = wtkms("status", home).out
        self.assertNotIn("\x1b", table)
        self.assertIn(r"dir\x1b[31m\nname/bad\xff.wt", table)

    def test_running_host(self):
        home = self.encrypted_home()
        with Host(home) as host:
            told = self.status(home)
            self.assertTrue(told["host"]["running"])
            self.assertEqual((told["host"]["pid"], told["host"]["statePid"]), (host.process.pid,) * 2)
            self.assertEqual(told["host"]["opened"][0]["provider"], "local")
            # The host still has its lock: looking did not release it.
            self.assertNotEqual(engine(home, "list", check=False).returncode, 0)
            self.assertTrue(self.check(home)["hostRunning"])
            self.assertNotEqual(engine(home, "list", check=False).returncode, 0)
            self.assertTrue(self.status(home)["host"]["running"])
        self.assertFalse(self.status(home)["host"]["running"])


class CheckTest(Case):
    def test_all_holds(self):
        home = self.encrypted_home()
        load(home, "table:plain", config="key_format=S,value_format=S,encryption=(name=none)")
        before = snapshot(home)
        told = self.check(home)
        self.assertEqual((told["failures"], told["seal"]), (0, "verified"))
        self.assertGreater(told["units"], 5)
        self.assertEqual([t["path"] for t in told["plainTables"]], ["plain.wt"])
        self.assertEqual(snapshot(home), before)
        self.assertEqual(self.check(home, "-j", "1")["units"], told["units"])
        self.assertEqual(self.check(home, "--jobs=8")["units"], told["units"])
        self.assertIn("All of it holds", self.done(wtkms("check", home, "--config", self.config)).out)

    def test_copy_with_the_mirror_alone(self):
        home = self.encrypted_home()
        copy = self.copy(home, without=("wtkms.keystore", "wtkms.keystore.lock"))
        before = snapshot(copy)
        told = self.check(copy)
        self.assertEqual((told["source"], told["failures"]), ("mirror", 0))
        self.assertEqual(snapshot(copy), before)

    def finding(self, home, path, offset, words):
        told = self.check(home, code=1)
        self.assertEqual([(f["path"], f["offset"]) for f in told["findings"]], [(path, offset)], told)
        self.assertRegex(told["findings"][0]["failure"], words)
        text = wtkms("check", home, "--config", self.config).out
        self.assertRegex(text, rf"(?m)^ *{re.escape(path)} +{offset} +")

    def test_flipped_unit(self):
        home = self.encrypted_home()
        path = os.path.join(home, "t.wt")
        whole = open(path, "rb").read()
        block = encrypted_block(path)
        # Key id, nonce, ciphertext, tag: each with a checksum that fits.
        for at, words in ((48, "not in the keystore"), (62, "authenticate"), (500, "authenticate"),
                          (block.unit_end - 1, "authenticate")):
            with self.subTest(at=at):
                open(path, "wb").write(whole)
                damaged = Block(path, block.offset, block.data)
                damaged.data[at] ^= 0x40
                damaged.seal()
                damaged.write()
                self.finding(home, "t.wt", block.offset, words)

    def test_flipped_block(self):
        home = self.encrypted_home()
        path = os.path.join(home, "t.wt")
        whole = open(path, "rb").read()
        block = encrypted_block(path)
        # Anywhere in it, without mending the checksum; headers too.
        for at in (8, 24, 25, 28, 29, 33, 36, 40, 44, 45, 60, 700, len(block.data) - 1):
            with self.subTest(at=at):
                open(path, "wb").write(whole)
                damaged = Block(path, block.offset, block.data)
                damaged.data[at] ^= 0x04
                damaged.write()
                self.finding(home, "t.wt", block.offset, "checksum does not fit")

    def test_padding(self):
        home = self.encrypted_home()
        path = os.path.join(home, "t.wt")
        block = next(b for b in blocks(path) if b.encrypted and b.unit_end < len(b.data))
        block.data[-1] = 7
        block.seal()
        block.write()
        self.finding(home, "t.wt", block.offset, "padding")

    def test_length_that_lies(self):
        home = self.encrypted_home()
        path = os.path.join(home, "t.wt")
        whole = open(path, "rb").read()
        block = encrypted_block(path)
        for length in (0, 44, 60, len(block.data) + 1, 0xFFFFFFFF):
            with self.subTest(length=length):
                open(path, "wb").write(whole)
                damaged = Block(path, block.offset, block.data)
                struct.pack_into("<I", damaged.data, 40, length)
                damaged.seal()
                damaged.write()
                told = self.check(home, code=1)
                self.assertEqual({(f["path"], f["offset"]) for f in told["findings"]}, {("t.wt", block.offset)})

    def test_clear_page_slipped_in(self):
        home = self.encrypted_home()
        load(home, "table:plain", config="key_format=S,value_format=S,encryption=(name=none)")
        victim = encrypted_block(os.path.join(home, "t.wt"))
        page = next(b for b in blocks(os.path.join(home, "plain.wt")) if b.data[24] == 7)
        self.assertLessEqual(len(page.data), len(victim.data))
        page.write(victim.path, victim.offset)
        told = self.check(home, code=1)
        self.assertTrue(any("clear pages in an encrypted table" in f["failure"] and
                            f["offset"] == victim.offset for f in told["findings"]), told["findings"])

    def test_clear_page_that_calls_itself_an_extent_list(self):
        home = self.encrypted_home()
        load(home, "table:plain", config="key_format=S,value_format=S,encryption=(name=none)")
        victim = encrypted_block(os.path.join(home, "t.wt"))
        page = next(b for b in blocks(os.path.join(home, "plain.wt")) if b.data[24] == 7)
        page.data[24] = 1
        page.seal()
        page.write(victim.path, victim.offset)
        told = self.check(home, code=1)
        self.assertTrue(any("clear pages in an encrypted table" in f["failure"] and
                            f["offset"] == victim.offset for f in told["findings"]), told["findings"])

    def test_page_of_another_keyid(self):
        home = self.encrypted_home()
        engine(home, "create", "-c", "key_format=S,value_format=S,encryption=(name=kms,keyid=tenant)", "table:own")
        engine(home, "loadtext", "table:own", feed=rows(3000))
        victim = encrypted_block(os.path.join(home, "own.wt"))
        page = encrypted_block(os.path.join(home, "t.wt"))
        self.assertEqual(len(page.data), len(victim.data))
        page.write(victim.path, victim.offset)
        told = self.check(home, code=1)
        self.assertTrue(any("keyid" in f["failure"] and f["path"] == "own.wt" for f in told["findings"]))

    def log_home(self):
        home = self.home()
        open(os.path.join(home, "WiredTiger.config"), "w").write("log=(enabled=true)\n")
        self.done(self.init(home))
        engine(home, "create", "-c", "key_format=S,value_format=S", "table:t")
        engine(home, "loadtext", "table:t", feed=rows(300))
        names = sorted(n for n in os.listdir(home) if n.startswith("WiredTigerLog."))
        for name in names:
            path = os.path.join(home, name)
            found = [r for r in self.log_records(path) if r[2] & 2]
            if found:
                return home, path, found
        raise AssertionError("no encrypted log record")

    @staticmethod
    def log_records(path):
        data = open(path, "rb").read()
        found, offset = [], 0
        while offset + 16 <= len(data):
            length, _, flags = struct.unpack_from("<IIH", data, offset)
            if length < 16 or offset + length > len(data):
                break
            found.append((offset, length, flags))
            offset += (length + 127) // 128 * 128
        return found

    def test_log(self):
        home, path, found = self.log_home()
        told = self.check(home)
        self.assertGreaterEqual(told["units"], len(found))
        self.assertEqual(self.status(home)["clearLogRecords"], 0)
        whole = open(path, "rb").read()
        offset, length, _ = found[len(found) // 2]

        def forge(change):
            record = bytearray(whole[offset:offset + length])
            change(record)
            record[4:8] = bytes(4)
            struct.pack_into("<I", record, 4, crc32c(record))
            open(path, "wb").write(whole[:offset] + record + whole[offset + length:])

        def flip(record):
            record[70] ^= 1

        def clear(record):
            record[8:10] = bytes(2)

        name = os.path.basename(path)
        forge(flip)
        self.finding(home, name, offset, "authenticate")
        forge(clear)
        self.finding(home, name, offset, "clear record")
        self.assertEqual(self.status(home)["clearLogRecords"], 1)
        # Damage, not forged.
        damaged = bytearray(whole)
        damaged[offset + 80] ^= 1
        open(path, "wb").write(damaged)
        self.assertEqual(self.check(home, code=1)["findings"][0]["path"], name)

    def test_wrong_key_and_other_refusals(self):
        home = self.encrypted_home()
        os.rename(self.key, self.key + ".away")
        self.assertEqual(wtkms("check", home, "--config", self.config).code, 1)
        self.done(wtkms("keygen", self.key))
        self.assertEqual(wtkms("check", home, "--config", self.config).code, 1)
        self.assertEqual(wtkms("check", home, "--config", self.path("none")).code, 1)
        self.assertEqual(wtkms("check", self.path("none"), "--config", self.config).code, 1)

    def test_warns_without_engine_lines(self):
        home = self.encrypted_home()
        open(os.path.join(home, "WiredTiger.config"), "w").write("cache_size=64MB\n")
        result = self.done(wtkms("check", home, "--config", self.config))
        self.assertIn("--repair", result.err)
        os.remove(os.path.join(home, "WiredTiger.config"))
        self.assertIn("--repair", self.done(wtkms("check", home, "--config", self.config)).err)

    def test_unreadable_file(self):
        home = self.encrypted_home()
        os.symlink("/nowhere/at/all", os.path.join(home, "dangling.wt"))
        self.check(home)
        os.remove(os.path.join(home, "dangling.wt"))
        path = os.path.join(home, "WiredTiger.wt")
        with open(path, "r+b") as file:
            file.write(bytes(64))
        self.assertTrue(any(f["path"] == "WiredTiger.wt" for f in self.check(home, code=1)["findings"]))


class KeyTest(Case):
    def test_list(self):
        home = self.encrypted_home()
        told = self.done(wtkms("key", "list", home, "--format", "json")).json()
        self.assertEqual([(k["keyid"], k["version"], k["state"]) for k in told["dataKeys"]], [("default", 1, "active")])
        self.assertEqual(told["dataKeys"][0]["masterKey"], told["masterKeys"][0]["id"])
        self.assertIn(told["dataKeys"][0]["id"], self.done(wtkms("key", "list", home)).out)
        self.refused(wtkms("key", "list", self.home("none")), "keystore-missing")

    def test_show(self):
        home = self.encrypted_home()
        told = self.done(wtkms("keystore", "show", home)).json()
        self.assertEqual(told["history"][0]["generation"], 1)
        self.assertEqual(len(base64.b64decode(told["dataKeys"][0]["wrapped"])), 72)
        from_file = self.done(wtkms("keystore", "show", os.path.join(home, "wtkms.keystore"))).json()
        self.assertEqual(from_file["uuid"], told["uuid"])
        self.assertEqual(from_file["source"], "file")
        key = base64.b64decode(open(self.key).read())
        self.assertNotIn(base64.b64encode(key).decode(), json.dumps(told))
        self.assertEqual(wtkms("keystore", "show", self.config).code, 1)


class KeystoreTest(Case):
    def files(self, home):
        return {n: v[3] for n, v in snapshot(home).items()}

    def backup(self, home, name="backup"):
        self.done(wtkms("keystore", "backup", home, self.path(name), "--config", self.config))
        return self.path(name)

    def restore(self, home, backup, *more, config=None):
        return wtkms("keystore", "restore", home, "--from", backup, "--config", config or self.config, *more)

    def test_backup(self):
        home = self.encrypted_home()
        backup = self.backup(home)
        self.assertEqual(open(backup, "rb").read(), open(os.path.join(home, "wtkms.keystore"), "rb").read())
        self.assertEqual(stat.S_IMODE(os.stat(backup).st_mode), 0o600)
        self.refused(wtkms("keystore", "backup", home, backup), "file-exists")
        os.remove(os.path.join(home, "wtkms.keystore"))
        told = self.done(wtkms("keystore", "backup", home, self.path("b2"), "--format", "json")).json()
        self.assertEqual((told["source"], told["seal"]), ("mirror", "not checked"))

    def test_restore(self):
        home = self.encrypted_home()
        backup = self.backup(home)
        for name in ("wtkms.keystore", "WiredTiger.config"):
            os.remove(os.path.join(home, name))
        told = self.done(self.restore(home, backup, "--format", "json")).json()
        self.assertTrue(told["proved"])
        self.done(self.init(home))
        self.assertIn(SECRET_TEXT, engine(home, "dump", "table:t").stdout)
        history = self.done(wtkms("keystore", "show", home)).json()["history"]
        self.assertEqual(history[-1]["operation"], "restore")

    def test_restore_over_a_damaged_keystore(self):
        home = self.encrypted_home()
        backup = self.backup(home)
        with open(os.path.join(home, "wtkms.keystore"), "r+b") as file:
            file.truncate(100)
        self.done(self.restore(home, backup))
        self.check(home)

    def test_restore_refuses(self):
        home, other = self.encrypted_home(), self.encrypted_home("other")
        first = self.backup(home, "first")
        foreign = self.backup(other, "foreign")
        before = self.files(home)
        self.refused(self.restore(home, foreign), "keystore-other")
        # Forced, the keys must fit all the same.
        self.refused(self.restore(home, foreign, "--force", "--reason", "test"), "backup-lacks-key")
        os.remove(os.path.join(home, "wtkms.keystore"))
        os.remove(os.path.join(home, "WiredTiger.config"))
        self.refused(self.restore(home, foreign), "backup-lacks-key")
        self.assertEqual(self.restore(home, self.config).code, 1)
        self.assertEqual(self.restore(home, self.path("none")).code, 1)
        left = self.files(home)
        self.assertNotIn("wtkms.keystore", left)
        self.assertEqual({n: c for n, c in before.items() if n in left},
                         {n: c for n, c in left.items() if n in before})
        self.done(self.restore(home, first))

    def test_restore_of_an_older_generation(self):
        home = self.encrypted_home()
        old = self.backup(home, "old")
        engine(home, "create", "-c", "key_format=S,value_format=S,encryption=(name=kms,keyid=k2)", "table:own")
        self.assertEqual(self.status(home)["keystore"]["generation"], 2)
        self.refused(self.restore(home, old), "keystore-older")
        # Something is under the newer key: not even by force.
        engine(home, "loadtext", "table:own", feed=rows(100))
        self.refused(self.restore(home, old, "--force", "--reason", "rehearsal"), "backup-lacks-key")
        # Nothing is any more: by force, and what was there is kept.
        engine(home, "drop", "table:own")
        newer = open(os.path.join(home, "wtkms.keystore"), "rb").read()
        self.done(self.restore(home, old, "--force", "--reason", "rehearsal"))
        self.assertEqual(self.done(wtkms("keystore", "show", home)).json()["history"][-1]["reason"], "rehearsal")
        kept = [name for name in os.listdir(home) if name.startswith("wtkms.keystore.replaced-")]
        self.assertEqual([open(os.path.join(home, name), "rb").read() for name in kept], [newer])
        self.assertIn(SECRET_TEXT, engine(home, "dump", "table:t").stdout)

    def test_restore_with_the_host_running(self):
        home = self.encrypted_home()
        backup = self.backup(home)
        with Host(home):
            self.refused(self.restore(home, backup), "host-running")

    def rsa(self, *passphrase):
        private, public = self.path("private.pem"), self.path("public.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out",
                        private, *passphrase], check=True, capture_output=True)
        command = ["openssl", "pkey", "-in", private, "-pubout", "-out", public]
        if passphrase:
            command += ["-passin", passphrase[-1]]
        subprocess.run(command, check=True, capture_output=True)
        os.chmod(private, 0o600)
        return private, public

    def lost_home(self, public):
        """Made with a key and the offline one; then the key is gone, and a new one configured."""
        self.config = self.configuration("both.conf", [f"{{provider: local, keyFile: {self.key}}}",
                                                       f"{{provider: publickey, publicKeyFile: {public}}}"])
        home = self.encrypted_home()
        os.remove(self.key)
        self.done(wtkms("keygen", self.key))
        self.assertEqual(wtkms("check", home, "--config", self.config).code, 1)
        return home

    def recover(self, home, private, *more):
        return wtkms("keystore", "recover", home, "--private-key", private, "--config", self.config, *more)

    def test_recover(self):
        private, public = self.rsa()
        home = self.lost_home(public)
        told = self.done(self.recover(home, private, "--reason", "key lost", "--format", "json")).json()
        self.assertEqual([r["provider"] for r in told["masterKeys"][0]["recipients"]], ["local", "publickey"])
        self.assertEqual(self.check(home)["failures"], 0)
        event = self.done(wtkms("keystore", "show", home)).json()["history"][-1]
        self.assertEqual((event["operation"], event["reason"]), ("recover", "key lost"))
        self.assertIn(SECRET_TEXT, engine(home, "dump", "table:t").stdout)
        self.assertEqual(self.status(home)["warnings"], [])

    def test_recover_from_the_mirror(self):
        private, public = self.rsa()
        home = self.lost_home(public)
        os.remove(os.path.join(home, "wtkms.keystore"))
        self.done(self.recover(home, private))
        self.check(home)

    def test_recover_with_a_passphrase(self):
        private, public = self.rsa("-aes256", "-pass", "pass:open sesame")
        home = self.lost_home(public)
        before = self.files(home)
        words = self.path("words")
        open(words, "w").write("wrong\n")
        os.chmod(words, 0o600)
        self.assertEqual(self.recover(home, private).code, 1)
        self.assertEqual(self.recover(home, private, "--passphrase-file", words).code, 1)
        os.chmod(words, 0o644)
        self.assertEqual(self.recover(home, private, "--passphrase-file", words).code, 1)
        self.assertEqual(self.files(home), before)
        open(words, "w").write("open sesame\nsecond line\n")
        os.chmod(words, 0o600)
        self.done(self.recover(home, private, "--passphrase-file", words))
        self.check(home)

    def test_recover_refuses(self):
        private, public = self.rsa()
        home = self.lost_home(public)
        before = self.files(home)
        os.rename(private, self.path("right.pem"))
        self.rsa()
        os.rename(self.path("right.pem"), self.path("right"))
        self.refused(self.recover(home, private), "other-private-key")
        os.chmod(self.path("right"), 0o644)
        self.assertEqual(self.recover(home, self.path("right")).code, 1)
        os.chmod(self.path("right"), 0o600)
        self.assertEqual(self.files(home), before)
        # A configuration that could not be opened afterwards is refused before anything is written.
        self.config = self.configuration("wraps.conf", [f"{{provider: publickey, publicKeyFile: {public}}}"])
        self.refused(self.recover(home, self.path("right")), "no-opening-recipient")
        self.assertEqual(self.files(home), before)

    def test_recover_without_an_offline_recipient(self):
        private, _ = self.rsa()
        home = self.encrypted_home()
        self.refused(self.recover(home, private), "no-publickey")


@unittest.skipUnless(ROOT, "needs root, to become other users")
class OwnerTest(Case):
    """Root works as the home's owner."""

    def owned_home(self):
        home = self.home()
        os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
        os.chown(self.key, NOBODY.pw_uid, NOBODY.pw_gid)
        return home

    def test_files_belong_to_the_owner(self):
        home = self.owned_home()
        self.done(self.init(home))
        for name in os.listdir(home):
            found = os.lstat(os.path.join(home, name))
            self.assertEqual((found.st_uid, found.st_gid), (NOBODY.pw_uid, NOBODY.pw_gid), name)
        self.done(wtkms("check", home, "--config", self.config, user=NOBODY))
        self.done(self.init(home))

    def test_what_the_owner_cannot_read_fails(self):
        home = self.owned_home()
        os.chmod(self.config, 0o600)
        result = self.init(home)
        self.assertEqual(result.code, 1)
        self.assertIn("as the owner of", result.err)
        os.chmod(self.config, 0o644)
        os.chown(self.key, 0, 0)
        self.assertEqual(self.init(home).code, 1)
        self.assertLessEqual(set(os.listdir(home)), {"wtkms.keystore.lock"})

    def test_backup_is_the_callers(self):
        home = self.owned_home()
        self.done(self.init(home))
        private = self.home("private")
        self.done(wtkms("keystore", "backup", home, os.path.join(private, "b")))
        self.assertEqual(os.stat(os.path.join(private, "b")).st_uid, 0)

    def test_planted_links_lead_nowhere(self):
        secret = self.path("secret")
        open(secret, "w").write("root's own\n")
        os.chmod(secret, 0o600)
        for number, name in enumerate(["WiredTiger.config", "wtkms.keystore", "wtkms.keystore.lock",
                                       "wtkms.keystore.new", "WiredTiger.config.new", "WiredTiger.basecfg"]):
            with self.subTest(name=name):
                home = self.home(f"home{number}")
                os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
                os.chown(self.key, NOBODY.pw_uid, NOBODY.pw_gid)
                os.symlink(secret, os.path.join(home, name))
                result = self.init(home)
                self.assertNotIn("root's own", result.out + result.err)
                self.assertEqual(open(secret).read(), "root's own\n")
                self.assertEqual(os.stat(secret).st_uid, 0)

    def test_link_to_a_foreign_data_file(self):
        other = self.encrypted_home("other")
        home = self.owned_home()
        os.chmod(os.path.join(other, "t.wt"), 0o600)
        os.symlink(os.path.join(other, "t.wt"), os.path.join(home, "stolen.wt"))
        told = self.status(home, code=4)
        self.assertEqual(told["units"], 0)
        self.assertIn("denied", {f["path"]: f for f in told["files"]}["stolen.wt"]["problem"])

    def test_read_only_directory(self):
        home = self.encrypted_home()
        subprocess.run(["chown", "-R", f"{NOBODY.pw_uid}:{NOBODY.pw_gid}", home, self.key], check=True)
        os.chmod(home, 0o555)
        before = snapshot(home)
        told = self.status(home, "--config", self.config, user=NOBODY)
        self.assertEqual(told["keystore"]["seal"], "verified")
        self.done(wtkms("check", home, "--config", self.config, user=NOBODY))
        self.assertEqual(snapshot(home), before)

    def test_read_only_mount(self):
        home = self.encrypted_home()
        mount = self.home("mount")
        script = ('mount --bind "$1" "$2" && mount -o remount,ro,bind "$2" || exit 77; '
                  '"$3" status "$2" --config "$4" --format json && "$3" check "$2" --config "$4" >&2')
        process = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", home, mount, WTKMS, self.config],
                                 capture_output=True)
        if process.returncode == 77 or b"Operation not permitted" in process.stderr:
            self.skipTest("mounts are not permitted here")
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertEqual(json.loads(process.stdout)["keystore"]["seal"], "verified")


if __name__ == "__main__":
    for needed in (WTKMS, MODULE):
        if not os.path.exists(needed):
            sys.exit(f"{needed} is not built; WTKMS_BUILD names the build directory")
    if WT is None:
        print("SKIP: no wt (Debian: wiredtiger)")
        sys.exit(77)
    unittest.main(warnings="ignore", verbosity=int(os.environ.get("WTKMS_VERBOSE", "1")))
