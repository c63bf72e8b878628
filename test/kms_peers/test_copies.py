"""test/kms_peers/test_copies.py -- What `snapshot list --check`, `key usage` and `snapshot restore` say of a copy whose
customer key was disabled, scheduled for deletion, deleted, or is denied or out of reach, and of one that is
enabled again; and that a home that was restored before under another key outlives it. Each provider with its
real server, or its double.
"""
import json
import os
import shutil
import urllib.request

import gcp_lab
import lab
import test_aws
import test_azure
import test_kmip
import test_vault


class Copies(lab.Case):
    """One copy; `credential` is the environment that reaches its key. A subclass names the keys."""

    credential = None

    def copy_of(self, config, name):
        """A copy of a small database, away from its home."""
        home = self.lab.database(config, name, rows=10, environment=self.credential)
        copy = self.lab.path(name + "-copy")
        shutil.copytree(home, copy)
        shutil.rmtree(home)
        self.config, self.copy = config, copy
        return copy

    def run_list(self, *more, code):
        result = self.lab.wtkms("snapshot", "list", self.copy, "--check", "--config", self.config, *more,
                                environment=self.credential, check=False)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout

    def says(self, access, *texts):
        """In JSON and in the table, and after that in the answer of `key usage`. texts are in the detail."""
        code = 0 if access == "opens" else 1
        text = self.run_list("--format", "json", code=code)
        recipient, = json.loads(text)["copies"][0]["recipients"]
        self.assertEqual(recipient["access"], access, recipient)
        for part in texts:
            self.assertIn(part, recipient["accessDetail"])
        if access == "opens":
            self.assertIsNone(recipient["accessDetail"])
        table = self.run_list(code=code)
        self.assertIn(f"{recipient['encryptionKeyId']}: {access}", table)
        if access != "opens":
            self.assertIn(f"{self.copy}: {access}: ", table)

        inventory = self.lab.write("inventory.json", text)
        usage = self.lab.wtkms("key", "usage", recipient["encryptionKeyId"], "--inventory", inventory, check=False)
        self.assertEqual(usage.returncode, 3, usage.stdout + usage.stderr)
        self.assertIn(f"needs it: nothing else opens it; asked: {access}", usage.stdout)
        page = self.lab.path("page.html")
        self.run_list("--html", page, code=code)
        with open(page) as file:
            self.assertIn(f">{access}</span>", file.read())
        return recipient

    def restores(self, code, *texts):
        """Into a home of another customer key, by a local one. What is refused leaves nothing behind."""
        key, home = self.lab.path("other.key"), self.lab.path("restored")
        shutil.rmtree(home, True)
        os.mkdir(home, 0o700)
        if not os.path.exists(key):
            self.lab.wtkms("keygen", key)
        other = self.lab.config({"provider": "local", "keyFile": key}, more="node: restored\n", name="other.conf")
        result = self.lab.wtkms("snapshot", "restore", self.copy, home, "--config", other, "--from", self.config,
                                "--module", lab.MODULE, environment=self.credential, check=False)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        for text in texts:
            self.assertIn(text, result.stderr)
        if code != 0:
            self.assertEqual(os.listdir(home), [])
        return home

    def restores_nothing(self, text, restored):
        """The key is gone: no restore any more, but what was restored before lives."""
        away = restored + ".away"
        os.rename(restored, away)
        self.restores(1, text)
        os.rmdir(restored)
        os.rename(away, restored)
        self.still_opens(restored)

    def still_opens(self, home):
        """What was restored depends on the key of the copy no more, whatever became of that."""
        self.assertEqual(self.lab.rows(home), 10)
        self.lab.wtkms("check", home, "--config", self.lab.path("other.conf"))

    def out_of_reach(self):
        """The server is ended: nothing is known of the key, so nothing is said of it."""
        for server in self.lab.servers:
            server.stop()
        recipient = self.says("unavailable")
        # Without --check nobody is asked.
        listed = self.lab.wtkms("snapshot", "list", self.copy, "--format", "json")
        self.assertIsNone(json.loads(listed.stdout)["copies"][0]["recipients"][0]["access"])
        self.assertNotIn("deletion", recipient["accessDetail"])


