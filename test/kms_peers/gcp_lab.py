"""test/kms_peers/gcp_lab.py -- The double of Google Cloud KMS (test/peers/gcp_double.py) with a key ring, and
Google's own client beside it."""
import base64
import json
import os
import urllib.request

import lab

PEERS = os.path.join(lab.SOURCE, "test", "peers")
PROJECT = "projects/wtkms-test"
RING = PROJECT + "/locations/europe-west1/keyRings/databases"
ACCOUNT = "database@wtkms-test.iam.gserviceaccount.com"
TARGET = "keys@wtkms-test.iam.gserviceaccount.com"
MACHINE = "machine@wtkms-test.iam.gserviceaccount.com"

# What google.api_core raises over REST, where the HTTP status decides, for a google.rpc status.
REST_EXCEPTIONS = {
    "ALREADY_EXISTS": "Conflict", "NOT_FOUND": "NotFound", "INVALID_ARGUMENT": "BadRequest",
    "FAILED_PRECONDITION": "BadRequest", "PERMISSION_DENIED": "Forbidden", "UNAUTHENTICATED": "Unauthorized",
    "UNAVAILABLE": "ServiceUnavailable", "INTERNAL": "InternalServerError",
    "RESOURCE_EXHAUSTED": "TooManyRequests"}


class Case(lab.Case):
    @classmethod
    def start(cls):
        cls.python = lab.peer("gcp")
        cls.port = cls.lab.port()
        cls.url = f"http://127.0.0.1:{cls.port}"
        cls.lab.start([cls.python, "-B", os.path.join(PEERS, "gcp_double.py"), "--port", str(cls.port),
                       "--dir", cls.lab.dir], cls.url)
        cls.account = cls.lab.path("account.json")
        cls.session = lab.Session(
            [cls.python, "-B", os.path.join(PEERS, "gcp_client.py"), "--endpoint", cls.url],
            lab.clean_environment({"GCE_METADATA_HOST": f"127.0.0.1:{cls.port}", "NO_GCE_CHECK": "true"}))
        cls.first = cls.control("state")
        cls.google("create_ring", parent=RING.rpartition("/keyRings/")[0], id="databases")

    @classmethod
    def tearDownClass(cls):
        cls.session.close()
        super().tearDownClass()

    def tearDown(self):
        self.control("state", {**self.first, "faults": []})

    @classmethod
    def control(cls, what, content=None):
        data = None if content is None else json.dumps(content).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{cls.url}/_double/{what}", data, 20) as reply:
            return json.load(reply)

    @classmethod
    def google(cls, op, credentials=None, **fields):
        """An answer of Google's client, which must be no exception."""
        answer = cls.session.ask({"op": op, "credentials": credentials or cls.account, **fields})
        if not answer["ok"]:
            raise AssertionError(f"{op}: {answer}")
        return answer

    def google_fails(self, exception, op, credentials=None, **fields):
        """It raised that exception, or one of a call with that google.rpc status."""
        answer = self.session.ask({"op": op, "credentials": credentials or self.account, **fields})
        self.assertFalse(answer["ok"], answer)
        self.assertEqual(answer["exception"], REST_EXCEPTIONS.get(exception, exception), answer)
        if exception in REST_EXCEPTIONS:
            self.assertEqual(answer["status"], exception, answer)
        return answer

    @classmethod
    def new_key(cls, name):
        return cls.google("create_key", parent=RING, id=name)["name"]

    def faults(self, method, *kinds):
        self.control("state", {"faults": [{"method": method, "kind": kind} for kind in kinds]})


def b64(data):
    return base64.b64encode(data).decode()
