"""test/kms_peers/test_aws.py -- Provider aws with moto, which verifies signatures and policies, and with
LocalStack, whose keys have states. boto3 of their virtual environments makes keys and opens what ours wrapped.
"""
import atexit
import base64
import contextlib
import datetime
import http.client
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import lab
from lab import CONTEXT, PLAINTEXT, b64

REGION = "eu-west-1"
ACCOUNT = {"moto": "123456789012", "localstack": "000000000000"}
# boto3 for lists of calls, one list a line: [service, operation, arguments]; bytes are {"b64": ...} both ways.
BRIDGE = """
import base64, boto3, botocore.config, json, sys
def inward(v):
    if isinstance(v, dict):
        return base64.b64decode(v["b64"]) if set(v) == {"b64"} else {k: inward(x) for k, x in v.items()}
    return [inward(x) for x in v] if isinstance(v, list) else v
def outward(v):
    return {"b64": base64.b64encode(v).decode()} if isinstance(v, bytes) else str(v)
clients = {}
def client_of(args, service):
    key = service, args["url"], args["key"], args["secret"], args.get("token")
    if key not in clients:
        clients[key] = boto3.client(service, endpoint_url=args["url"], region_name=args["region"],
                                    aws_access_key_id=args["key"], aws_secret_access_key=args["secret"],
                                    aws_session_token=args.get("token"),
                                    config=botocore.config.Config(retries={"max_attempts": 0}))
    return clients[key]
for line in sys.stdin:
    args = json.loads(line)
    out = []
    for service, operation, arguments in args["calls"]:
        client = client_of(args, service)
        try:
            out.append(getattr(client, operation)(**inward(arguments)))
        except client.exceptions.ClientError as e:
            out.append({"error": e.response["Error"]["Code"]})
    print(json.dumps(out, default=outward), flush=True)
"""


def encryption_context(scope="default"):
    u = CONTEXT["uuid"]
    return {"wtkms-keystore": f"{u[:8]}-{u[8:12]}-{u[12:16]}-{u[16:20]}-{u[20:]}",
            "wtkms-master-key": f"{CONTEXT['master_key_id']:016x}", "wtkms-scope": scope}


class Boto:
    """boto3 of that Python, which is started once and kept; for one or another user of a server."""

    bridges = {}
    lock = threading.Lock()

    def __init__(self, python, url, key="test", secret="test", token=None):
        self.python, self.url, self.key, self.secret, self.token = python, url, key, secret, token

    def calls(self, *calls):
        request = {"calls": calls, "url": self.url, "region": REGION, "key": self.key, "secret": self.secret}
        if self.token:
            request["token"] = self.token
        with Boto.lock:
            if self.python not in Boto.bridges:
                bridge = lab.Session([self.python, "-c", BRIDGE], lab.clean_environment({"HOME": "/nonexistent"}))
                atexit.register(bridge.close)
                Boto.bridges[self.python] = bridge
            return Boto.bridges[self.python].ask(request)

    def call(self, service, operation, **arguments):
        return self.calls([service, operation, arguments])[0]

    def new_key(self):
        return self.call("kms", "create_key")["KeyMetadata"]["Arn"]


class Front:
    """A server of the test before another one: hook(method, path, headers, body) answers, or returns None and the
    request goes on as it came. requests has what came."""

    def __init__(self, target, hook):
        front = self
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                front.requests.append((self.command, self.path, dict(self.headers), body))
                code, headers, reply = (hook(self.command, self.path, self.headers, body) or
                                        front.forward(self.command, self.path, self.headers, body))
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_PUT = do_POST = answer

            def log_message(self, *args):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64  # with the 5 of the library, a sixteenth caller is heard a second later

            def handle_error(self, request, address):
                """A connection that either side ends is no news."""
                if not isinstance(sys.exc_info()[1], (ConnectionError, threading.BrokenBarrierError)):
                    super().handle_error(request, address)

        self.target = target
        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def forward(self, method, path, headers, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=30)
        connection.request(method, path, body, dict(headers))
        reply = connection.getresponse()
        data = reply.read()
        connection.close()
        return reply.status, {"Content-Type": reply.getheader("Content-Type", "")}, data

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def front(target, hook):
    f = Front(target, hook)
    try:
        yield f
    finally:
        f.close()


def error(code, kind, message=""):
    return code, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps({"__type": kind, "message": message}).encode()