class LocalStack(test_aws.AwsCase, Copies):
    seconds = 50

    @classmethod
    def start(cls):
        cls.port = cls.lab.port()
        cls.serve()

    @classmethod
    def serve(cls):
        where = lab.peer("localstack")
        cls.url = f"http://127.0.0.1:{cls.port}"
        cls.lab.start([os.path.join(where, "python"), "-m", "localstack.runtime.main"], cls.url + "/_localstack/health",
                      {"GATEWAY_LISTEN": f"127.0.0.1:{cls.port}", "DNS_ADDRESS": "0", "SKIP_SSL_CERT_DOWNLOAD": "1",
                       "DISABLE_EVENTS": "1", "LOCALSTACK_VOLUME_DIR": cls.lab.path("volume"),
                       "FILESYSTEM_ROOT": cls.lab.path("root"), "HOME": cls.lab.dir}, seconds=120)
        cls.boto = test_aws.Boto(os.path.join(where, "python"), cls.url)

    def test_states(self):
        self.credential = self.environment("test", "test")
        arn = self.boto.new_key()
        self.copy_of(self.lab.config(self.entry(arn, connectTimeout="2s", timeout="5s")), "states")
        self.says("opens")
        self.boto.call("kms", "disable_key", KeyId=arn)
        self.says("disabled", "enable-key", arn)
        self.restores(1, "is disabled", "re-enable it")
        self.boto.call("kms", "enable_key", KeyId=arn)
        self.says("opens")
        end = self.boto.call("kms", "schedule_key_deletion", KeyId=arn, PendingWindowInDays=7)["DeletionDate"]
        self.says("pending deletion", "pending deletion on " + end[:10], "cancel-key-deletion")
        self.restores(1, "pending deletion on " + end[:10], "cancel its deletion")
        self.boto.calls(["kms", "cancel_key_deletion", {"KeyId": arn}], ["kms", "enable_key", {"KeyId": arn}])
        self.says("opens")
        restored = self.restores(0)
        self.out_of_reach()
        # It keeps nothing: started again it has no such key, as after the last day of a deletion.
        self.serve()
        self.says("not found", "NotFoundException")
        self.restores_nothing("NotFoundException", restored)


