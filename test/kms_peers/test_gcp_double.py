"""test/kms_peers/test_gcp_double.py -- Google's own client (google-cloud-kms over REST, google-auth) through every
operation and every error of the double that our client is tested with."""
import base64
import unittest

from gcp_lab import ACCOUNT, MACHINE, RING, TARGET, Case, b64

# CRC32C of the two texts, by RFC 3720's polynomial; computed with google-crc32c.
TEXT, TEXT_CRC = b"123456789", 0xe3069283


class Operations(Case):
    def encrypt(self, name, plaintext=TEXT, aad=b"", **fields):
        return self.google("encrypt", name=name, plaintext=b64(plaintext), aad=b64(aad), **fields)

    def decrypted(self, name, encrypted, aad=b"", **fields):
        answer = self.google("decrypt", name=name, ciphertext=encrypted["ciphertext"], aad=b64(aad), **fields)
        return base64.b64decode(answer["plaintext"]), answer

    def test_create(self):
        name = self.new_key("create")
        self.assertEqual(name, RING + "/cryptoKeys/create")
        key = self.google("get_key", name=name)
        self.assertEqual(key["primary"]["name"], name + "/cryptoKeyVersions/1")
        self.assertEqual(key["primary"]["state"], "ENABLED")
        self.google_fails("ALREADY_EXISTS", "create_key", parent=RING, id="create")
        self.google_fails("NOT_FOUND", "get_key", name=RING + "/cryptoKeys/none")
        self.google_fails("NOT_FOUND", "get_version", name=name + "/cryptoKeyVersions/2")

    def test_encrypt_decrypt(self):
        name = self.new_key("encrypt")
        encrypted = self.encrypt(name, aad=b"bound", crc=TEXT_CRC)
        self.assertEqual(encrypted["name"], name + "/cryptoKeyVersions/1")
        self.assertTrue(encrypted["verifiedPlaintextCrc32c"])
        self.assertFalse(encrypted["verifiedAdditionalAuthenticatedDataCrc32c"])
        plaintext, answer = self.decrypted(name, encrypted, b"bound")
        self.assertEqual(plaintext, TEXT)
        self.assertEqual(int(answer["plaintextCrc32c"]), TEXT_CRC)
        self.assertTrue(answer["usedPrimary"])
        self.assertNotEqual(self.encrypt(name)["ciphertext"], self.encrypt(name)["ciphertext"])

    def test_wrong_checksum(self):
        name = self.new_key("checksum")
        error = self.google_fails("INVALID_ARGUMENT", "encrypt", name=name, plaintext=b64(TEXT), crc=TEXT_CRC ^ 1)
        self.assertIn("plaintext_crc32c", error["message"])
        error = self.google_fails("INVALID_ARGUMENT", "decrypt", name=name, crc=1,
                                  ciphertext=self.encrypt(name)["ciphertext"])
        self.assertIn("ciphertext_crc32c", error["message"])

    def test_wrong_data(self):
        name, other = self.new_key("wrong-data"), self.new_key("other-data")
        encrypted = self.encrypt(name, aad=b"bound")
        self.google_fails("INVALID_ARGUMENT", "decrypt", name=name, ciphertext=encrypted["ciphertext"],
                          aad=b64(b"other"))
        self.google_fails("INVALID_ARGUMENT", "decrypt", name=other, ciphertext=encrypted["ciphertext"],
                          aad=b64(b"bound"))
        self.google_fails("INVALID_ARGUMENT", "decrypt", name=name, ciphertext=b64(b"short"))

    def test_rotation(self):
        name = self.new_key("rotation")
        old = self.encrypt(name)
        self.assertEqual(self.google("create_version", name=name)["name"], name + "/cryptoKeyVersions/2")
        self.assertEqual(self.encrypt(name)["name"], old["name"])
        self.assertEqual(self.google("set_primary", name=name, version="2")["primary"]["name"],
                         name + "/cryptoKeyVersions/2")
        self.assertEqual(self.encrypt(name)["name"], name + "/cryptoKeyVersions/2")
        plaintext, answer = self.decrypted(name, old)
        self.assertEqual(plaintext, TEXT)
        self.assertFalse(answer.get("usedPrimary"))

    def test_states(self):
        name = self.new_key("states")
        version = name + "/cryptoKeyVersions/1"
        encrypted = self.encrypt(name)

        def refused(kind):
            for op, field in (("encrypt", {"plaintext": b64(TEXT)}),
                              ("decrypt", {"ciphertext": encrypted["ciphertext"]})):
                error = self.google_fails("FAILED_PRECONDITION", op, name=name, **field)
                self.assertIn("is not enabled, current state is: " + kind, error["message"])
                self.assertEqual(error["violations"], ["KEY_" + kind])

        self.assertEqual(self.google("set_state", name=version, state="DISABLED")["state"], "DISABLED")
        refused("DISABLED")
        self.google("set_state", name=version, state="ENABLED")
        self.assertEqual(self.decrypted(name, encrypted)[0], TEXT)
        self.assertTrue(self.google("destroy", name=version)["destroyTime"])
        refused("DESTROY_SCHEDULED")
        self.google_fails("FAILED_PRECONDITION", "set_state", name=version, state="ENABLED")
        self.assertEqual(self.google("restore", name=version)["state"], "DISABLED")
        self.google("set_state", name=version, state="ENABLED")
        self.assertEqual(self.decrypted(name, encrypted)[0], TEXT)
        self.google("destroy", name=version)
        self.control("state", {"clock": 31 * 86400})
        token = "token:" + self.google("token", "metadata")["token"]
        shown = self.google("get_version", token, name=version)
        self.assertEqual(shown["state"], "DESTROYED")
        self.assertTrue(shown["destroyEventTime"])
        error = self.google_fails("FAILED_PRECONDITION", "restore", token, name=version)
        self.assertEqual(error["violations"], ["KEY_DESTROYED"])

    def test_denied(self):
        name = self.new_key("denied")
        self.control("state", {"bindings": [[ACCOUNT, name, ["cloudkms.cryptoKeyVersions.useToEncrypt"]]]})
        encrypted = self.encrypt(name)
        error = self.google_fails("PERMISSION_DENIED", "decrypt", name=name, ciphertext=encrypted["ciphertext"])
        self.assertEqual(error["reason"], "IAM_PERMISSION_DENIED")
        self.assertIn("or it may not exist", error["message"])
        self.google_fails("PERMISSION_DENIED", "encrypt", name=name + "-none", plaintext=b64(TEXT))

    def test_tokens(self):
        name = self.new_key("tokens")
        self.google_fails("UNAUTHENTICATED", "get_key", "token:nonsense", name=name)
        self.control("state", {"tokenLifetime": 60})
        token = "token:" + self.google("token")["token"]
        self.google("get_key", token, name=name)
        self.control("state", {"clock": 61})
        error = self.google_fails("UNAUTHENTICATED", "get_key", token, name=name)
        self.assertEqual(error["reason"], "ACCESS_TOKEN_EXPIRED")

    def test_unavailable(self):
        name = self.new_key("unavailable")
        for status in ("UNAVAILABLE", "INTERNAL", "RESOURCE_EXHAUSTED"):
            self.faults("encrypt", status)
            error = self.google_fails(status, "encrypt", name=name, plaintext=b64(TEXT))
            self.assertIn("for a test", error["message"])

    def test_credentials(self):
        name = self.new_key("credentials")
        for credentials in ("external.json", "external_json.json", "external_target.json"):
            self.google("get_key", self.lab.path(credentials), name=name)
        self.google("get_key", "metadata", name=name)
        token = self.google("impersonate", target=TARGET, endpoint=f"{self.url}/v1/projects/-/serviceAccounts/"
                            f"{TARGET}:generateAccessToken")["token"]
        self.google("get_key", "token:" + token, name=name)
        self.assertIn("invalid_grant", self.google_fails(
            "RefreshError", "get_key", self.lab.path("wrong_key.json"), name=name)["message"])

    def test_credentials_refused(self):
        name = self.new_key("refused")
        self.control("state", {"bindings": [[MACHINE, RING, ["*"]]]})
        self.google_fails("PERMISSION_DENIED", "get_key", self.lab.path("external.json"), name=name)
        self.assertIn("PERMISSION_DENIED", self.google_fails(
            "RefreshError", "impersonate", target=TARGET, endpoint=f"{self.url}/v1/projects/-/serviceAccounts/"
            f"{TARGET}:generateAccessToken")["message"])


if __name__ == "__main__":
    unittest.main()