def check_time(method, path, headers, body):
    """What AWS does with X-Amz-Date, five minutes either way; its documented answers."""
    stamp = re.fullmatch(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", headers.get("X-Amz-Date", ""))
    if not stamp:
        return error(400, "IncompleteSignatureException")
    then = datetime.datetime(*map(int, stamp.groups()), tzinfo=datetime.timezone.utc).timestamp()
    if abs(time.time() - then) > 300:
        return error(400, "InvalidSignatureException", "Signature not yet current or expired")
    return None


class AwsCase(lab.Case):
    """A server at self.port; self.entry() is an entry of kms: for it."""

    @classmethod
    def entry(cls, key, **more):
        return {"provider": "aws", "key": key, "region": REGION, "endpoint": cls.url, "stsEndpoint": cls.url, **more}

    def environment(self, key=None, secret=None, token=None, **more):
        values = {"HOME": self.lab.dir, "AWS_EC2_METADATA_DISABLED": "true"}
        if key:
            values.update(AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret)
        if token:
            values["AWS_SESSION_TOKEN"] = token
        values.update(more)
        return values

    def shifted(self, seconds):
        """The environment of a machine whose clock is wrong."""
        source = self.lab.write("shift.c", """#define _GNU_SOURCE
            #include <dlfcn.h>
            #include <time.h>
            int clock_gettime(clockid_t id, struct timespec *ts) {
                static int (*real)(clockid_t, struct timespec *);
                if (real == NULL) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
                int ret = real(id, ts);
                if (id == CLOCK_REALTIME) ts->tv_sec += SHIFT;
                return ret;
            }""")
        library = self.lab.path(f"shift{seconds}.so")
        subprocess.run(["cc", "-shared", "-fPIC", f"-DSHIFT=({seconds})", "-o", library, source, "-ldl"], check=True,
                       timeout=60)
        return {"LD_PRELOAD": library}


class Moto(AwsCase):
    @classmethod
    def start(cls):
        where = lab.peer("moto")
        cls.port = cls.lab.port()
        cls.url = f"http://127.0.0.1:{cls.port}"
        cls.lab.start([os.path.join(where, "moto_server"), "-H", "127.0.0.1", "-p", str(cls.port)],
                      cls.url + "/moto-api/")
        admin = Boto(os.path.join(where, "python"), cls.url)
        cls.python = admin.python
        cls.key_arn = admin.new_key()
        cls.key_id = cls.key_arn.split("/")[-1]
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["kms:*", "sts:*"],
                                                          "Resource": "*"}]}
        decrypt = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["kms:Decrypt"],
                                                           "Resource": "*"}]}
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"},
                                                         "Action": "sts:AssumeRole"}]}
        cls.role = f"arn:aws:iam::{ACCOUNT['moto']}:role/mongod"
        replies = admin.calls(
            ["kms", "create_alias", {"AliasName": "alias/db", "TargetKeyId": cls.key_id}],
            ["iam", "create_user", {"UserName": "mongod"}],
            ["iam", "put_user_policy", {"UserName": "mongod", "PolicyName": "p", "PolicyDocument": json.dumps(policy)}],
            ["iam", "create_user", {"UserName": "reader"}],
            ["iam", "put_user_policy", {"UserName": "reader", "PolicyName": "p", "PolicyDocument": json.dumps(decrypt)}],
            ["iam", "create_role", {"RoleName": "mongod", "AssumeRolePolicyDocument": json.dumps(trust)}],
            ["iam", "put_role_policy", {"RoleName": "mongod", "PolicyName": "p", "PolicyDocument": json.dumps(policy)}],
            ["iam", "create_access_key", {"UserName": "mongod"}],
            ["iam", "create_access_key", {"UserName": "reader"}])
        cls.keys = [r["AccessKey"]["AccessKeyId"] for r in replies[-2:]]
        cls.secrets = [r["AccessKey"]["SecretAccessKey"] for r in replies[-2:]]
        request = urllib.request.Request(cls.url + "/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()
        cls.boto = Boto(cls.python, cls.url, cls.keys[0], cls.secrets[0])

    def user(self, number=0, **more):
        return self.environment(self.keys[number], self.secrets[number], **more)

    def session_keys(self):
        answer = self.boto.call("sts", "assume_role", RoleArn=self.role, RoleSessionName="test")
        return answer["Credentials"]

    def test_names_of_the_key(self):
        """ARN, id, alias and alias ARN wrap; what is recorded is the key's ARN."""
        alias = self.key_arn.split(":key/")[0] + ":alias/db"
        for name in (self.key_arn, self.key_id, "alias/db", alias):
            with self.subTest(name):
                config = self.lab.config(self.entry(name))
                wrapped = self.wrapped(config, environment=self.user())
                self.assertEqual(wrapped["key_id"], self.key_arn)
                self.assertEqual(wrapped["credential"], "environment")
                self.opens(config, wrapped, environment=self.user())

    def test_boto_opens_ours_and_we_open_its(self):
        config = self.lab.config(self.entry(self.key_arn))
        wrapped = self.wrapped(config, environment=self.user())
        opened = self.boto.call("kms", "decrypt", CiphertextBlob={"b64": wrapped["wrapped"]}, KeyId=self.key_id,
                                EncryptionContext=encryption_context())
        self.assertEqual(base64.b64decode(opened["Plaintext"]["b64"]), PLAINTEXT)
        its = self.boto.call("kms", "encrypt", KeyId=self.key_id, Plaintext={"b64": b64(b"theirs")},
                             EncryptionContext=encryption_context())
        self.opens(config, {"wrapped": its["CiphertextBlob"]["b64"], "key_id": self.key_arn}, b"theirs",
                   environment=self.user())

    def test_context_is_enforced(self):
        config = self.lab.config(self.entry(self.key_arn))
        wrapped = self.wrapped(config, environment=self.user())
        for other in ({"scope": "tenantA"}, {"master_key_id": 5}, {"uuid": "f" * 32}):
            self.fails(self.lab.unwrap(config, wrapped, context=other, environment=self.user()), "corrupt",
                       "InvalidCiphertextException", "Decrypt")

    def test_wrong_secret_and_unknown_key(self):
        config = self.lab.config(self.entry(self.key_arn))
        secret = "0" + self.secrets[0][1:]
        answer = self.fails(self.lab.wrap(config, environment=self.environment(self.keys[0], secret)),
                            "unauthenticated", "SignatureDoesNotMatch", "environment", "clock")
        self.assertNotIn(secret, json.dumps(answer))
        self.assertNotIn(self.secrets[0], json.dumps(answer))
        self.fails(self.lab.wrap(config, environment=self.environment("AKIAIOSFODNN7EXAMPLE", secret)),
                   "unauthenticated", "InvalidClientTokenId")

    def test_key_that_does_not_exist(self):
        config = self.lab.config(self.entry(self.key_arn[:-12] + "0" * 12))
        self.fails(self.lab.wrap(config, environment=self.user()), "not found", "NotFoundException", REGION)
        self.fails(self.lab.describe(config, environment=self.user()), "not found", "DescribeKey")

    def test_policy_refuses(self):
        config = self.lab.config(self.entry(self.key_arn))
        wrapped = self.wrapped(config, environment=self.user())
        self.opens(config, wrapped, environment=self.user(1))
        self.fails(self.lab.wrap(config, environment=self.user(1)), "denied", "AccessDenied",
                   '"Action":"kms:Encrypt"', self.key_arn)

    def test_profiles(self):
        """Files with a role over a source profile, and one named by the entry before the environment."""
        home = self.lab.path("profiles")
        os.makedirs(home + "/.aws", exist_ok=True)
        self.lab.write("profiles/.aws/credentials", f"[base]\naws_access_key_id = {self.keys[0]}\n"
                       f"aws_secret_access_key = {self.secrets[0]}\n")
        self.lab.write("profiles/.aws/config", f"[default]\nregion = {REGION}\nrole_arn = {self.role}\n"
                       "source_profile = base\nexternal_id = 7f3c\nrole_session_name = from-profile\n"
                       "[profile loop]\nrole_arn = {0}\nsource_profile = loop2\n[profile loop2]\nrole_arn = {0}\n"
                       "source_profile = loop\n".format(self.role), 0o644)
        config = self.lab.config(self.entry(self.key_arn))
        wrapped = self.wrapped(config, environment=self.environment(HOME=home))
        self.assertEqual(wrapped["credential"], self.role)
        config = self.lab.config(self.entry(self.key_arn, profile="base"))
        wrong = self.environment("AKIAIOSFODNN7EXAMPLE", "x", HOME=home)
        self.assertEqual(self.wrapped(config, environment=wrong)["credential"], "profile base")
        self.fails(self.lab.wrap(self.lab.config(self.entry(self.key_arn, profile="none")), environment=wrong), "configuration",
                   "no such profile")
        self.fails(self.lab.wrap(self.lab.config(self.entry(self.key_arn, profile="loop")), environment=wrong), "configuration",
                   "its own source_profile")
        os.chmod(home + "/.aws/credentials", 0o644)
        self.fails(self.lab.wrap(config, environment=wrong), "configuration", "credentials")

    def test_replaced_keys_are_found_without_a_restart(self):
        """Keys removed while the client is open: the shared file is read again."""
        path = self.lab.write("rotating", f"[default]\naws_access_key_id=AKIAIOSFODNN7EXAMPLE\n"
                              f"aws_secret_access_key={self.secrets[0]}\n")
        config = self.lab.config(self.entry(self.key_arn, credentialsFile=path))
        session = self.lab.session(config, "wrap", environment=self.environment())
        try:
            self.fails(session.ask({**CONTEXT, "plaintext": b64(PLAINTEXT)}), "unauthenticated")
            self.lab.write("rotating", f"[default]\naws_access_key_id={self.keys[0]}\n"
                           f"aws_secret_access_key={self.secrets[0]}\n")
            self.assertTrue(session.ask({**CONTEXT, "plaintext": b64(PLAINTEXT)})["ok"])
        finally:
            session.close()

    def test_role_with_external_id(self):
        with front(self.port, lambda *request: None) as f:
            config = self.lab.config(self.entry(self.key_arn, roleArn=self.role, externalId="7f3c",
                                                sessionName="rs0 a/b", stsEndpoint=f.url))
            wrapped = self.wrapped(config, environment=self.user())
            self.assertEqual(wrapped["credential"], self.role)
            body = f.requests[0][3].decode()
            self.assertIn("ExternalId=7f3c", body)
            self.assertIn("RoleSessionName=rs0-a-b", body)

    def test_role_session_names_the_host(self):
        """What an auditor reads in CloudTrail, where the configuration gives no name."""
        with front(self.port, lambda *request: None) as f:
            self.wrapped(self.lab.config(self.entry(self.key_arn, roleArn=self.role, stsEndpoint=f.url)),
                         environment=self.user())
            host = re.sub(r"[^A-Za-z0-9_+=,.@-]", "-", socket.gethostname())
            self.assertIn(f"RoleSessionName=wtkms-{host}"[:16 + 64], urllib.parse.unquote(f.requests[0][3].decode()))

    def instance(self, lifetime=3600):
        """The metadata service of an instance, IMDSv2 alone; its credentials are moto's."""
        seen = []

        def hook(method, path, headers, body):
            plain = {"Content-Type": "text/plain"}
            if path == "/latest/api/token":
                ttl = headers.get("X-aws-ec2-metadata-token-ttl-seconds")
                return (200, plain, b"TOKEN") if method == "PUT" and ttl else (400, plain, b"")
            if headers.get("X-aws-ec2-metadata-token") != "TOKEN":
                return 401, plain, b""
            if path.endswith("/security-credentials/"):
                return 200, plain, b"mongod-role"
            if not path.endswith("/security-credentials/mongod-role"):
                return 404, plain, b""
            keys = self.session_keys()
            end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=lifetime)
            seen.append(keys["AccessKeyId"])
            return 200, plain, json.dumps({
                "Code": "Success", "AccessKeyId": keys["AccessKeyId"], "SecretAccessKey": keys["SecretAccessKey"],
                "Token": keys["SessionToken"], "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ")}).encode()
        return hook, seen

    def test_instance(self):
        hook, seen = self.instance()
        with front(self.port, hook) as f:
            config = self.lab.config(self.entry(self.key_arn))
            environment = self.environment(AWS_EC2_METADATA_SERVICE_ENDPOINT=f.url, AWS_EC2_METADATA_DISABLED="false")
            wrapped = self.wrapped(config, environment=environment)
            self.assertEqual(wrapped["credential"], "instance role mongod-role")
            self.assertEqual([(r[0], r[1]) for r in f.requests],
                             [("PUT", "/latest/api/token"), ("GET", "/latest/meta-data/iam/security-credentials/"),
                              ("GET", "/latest/meta-data/iam/security-credentials/mongod-role")])
            environment["AWS_EC2_METADATA_DISABLED"] = "true"
            self.fails(self.lab.wrap(config, environment=environment), "unauthenticated", "no AWS credentials",
                       id="kms-no-credentials")
            self.assertEqual(len(f.requests), 3)

    def test_credentials_are_refreshed_before_they_expire(self):
        hook, seen = self.instance(lifetime=4)
        with front(self.port, hook) as f:
            config = self.lab.config(self.entry(self.key_arn))
            environment = self.environment(AWS_EC2_METADATA_SERVICE_ENDPOINT=f.url, AWS_EC2_METADATA_DISABLED="false")
            session = self.lab.session(config, "wrap", environment=environment)
            try:
                for number, pause in ((1, 0), (1, 3.5), (2, 0)):
                    self.assertTrue(session.ask({**CONTEXT, "plaintext": b64(PLAINTEXT)})["ok"])
                    self.assertEqual(len(seen), number)
                    time.sleep(pause)
            finally:
                session.close()

    def test_container(self):
        keys = self.session_keys()
        token = self.lab.write("container-token", "Bearer of-the-pod\n")

        def hook(method, path, headers, body):
            if headers.get("Authorization") != "Bearer of-the-pod" or path != "/v1/credentials?id=1":
                return 403, {"Content-Type": "text/plain"}, b"no"
            return 200, {"Content-Type": "application/json"}, json.dumps({
                "AccessKeyId": keys["AccessKeyId"], "SecretAccessKey": keys["SecretAccessKey"],
                "Token": keys["SessionToken"], "Expiration": "2099-01-01T00:00:00Z", "RoleArn": self.role}).encode()
        config = self.lab.config(self.entry(self.key_arn))
        with front(self.port, hook) as f:
            uri = f.url + "/v1/credentials?id=1"
            environment = self.environment(AWS_CONTAINER_CREDENTIALS_FULL_URI=uri,
                                           AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=token)
            self.assertEqual(self.wrapped(config, environment=environment)["credential"], self.role)
            environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = uri.replace("127.0.0.1", "example.org")
            self.fails(self.lab.wrap(config, environment=environment), "configuration", "FULL_URI",
                       id="kms-aws-container")

    def test_clock_wrong_by_an_hour(self):
        with front(self.port, check_time) as f:
            config = self.lab.config(self.entry(self.key_arn, endpoint=f.url, stsEndpoint=f.url, roleArn=self.role))
            for seconds in (3600, -3600):
                before = len(f.requests)
                wrapped = self.wrapped(config, environment=self.user(**self.shifted(seconds)))
                self.opens(config, wrapped, environment=self.user(**self.shifted(seconds)))
                # AssumeRole twice, the second one right; Encrypt once: the clock stays corrected.
                self.assertEqual(len(f.requests) - before, 2 * 3)

    def test_credential_process(self):
        """wtkms runs it, without a shell; the engine's own client does not."""
        script = self.lab.write("issue keys", "#!/bin/sh\nprintf '{\"Version\":1,\"AccessKeyId\":\"%s\","
                                f"\"SecretAccessKey\":\"%s\"}}' \"$1\" '{self.secrets[0]}'\n", 0o700)
        os.makedirs(self.lab.path("process/.aws"), exist_ok=True)
        self.lab.write("process/.aws/config", f"[default]\ncredential_process = '{script}' {self.keys[0]} ;touch x\n")
        environment = self.environment(HOME=self.lab.path("process"))
        config = self.lab.config(self.entry(self.key_arn))
        self.fails(self.lab.wrap(config, environment=environment), "configuration", "not run inside a database")
        home = self.lab.path("process-home")
        os.mkdir(home)
        self.lab.wtkms("init", home, "--config", config, "--module", lab.MODULE, environment=environment)
        self.assertIn(self.key_arn, self.lab.wtkms("status", home, "--config", config, environment=environment).stdout)
        self.assertFalse(os.path.exists("x") or os.path.exists(os.path.join(home, "x")))

    def test_database(self):
        config = self.lab.config(self.entry("alias/db", roleArn=self.role))
        home = self.lab.check_database(config, environment=self.user())
        shown = json.loads(self.lab.wtkms("keystore", "show", home, "--format", "json").stdout)
        self.assertIn(self.key_arn, json.dumps(shown))
        self.assertIn(self.role, json.dumps(shown))
        result = self.lab.engine(home, "dump", "table:t", environment=self.environment(self.keys[0], "wrong"), check=False)
        self.assertNotEqual(result.returncode, 0)