class Moto(test_aws.AwsCase, Copies):
    start = classmethod(test_aws.Moto.start.__func__)
    user = test_aws.Moto.user

    def authorization(self, requests_without):
        request = urllib.request.Request(self.url + "/moto-api/reset-auth", b"%d" % requests_without,
                                         {"Content-Type": "text/plain"})
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()

    def test_copies_of_one_home_are_asked_about_once(self):
        self.credential = self.user()
        with test_aws.front(self.port, lambda *request: None) as f:
            config = self.lab.config(self.entry(self.key_arn, endpoint=f.url))
            copy = self.copy_of(config, "first")
            tree = self.lab.path("tree")
            for i in range(20):
                shutil.copytree(copy, os.path.join(tree, str(i)))
            shutil.copytree(self.copy_of(config, "second"), os.path.join(tree, "second"))
            f.requests.clear()
            self.copy = tree
            copies = json.loads(self.run_list("--format", "json", code=0))["copies"]
            self.assertEqual([c["recipients"][0]["access"] for c in copies], ["opens"] * 21)
            self.assertEqual([r[2]["X-Amz-Target"] for r in f.requests], ["TrentService.Decrypt"] * 2)

    def test_a_service_that_is_away_is_waited_for_once(self):
        self.credential = self.user()
        away = []
        with test_aws.front(self.port, lambda *request: (503, {}, b"") if away else None) as f:
            config = self.lab.config(self.entry(self.key_arn, endpoint=f.url, timeout="3s"))
            tree = self.lab.path("away")
            for i in range(3):
                shutil.move(self.copy_of(config, f"away-{i}"), os.path.join(tree, str(i)))
            away.append(True)
            self.copy = os.path.join(tree, "0")
            f.requests.clear()
            self.run_list(code=1)
            once = len(f.requests)
            self.copy = tree
            f.requests.clear()
            copies = json.loads(self.run_list("--format", "json", code=1))["copies"]
            self.assertEqual([c["recipients"][0]["access"] for c in copies], ["unavailable"] * 3)
            self.assertGreater(once, 0)
            self.assertLessEqual(len(f.requests), once + 1)
            away.clear()
            copies = json.loads(self.run_list("--format", "json", code=0))["copies"]
            self.assertEqual([c["recipients"][0]["access"] for c in copies], ["opens"] * 3)

    def test_denied_and_wrong_credential_and_the_end(self):
        self.credential = self.user()
        self.copy_of(self.lab.config(self.entry(self.key_arn, connectTimeout="2s", timeout="5s")), "denied")
        self.says("opens")
        self.authorization(1000)
        admin = test_aws.Boto(self.python, self.url)
        policy = admin.call("iam", "get_user_policy", UserName="mongod", PolicyName="p")["PolicyDocument"]
        admin.call("iam", "put_user_policy", UserName="mongod", PolicyName="p", PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*"}]}))
        self.authorization(0)
        self.says("denied", "AccessDenied")
        self.authorization(1000)
        admin.call("iam", "put_user_policy", UserName="mongod", PolicyName="p", PolicyDocument=json.dumps(policy))
        self.authorization(0)
        self.says("opens")
        self.credential = self.environment(self.keys[0], "0" + self.secrets[0][1:])
        self.says("unauthenticated", "SignatureDoesNotMatch")
        self.credential = self.user()
        self.out_of_reach()


class Vault(Copies):
    start = classmethod(test_vault.Vault.start.__func__)
    token_file = classmethod(test_vault.Vault.token_file.__func__)
    entry = classmethod(test_vault.Vault.entry.__func__)

    def test_states(self):
        self.bao.key("copies")
        powerful = self.bao.token(["all"])
        path = self.token_file(powerful)
        self.copy_of(self.entry(key="copies", tokenFile=path, connectTimeout="2s"), "states")
        self.says("opens")
        self.bao.call("POST", "transit/keys/copies/rotate", {})
        self.bao.call("POST", "transit/keys/copies/config", {"min_decryption_version": 2})
        self.says("disabled", "too old")
        self.restores(1, "too old", "re-enable it")
        self.bao.call("POST", "transit/keys/copies/config", {"min_decryption_version": 1})
        self.says("opens")
        self.lab.write(os.path.basename(path), self.bao.token(["default"]) + "\n")
        self.says("denied")
        self.lab.write(os.path.basename(path), "s.of-nobody\n")
        self.says("unauthenticated")
        self.lab.write(os.path.basename(path), powerful + "\n")
        self.says("opens")
        restored = self.restores(0)
        self.bao.call("POST", "transit/keys/copies/config", {"deletion_allowed": True})
        self.bao.call("DELETE", "transit/keys/copies")
        self.says("not found")
        self.restores_nothing("not found", restored)
        self.out_of_reach()


class Kmip(test_kmip.Kmip, Copies):
    def test_states(self):
        uid = self.key("copies")
        config = self.conf(uid, timeout="4s")
        self.copy_of(config, "revoked")
        self.says("opens")
        self.config = self.conf(uid, clientCertificate=self.bob[0], clientKey=self.bob[1])
        self.says("denied")
        self.config = config
        restored = self.restores(0)
        self.operator("revoke", uid=uid)
        self.says("disabled", "deactivated")
        self.operator("destroy", uid=uid)
        self.says("not found", "Item Not Found")
        self.restores_nothing("Item Not Found", restored)
        self.out_of_reach()


class Azure(test_azure.Case, Copies):
    seconds = 40

    def test_states(self):
        made, entry = self.key("copies")
        self.copy_of(self.lab.config({**entry, "connectTimeout": "2s", "timeout": "5s"}), "states")
        self.says("opens")
        self.official.must("update", name="copies", enabled=False)
        self.says("disabled", "KeyDisabled")
        self.restores(1, "KeyDisabled", "re-enable it")
        self.official.must("update", name="copies", enabled=True)
        self.says("opens")
        self.official.must("delete", name="copies")
        self.assertRegex(self.says("pending deletion", "recovered until")["accessDetail"], r"until 20\d\d-\d\d-\d\d")
        self.official.must("recover", name="copies")
        self.says("opens")
        self.addCleanup(self.order, permissions=test_azure.ALL, denied_code="ForbiddenByRbac")
        self.order(permissions=["get"], denied_code="ForbiddenByPolicy")
        self.says("denied", "ForbiddenByPolicy")
        self.order(permissions=test_azure.ALL, denied_code="ForbiddenByRbac")
        restored = self.restores(0)
        self.official.must("delete", name="copies")
        self.official.must("purge", name="copies")
        self.says("not found")
        self.restores_nothing("not found", restored)
        self.doCleanups()
        self.out_of_reach()


class Google(gcp_lab.Case, Copies):
    def test_states(self):
        key = self.new_key("copies")
        version = key + "/cryptoKeyVersions/1"
        self.copy_of(self.lab.config({"provider": "gcp", "key": key, "endpoint": self.url, "proxy": "none",
                                      "credentialsFile": self.account, "timeout": "5s", "connectTimeout": "2s"}), "states")
        self.says("opens")
        self.google("set_state", name=version, state="DISABLED")
        self.says("disabled", "enable the version again")
        self.restores(1, "DISABLED", "re-enable it")
        self.google("set_state", name=version, state="ENABLED")
        self.says("opens")
        when = self.google("destroy", name=version)["destroyTime"][:10]
        self.says("pending deletion", when)
        self.google("restore", name=version)
        self.google("set_state", name=version, state="ENABLED")
        self.says("opens")
        self.control("state", {"bindings": [[gcp_lab.ACCOUNT, key, ["cloudkms.cryptoKeyVersions.useToEncrypt"]]]})
        self.says("denied")
        self.control("state", self.first)
        restored = self.restores(0)
        self.google("destroy", name=version)
        self.control("state", {"clock": 31 * 86400})
        self.says("disabled", "destroyed on")
        self.restores_nothing("DESTROYED", restored)
        self.control("state", self.first)
        self.session.close()
        self.out_of_reach()

    def tearDown(self):
        """The server is gone by then."""
