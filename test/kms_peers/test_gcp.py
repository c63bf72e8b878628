"""test/kms_peers/test_gcp.py -- Provider gcp against the double that Google's own client tested, and beside that
client: each opens what the other one wrapped."""
import base64
import json
import os
import unittest

import lab
from gcp_lab import ACCOUNT, MACHINE, RING, TARGET, Case, b64

AAD = b"wtkms/1 keystore=%s master-key=%016x scope=%s" % (
    lab.CONTEXT["uuid"].encode(), lab.CONTEXT["master_key_id"], lab.CONTEXT["scope"].encode())
ENCRYPT, DECRYPT = "cloudkms.cryptoKeyVersions.useToEncrypt", "cloudkms.cryptoKeyVersions.useToDecrypt"
GET = ["cloudkms.cryptoKeys.get", "cloudkms.cryptoKeyVersions.get"]


class Gcp(Case):
    def setUp(self):
        self.key = self.new_key(self.id().rpartition(".")[2])
        self.version = self.key + "/cryptoKeyVersions/1"
        self.config = self.conf()
        self.control("log")

    def conf(self, **more):
        entry = {"provider": "gcp", "key": self.key, "endpoint": self.url, "credentialsFile": self.account,
                 "proxy": "none", "timeout": "5s", **more}
        return self.lab.config({k: v for k, v in entry.items() if v is not None})

    def test_round_trip(self):
        wrapped = self.wrapped(self.config)
        self.assertEqual(wrapped["key_id"], self.version)
        self.assertEqual(wrapped["credential"], ACCOUNT)
        self.opens(self.config, wrapped)
        for context in ({"scope": "tenantA"}, {"master_key_id": 1}, {"uuid": "f" * 32}):
            self.fails(self.lab.unwrap(self.config, wrapped, context), "corrupt", "INVALID_ARGUMENT",
                       id="kms-does-not-open")
        damaged = {**wrapped, "wrapped": b64(b"x" + base64.b64decode(wrapped["wrapped"]))}
        self.fails(self.lab.unwrap(self.config, damaged), "corrupt")

    def test_interoperates(self):
        wrapped = self.wrapped(self.config)
        theirs = self.google("decrypt", name=self.key, ciphertext=wrapped["wrapped"], aad=b64(AAD))
        self.assertEqual(base64.b64decode(theirs["plaintext"]), lab.PLAINTEXT)
        theirs = self.google("encrypt", name=self.key, plaintext=b64(lab.PLAINTEXT), aad=b64(AAD))
        self.opens(self.config, {"wrapped": theirs["ciphertext"], "key_id": theirs["name"]})

    def test_credentials(self):
        metadata = {"GCE_METADATA_HOST": f"127.0.0.1:{self.port}", "HOME": self.lab.dir}
        for name, file, more, environment in (
                (ACCOUNT, "account.json", {}, None),
                (TARGET, "account.json", {"impersonate": TARGET, "iamEndpoint": self.url}, None),
                ("//iam.googleapis.com/projects/1234567890/locations/global/workloadIdentityPools/pool/providers/"
                 "cluster", "external.json", {}, None),
                ("//iam.googleapis.com/projects/1234567890/locations/global/workloadIdentityPools/pool/providers/"
                 "cluster", "external_json.json", {}, None),
                (TARGET, "external_target.json", {}, None),
                (MACHINE, None, {}, metadata),
                (TARGET, None, {"impersonate": TARGET, "iamEndpoint": self.url}, metadata),
                (ACCOUNT, None, {}, {"GOOGLE_APPLICATION_CREDENTIALS": self.account, **metadata})):
            with self.subTest(file=file, more=more):
                config = self.conf(credentialsFile=file and self.lab.path(file), **more)
                wrapped = self.wrapped(config, environment=environment)
                self.assertEqual(wrapped["credential"], name)
                self.opens(config, wrapped, environment=environment)
        os.chmod(self.lab.path("external.json"), 0o644)  # it holds no secret
        self.wrapped(self.conf(credentialsFile=self.lab.path("external.json")))

    def test_well_known_file(self):
        folder = self.lab.path("gcloud")
        os.makedirs(folder)
        place = os.path.join(folder, "application_default_credentials.json")
        config = self.conf(credentialsFile=None)
        environment = {"CLOUDSDK_CONFIG": folder}
        os.symlink(self.account, place)
        self.assertEqual(self.wrapped(config, environment=environment)["credential"], ACCOUNT)
        os.unlink(place)
        with open(os.open(place, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            json.dump({"type": "authorized_user", "client_id": "1", "client_secret": "hidden-text",
                       "refresh_token": "hidden-text"}, file)
        answer = self.fails(self.lab.wrap(config, environment=environment), "configuration", "authorized_user",
                            "a person's login", id="kms-gcp-credentials")
        self.assertNotIn("hidden-text", json.dumps(answer))

    def test_states(self):
        wrapped = self.wrapped(self.config)
        self.assertEqual(self.lab.describe(self.config)["state"], "enabled")
        self.google("set_state", name=self.version, state="DISABLED")
        self.fails(self.lab.unwrap(self.config, wrapped), "disabled", "current state is: DISABLED",
                   "enable the version again", id="kms-disabled")
        self.fails(self.lab.wrap(self.config), "disabled")
        self.assertEqual(self.lab.describe(self.config, self.version)["state"], "disabled")
        self.google("set_state", name=self.version, state="ENABLED")
        self.opens(self.config, wrapped)
        when = self.google("destroy", name=self.version)["destroyTime"][:10]
        self.fails(self.lab.unwrap(self.config, wrapped), "disabled", "DESTROY_SCHEDULED")
        shown = self.lab.describe(self.config, self.version)
        self.assertEqual(shown["state"], "pending deletion")
        self.assertIn(when, shown["detail"])
        self.google("restore", name=self.version)
        self.google("set_state", name=self.version, state="ENABLED")
        self.opens(self.config, wrapped)
        self.google("destroy", name=self.version)
        self.control("state", {"clock": 31 * 86400})
        self.fails(self.lab.unwrap(self.config, wrapped), "disabled", "current state is: DESTROYED")
        shown = self.lab.describe(self.config, self.version)
        self.assertEqual(shown["state"], "disabled")
        self.assertIn("destroyed on", shown["detail"])

    def test_rotated(self):
        old = self.wrapped(self.config)
        self.google("create_version", name=self.key)
        self.google("set_primary", name=self.key, version="2")
        new = self.wrapped(self.config)
        self.assertEqual(new["key_id"], self.key + "/cryptoKeyVersions/2")
        self.opens(self.config, old)
        self.opens(self.config, new)
        self.assertEqual(self.lab.describe(self.config)["key_id"], new["key_id"])
        self.assertEqual(self.lab.describe(self.config, old["key_id"])["key_id"], old["key_id"])
        self.google("set_state", name=self.version, state="DISABLED")
        self.fails(self.lab.unwrap(self.config, old), "disabled")
        self.opens(self.config, new)

    def test_denied_and_missing(self):
        wrapped = self.wrapped(self.config)
        self.control("state", {"bindings": [[ACCOUNT, self.key, [DECRYPT] + GET]]})
        self.fails(self.lab.wrap(self.config), "denied", ENCRYPT, "does not exist", id="kms-denied")
        self.opens(self.config, wrapped)
        self.assertEqual(self.lab.describe(self.config, self.version)["state"], "enabled")
        self.control("state", {"bindings": [[ACCOUNT, self.key, [ENCRYPT]]]})
        self.fails(self.lab.unwrap(self.config, wrapped), "denied", DECRYPT)
        self.fails(self.lab.describe(self.config), "denied", "cloudkms.cryptoKeys.get")
        self.control("state", self.first)
        none = self.conf(key=RING + "/cryptoKeys/none")
        self.fails(self.lab.wrap(none), "not found", "none not found", id="kms-not-found")
        self.fails(self.lab.describe(none), "not found")

    def test_wrong_key_file(self):
        answer = self.fails(self.lab.wrap(self.conf(credentialsFile=self.lab.path("wrong_key.json"))),
                            "unauthenticated", "invalid_grant", "Invalid JWT Signature")
        self.assertNotIn("PRIVATE", json.dumps(answer))
        elsewhere = json.load(open(self.account))
        elsewhere["token_uri"] = "https://oauth2.googleapis.com.example.net/token"
        path = self.lab.write("elsewhere.json", json.dumps(elsewhere))
        self.fails(self.lab.wrap(self.conf(credentialsFile=path)), "configuration", "no host of",
                   id="kms-gcp-host")
        os.chmod(path, 0o644)
        self.fails(self.lab.wrap(self.conf(credentialsFile=path)), "configuration", "mode 0644")

    def test_impersonation_denied(self):
        self.control("state", {"bindings": [[ACCOUNT, RING, ["*"]]]})
        self.fails(self.lab.wrap(self.conf(impersonate=TARGET, iamEndpoint=self.url)), "denied",
                   "serviceAccountTokenCreator")

    def test_subject_token(self):
        config = self.conf(credentialsFile=self.lab.path("external.json"))
        self.control("subject", {"lifetime": -10})
        self.fails(self.lab.wrap(config), "unauthenticated", "stale")
        self.control("subject", {"lifetime": 3600})
        self.wrapped(config)
        os.rename(self.lab.path("subject"), self.lab.path("subject.away"))
        self.fails(self.lab.wrap(config), "system", "subject token in")
        os.rename(self.lab.path("subject.away"), self.lab.path("subject"))

    def asks(self):
        return self.control("log").count("POST /token")

    def test_tokens(self):
        wrapped = self.wrapped(self.config)
        request = {**lab.CONTEXT, "wrapped": wrapped["wrapped"], "key_id": wrapped["key_id"]}
        self.asks()
        session = self.lab.session(self.config, "unwrap")
        self.addCleanup(session.close)
        for _ in range(5):
            self.assertTrue(session.ask(request)["ok"])
        self.assertEqual(self.asks(), 1, "a token is kept")
        self.control("revoke")
        self.assertTrue(session.ask(request)["ok"])
        self.assertEqual(self.asks(), 1, "a refused token is replaced")
        self.control("state", {"clock": 3700})
        self.assertTrue(session.ask(request)["ok"], "the server's clock says that the token expired")
        self.control("state", {"clock": 0, "bindings": []})
        self.asks()
        self.assertEqual(session.ask(request)["class"], "denied")
        self.assertEqual(self.asks(), 0, "denied is not the token's fault")

    def test_wrong_clock(self):
        for clock in (3600, -3600):
            with self.subTest(clock=clock):
                self.control("state", {"clock": clock})
                self.asks()
                self.opens(self.config, self.wrapped(self.config))
                self.assertEqual(self.asks(), 4, "each call was refused once, and the clock corrected")

    def test_changed_answers(self):
        wrapped = self.wrapped(self.config)
        for method, kind, id in (("encrypt", "crc", "kms-checksum"), ("encrypt", "ciphertext", "kms-checksum"),
                                 ("encrypt", "unverified", "kms-checksum"),
                                 ("encrypt", "unverified-aad", "kms-checksum"),
                                 ("encrypt", "name", "kms-bad-reply"),
                                 ("decrypt", "crc", "kms-checksum"), ("decrypt", "plaintext", "kms-checksum")):
            with self.subTest(method=method, kind=kind):
                ask = lambda: self.lab.wrap(self.config) if method == "encrypt" else \
                    self.lab.unwrap(self.config, wrapped)
                self.faults(method, kind, kind)
                self.fails(ask(), "bad reply", id=id)
                if id == "kms-checksum":
                    self.faults(method, kind)
                    self.assertTrue(ask()["ok"], "once is tried again")
                self.control("state", {"faults": []})

    def test_passing_errors(self):
        wrapped = self.wrapped(self.config)
        for status in ("UNAVAILABLE", "INTERNAL", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"):
            self.faults("decrypt", status)
            self.opens(self.config, wrapped)
        self.faults("decrypt", *["UNAVAILABLE"] * 1000)
        self.fails(self.lab.unwrap(self.conf(timeout="1s"), wrapped), "unavailable", "UNAVAILABLE",
                   id="kms-unavailable")

    def test_configuration(self):
        for more, text in (({"key": self.version}, "leave the version out"), ({"key": "alias/x"}, "is not projects/"),
                           ({"endpoint": "http://example.net"}, "endpoint"), ({"universe": "x/y"}, "no domain"),
                           ({"impersonate": "a/b"}, "no e-mail"), ({"universe": "example.org"}, "universe"),
                           ({"iamEndpoint": "ftp://x"}, "iamEndpoint")):
            with self.subTest(more=more):
                self.fails(self.lab.wrap(self.conf(**more)), "configuration", text)
        self.assertEqual(self.control("log"), [])

    def test_recorded_elsewhere(self):
        wrapped = self.wrapped(self.config)
        other = self.version.replace("/databases/", "/strangers/")
        self.control("log")
        self.fails(self.lab.unwrap(self.config, wrapped, key_id=other), "refused")
        self.fails(self.lab.unwrap(self.config, wrapped, key_id="https://example.net/" + self.version), "corrupt")
        self.assertEqual(self.control("log"), [], "no byte goes out for it")

    def test_database(self):
        home = self.lab.check_database(self.config)
        self.google("create_version", name=self.key)
        self.google("set_primary", name=self.key, version="2")
        self.assertEqual(self.lab.rows(home), 1000)
        self.google("set_state", name=self.version, state="DISABLED")
        refused = self.lab.engine(home, "dump", "table:t", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(b"current state is: DISABLED", refused.stderr + refused.stdout)
        self.google("set_state", name=self.version, state="ENABLED")
        self.assertEqual(self.lab.rows(home), 1000)


if __name__ == "__main__":
    unittest.main()