class LocalStack(AwsCase):
    seconds = 40

    @classmethod
    def start(cls):
        where = lab.peer("localstack")
        cls.port = cls.lab.port()
        cls.url = f"http://127.0.0.1:{cls.port}"
        cls.lab.start([os.path.join(where, "python"), "-m", "localstack.runtime.main"], cls.url + "/_localstack/health",
                      {"GATEWAY_LISTEN": f"127.0.0.1:{cls.port}", "DNS_ADDRESS": "0", "SKIP_SSL_CERT_DOWNLOAD": "1",
                       "DISABLE_EVENTS": "1", "LOCALSTACK_VOLUME_DIR": cls.lab.path("volume"),
                       "FILESYSTEM_ROOT": cls.lab.path("root"), "HOME": cls.lab.dir}, seconds=120)
        cls.boto = Boto(os.path.join(where, "python"), cls.url)

    def user(self):
        return self.environment("test", "test")

    def key(self):
        arn = self.boto.new_key()
        config = self.lab.config(self.entry(arn))
        return arn, config, self.wrapped(config, environment=self.user())

    def test_disabled_and_enabled_again(self):
        arn, config, wrapped = self.key()
        self.boto.call("kms", "disable_key", KeyId=arn)
        self.fails(self.lab.unwrap(config, wrapped, environment=self.user()), "disabled", "enable-key",
                   id="kms-disabled")
        described = self.lab.describe(config, environment=self.user())
        self.assertEqual((described["state"], described["key_id"]), ("disabled", arn))
        self.boto.call("kms", "enable_key", KeyId=arn)
        self.opens(config, wrapped, environment=self.user())
        self.assertEqual(self.lab.describe(config, key_id=arn, environment=self.user())["state"], "enabled")

    def test_pending_deletion_and_cancelled(self):
        arn, config, wrapped = self.key()
        end = self.boto.call("kms", "schedule_key_deletion", KeyId=arn, PendingWindowInDays=7)["DeletionDate"]
        self.fails(self.lab.unwrap(config, wrapped, environment=self.user()), "disabled", "KMSInvalidStateException",
                   "pending deletion on " + end[:10], "cancel-key-deletion")
        described = self.lab.describe(config, environment=self.user())
        self.assertEqual((described["state"], described["detail"]), ("pending deletion", "pending deletion on " + end[:10]))
        self.boto.calls(["kms", "cancel_key_deletion", {"KeyId": arn}], ["kms", "enable_key", {"KeyId": arn}])
        self.opens(config, wrapped, environment=self.user())

    def test_state_that_nobody_may_ask_stops_no_database(self):
        """Pending deletion without kms:DescribeKey: the state is not known, so nothing is decided."""
        arn, config, wrapped = self.key()
        self.boto.call("kms", "schedule_key_deletion", KeyId=arn, PendingWindowInDays=7)

        def hook(method, path, headers, body):
            if headers.get("X-Amz-Target", "").endswith("DescribeKey"):
                return error(400, "AccessDeniedException", "not authorized to perform: kms:DescribeKey")
            return None
        with front(self.port, hook) as f:
            config = self.lab.config(self.entry(arn, endpoint=f.url))
            self.fails(self.lab.unwrap(config, wrapped, environment=self.user()), "unavailable", "kms:DescribeKey")

    def test_key_store_that_is_away(self):
        arn, config, wrapped = self.key()

        def hook(method, path, headers, body):
            if headers.get("X-Amz-Target", "").endswith("DescribeKey"):
                return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(
                    {"KeyMetadata": {"Arn": arn, "KeyState": "Unavailable"}}).encode()
            return error(400, "com.amazonaws.kms#KMSInvalidStateException", "")
        with front(self.port, hook) as f:
            config = self.lab.config(self.entry(arn, endpoint=f.url))
            self.fails(self.lab.unwrap(config, wrapped, environment=self.user()), "unavailable", "key store")

    def test_deleted(self):
        arn, config, wrapped = self.key()
        other = arn[:-12] + "0" * 12
        config = self.lab.config(self.entry(other))
        self.fails(self.lab.unwrap(config, wrapped, key_id=other, environment=self.user()), "not found",
                   "NotFoundException", id="kms-not-found")

    def test_alias_moved(self):
        """The alias points to another key: what the first one wrapped still opens, new wraps use the second."""
        first, second = self.boto.new_key(), self.boto.new_key()
        self.boto.call("kms", "create_alias", AliasName="alias/moving", TargetKeyId=first.split("/")[-1])
        config = self.lab.config(self.entry("alias/moving"))
        wrapped = self.wrapped(config, environment=self.user())
        self.assertEqual(wrapped["key_id"], first)
        self.boto.call("kms", "update_alias", AliasName="alias/moving", TargetKeyId=second.split("/")[-1])
        self.opens(config, wrapped, environment=self.user())
        self.assertEqual(self.wrapped(config, environment=self.user())["key_id"], second)

    def test_rotated_in_the_service(self):
        arn, config, wrapped = self.key()
        self.assertNotIn("error", self.boto.call("kms", "rotate_key_on_demand", KeyId=arn))
        newer = self.wrapped(config, environment=self.user())
        self.assertEqual(newer["key_id"], arn)
        self.opens(config, wrapped, environment=self.user())
        self.opens(config, newer, environment=self.user())

    def test_wrong_context_and_changed_bytes(self):
        arn, config, wrapped = self.key()
        self.fails(self.lab.unwrap(config, wrapped, context={"scope": "x"}, environment=self.user()), "corrupt",
                   "InvalidCiphertextException")
        data = bytearray(base64.b64decode(wrapped["wrapped"]))
        data[-1] ^= 1
        self.fails(self.lab.unwrap(config, {**wrapped, "wrapped": b64(data)}, environment=self.user()), "corrupt")

    def test_key_that_is_not_configured(self):
        """Another account's or region's key is not asked for, whatever the keystore says."""
        arn, config, wrapped = self.key()
        for other in (self.boto.new_key(), arn.replace(ACCOUNT["localstack"], "111122223333"),
                      arn.replace(REGION, "us-east-1")):
            self.fails(self.lab.unwrap(config, wrapped, key_id=other, environment=self.user()), "refused")
        self.fails(self.lab.unwrap(config, wrapped, key_id=arn.replace("aws", "evil", 1), environment=self.user()), "corrupt")

    def test_web_identity(self):
        """moto with verified signatures has no answer to this unsigned call, so it is asked here."""
        arn = self.boto.new_key()
        role = f"arn:aws:iam::{ACCOUNT['localstack']}:role/mongod"
        token = self.lab.write("token", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln\n", 0o644)
        environment = self.environment(AWS_WEB_IDENTITY_TOKEN_FILE=token, AWS_ROLE_ARN=role)
        with front(self.port, lambda *request: None) as f:
            config = self.lab.config(self.entry(arn, stsEndpoint=f.url))
            self.assertEqual(self.wrapped(config, environment=environment)["credential"], role)
            self.assertIn(b"WebIdentityToken=eyJhbGciOiJSUzI1NiJ9.e30.c2ln", f.requests[0][3])
            self.assertNotIn("Authorization", f.requests[0][2])
            config = self.lab.config(self.entry(arn, roleArn=role, webIdentityTokenFile=token))
            self.assertEqual(self.wrapped(config, environment=self.environment())["credential"], role)

    def test_boto_opens_ours(self):
        arn, config, wrapped = self.key()
        opened = self.boto.call("kms", "decrypt", CiphertextBlob={"b64": wrapped["wrapped"]}, KeyId=arn,
                                EncryptionContext=encryption_context())
        self.assertEqual(base64.b64decode(opened["Plaintext"]["b64"]), PLAINTEXT)

    def test_database_disabled_and_enabled_again(self):
        arn = self.boto.new_key()
        config = self.lab.config(self.entry(arn, retryFor="0"))
        home = self.lab.check_database(config, environment=self.user())
        self.boto.call("kms", "disable_key", KeyId=arn)
        result = self.lab.engine(home, "dump", "table:t", environment=self.user(), check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(b"DisabledException", result.stderr + result.stdout)
        self.boto.call("kms", "enable_key", KeyId=arn)
        self.assertEqual(self.lab.rows(home, environment=self.user()), 1000)
