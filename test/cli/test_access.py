#!/usr/bin/env python3
"""test/cli/test_access.py -- Whether customer keys open: `wtkms kms test`, `wtkms status --check`, and what a
database that runs finds by itself and tells in wtkms.state."""
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from wtkms_lab import MODULE, SCRATCH, WT, engine, engine_environment, wtkms  # noqa: E402


class Access(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory(dir=SCRATCH)
        self.addCleanup(self.scratch.cleanup)
        for name in ("a", "b"):
            self.assertEqual(wtkms("keygen", self.path(name)).code, 0)
        self.home = self.path("home")
        os.mkdir(self.home)
        self.config = self.configure()

    def path(self, *names):
        return os.path.join(self.scratch.name, *names)

    def configure(self, name="conf", keys=("a", "b"), extra=""):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("node: n\nkms:\n")
            for key in keys:
                file.write(f"  - {{provider: local, keyFile: {self.path(key)}}}\n")
            file.write(extra)
        return path

    def init(self):
        result = wtkms("init", self.home, "--config", self.config, "--module", MODULE)
        self.assertEqual(result.code, 0, result.err)

    def status(self, *args):
        return wtkms("status", self.home, "--format", "json", *args)

    def test_kms_test(self):
        result = wtkms("kms", "test", "--config", self.config)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(result.out.count("ok, "), 4)
        report = wtkms("kms", "test", "--config", self.config, "--format", "json").json()
        self.assertTrue(report["works"])
        self.assertEqual([r["unwrap"]["class"] for r in report["recipients"]], ["ok", "ok"])

    def test_kms_test_says_what_is_wrong(self):
        config = self.configure("other", ("a", "missing"), "keys: {t: {kms: [{provider: local, keyFile: "
                                + self.path("b") + "}]}}\n")
        result = wtkms("kms", "test", "--config", config)
        self.assertEqual(result.code, 1)
        self.assertIn("missing cannot open: ", result.out)
        self.assertIn("bring the key file back", result.out)
        result = wtkms("kms", "test", "--config", config, "--format", "json")
        self.assertEqual(result.code, 1)
        report = result.json()
        self.assertFalse(report["works"])
        self.assertEqual([r["works"] for r in report["recipients"]], [True, False, True])
        self.assertEqual([r["scope"] for r in report["recipients"]], ["default", "default", "t"])
        self.assertEqual(report["recipients"][1]["open"]["class"], "configuration")
        self.assertEqual(wtkms("kms", "test", "--config", self.path("nothing")).code, 1)
        self.assertEqual(wtkms("kms", "test", self.home).code, 2)

    def test_kms_test_of_an_offline_key(self):
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072", "-out",
                        self.path("private")], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", self.path("private"), "-pubout", "-out", self.path("public")],
                       check=True, capture_output=True)
        config = self.configure("offline", ("a",), f"  - {{provider: publickey, publicKeyFile: {self.path('public')}}}\n")
        result = wtkms("kms", "test", "--config", config, "--format", "json")
        self.assertEqual(result.code, 0, result.out + result.err)
        offline = result.json()["recipients"][1]
        self.assertTrue(offline["wrapsOnly"])
        self.assertEqual(offline["wrap"]["class"], "ok")
        self.assertIsNone(offline["unwrap"]["class"])

    def test_status_check(self):
        self.init()
        result = self.status("--config", self.config)
        self.assertEqual(result.json()["access"], [])  # nothing was asked, no host ran
        result = self.status("--check", "--config", self.config)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual([(a["class"], a["by"]) for a in result.json()["access"]], [("ok", "check")] * 2)
        os.rename(self.path("b"), self.path("b.away"))
        result = self.status("--check", "--config", self.config)
        self.assertEqual(result.code, 1)
        report = result.json()
        self.assertEqual([a["class"] for a in report["access"]], ["ok", "configuration"])
        self.assertTrue(any(self.path("b") in w and "bring the key file back" in w for w in report["warnings"]))
        table = wtkms("status", self.home, "--check", "--config", self.config).out
        self.assertIn("ACCESS", table)
        self.assertIn("ok, ", table)
        self.assertIn("configuration, ", table)
        text = wtkms("status", self.home, "--check", "--config", self.config, "--format", "prometheus").out
        self.assertIn("wtkms_recipient_access{", text)

    def test_trust_key(self):
        self.init()
        recorded = self.status().json()["masterKeys"][0]["recipients"]
        only_a = self.configure("only-a", ("a",))
        result = self.status("--check", "--config", only_a)
        self.assertEqual(len(result.json()["access"]), 1)  # what is not configured is not contacted
        # A local key is a file, which its identifier does not name.
        result = self.status("--check", "--config", only_a, "--trust-key", recorded[1]["encryptionKeyId"])
        self.assertEqual(result.code, 1)
        self.assertIn("trust-key-provider", result.err)
        result = self.status("--check", "--config", only_a, "--trust-key", "https://attacker.example/keys/k/1")
        self.assertEqual(result.code, 1)
        self.assertIn("trust-key-unknown", result.err)
        self.assertEqual(self.status("--trust-key", "x").code, 2)

    @unittest.skipUnless(WT, "no wt")
    def test_a_running_database_finds_out(self):
        """A key file goes away and comes back under a database that runs: it goes on, and status tells."""
        self.config = self.configure(extra="access: {checkInterval: 1s}\n")
        self.init()
        engine(self.home, "create", "-c", "key_format=S,value_format=S", "table:t")
        feeder = subprocess.Popen([WT, "-h", self.home, "loadtext", "table:t"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=engine_environment())
        try:
            self.wait_for(lambda access: [a["class"] for a in access] == ["ok", "ok"])
            os.rename(self.path("b"), self.path("b.away"))
            access = self.wait_for(lambda access: "configuration" in [a["class"] for a in access])
            self.assertEqual(sorted(a["class"] for a in access), ["configuration", "ok"])
            self.assertTrue(all(a["by"] == "host" for a in access))
            os.rename(self.path("b.away"), self.path("b"))
            self.wait_for(lambda access: [a["class"] for a in access] == ["ok", "ok"])
            out, err = feeder.communicate(b"".join(b"key%d\nvalue\n" % i for i in range(5000)), timeout=60)
            self.assertEqual(feeder.returncode, 0, err)
        finally:
            if feeder.poll() is None:
                feeder.kill()
                feeder.communicate()
        # Said once, however often it was found. (That it opens again is information, which wt is spared.)
        self.assertEqual((out + err).decode().count("access check: local local:"), 1, err)
        self.assertEqual(engine(self.home, "list", "table:t").returncode, 0)

    def wait_for(self, condition):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            access = self.status().json()["access"]
            if condition(access):
                return access
            time.sleep(0.2)
        self.fail(json.dumps(access))


if __name__ == "__main__":
    unittest.main()
