"""test/kms_peers/test_access.py -- What an engine costs a key service, and what it does when that takes the key away:
real databases with moto and LocalStack. Hours pass by a clock that the test moves on."""
import datetime
import json
import os
import re
import subprocess
import threading
import time
import unittest

import lab
import test_aws
from test_aws import Boto, error, front

HOST = os.path.join(lab.BUILD, "access_host")
LONG = os.environ.get("WTKMS_LONG", "0") != "0"
MINUTE = 60


class Host:
    """access_host on a home: it writes some fifty rows a second until it is let go."""

    def __init__(self, case, home, environment, clock=None):
        self.case, self.home = case, home
        self.log = case.lab.path(f"host-{case.id()}-{time.monotonic_ns()}.log")
        environment = {**environment, **(clock.environment if clock else {})}
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen([HOST, home], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT,
                                            env=case.lab.engine_environment(environment))
        case.addCleanup(self.end)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()

    def said(self):
        with open(self.log, errors="replace") as file:
            return file.read()

    def access(self):
        """Last result of each recipient: (class, when)."""
        state = json.loads(self.case.lab.wtkms("status", self.home, "--format", "json", check=False).stdout)
        return [(a["class"], a["time"]) for a in state["access"]]

    def wait(self, what, condition, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.case.assertIsNone(self.process.poll(), self.said())
            if condition():
                return
            time.sleep(0.1)
        self.case.fail(f"never: {what}: {self.access()}\n{self.said()}")

    def wait_classes(self, *classes):
        self.wait(classes, lambda: [c for c, _ in self.access()] == list(classes))

    def wait_checks(self, count):
        for _ in range(count):
            before = self.access()
            self.wait("another check", lambda: self.access() != before)

    def terms(self):
        return self.said().count("SIGTERM\n")

    def finish(self):
        """Let it close; how long that took by its own clock, in milliseconds."""
        self.process.stdin.close()
        self.process.wait(60)
        self.case.assertEqual(self.process.returncode, 0, self.said())
        return int(re.search(r"closed in (\d+) ms", self.said()).group(1))


class Served(test_aws.AwsCase):
    """moto; who asks is not what is tested here."""

    @classmethod
    def start(cls):
        if not os.access(HOST, os.X_OK):
            lab.missing("access_host is not built: that needs libwiredtiger-dev")
        where = lab.peer("moto")
        cls.port = cls.lab.port()
        cls.url = f"http://127.0.0.1:{cls.port}"
        cls.lab.start([os.path.join(where, "moto_server"), "-H", "127.0.0.1", "-p", str(cls.port)],
                      cls.url + "/moto-api/")
        cls.boto = Boto(os.path.join(where, "python"), cls.url)

    def user(self):
        return self.environment("test", "test")

    def home(self, name, entries, more="", **kwargs):
        config = self.lab.config(*entries, more=more, name=name + ".conf")
        return self.lab.database(config, name=name, rows=10, environment=self.user())


class Open(Served):
    """One call for each scope, and all of them at once."""

    seconds = 50
    DELAY = 1.0

    def test_calls_and_latency_of_an_open(self):
        for scopes in (1, 4, 16):
            together, delay, known = [None], [0.0], {}

            def hook(method, path, headers, body):
                """moto answers once; then the same at once, or when the delay is over."""
                if together[0] is not None:
                    together[0].wait(30)  # each waits until all have come; broken otherwise, which closes
                time.sleep(delay[0])
                if headers["X-Amz-Target"].endswith(".Decrypt") and body not in known:
                    known[body] = f.forward(method, path, headers, body)
                return known.get(body)
            with self.subTest(scopes=scopes), front(self.port, hook) as f:
                keys = [self.boto.new_key() for _ in range(scopes)]
                tenants = [f"t{i}" for i in range(1, scopes)]
                more = "access: {checkInterval: 7d}\nkeys:\n" if tenants else "access: {checkInterval: 7d}\n"
                more += "".join(f"  {t}: {{kms: [{json.dumps(self.entry(k, endpoint=f.url))}]}}\n"
                                for t, k in zip(tenants, keys[1:]))
                home = self.home(f"open{scopes}", [self.entry(keys[0], endpoint=f.url)], more)
                for tenant in tenants:
                    self.lab.engine(home, "create", "-c", f"encryption=(name=kms,keyid={tenant})", f"table:{tenant}",
                                    environment=self.user())

                def opened():
                    del f.requests[:]
                    start = time.monotonic()
                    self.assertEqual(self.lab.engine(home, "list", "table:t", environment=self.user()).returncode, 0)
                    took = time.monotonic() - start
                    self.assertEqual([r[2]["X-Amz-Target"] for r in f.requests], ["TrentService.Decrypt"] * scopes)
                    return took
                together[0] = threading.Barrier(scopes)
                opened()
                together[0] = None
                quick = min(opened() for _ in range(3))
                delay[0] = self.DELAY
                slow = min(opened() for _ in range(3))
                print(f"# {scopes} scopes: {scopes} calls, an open takes {quick:.2f} s, and {slow - quick:.2f} s more when each "
                      f"answer takes {self.DELAY} s")
                self.assertGreater(slow, self.DELAY)
                if scopes > 1:  # one after the other would be all of them
                    self.assertLess(slow - quick, 0.75 * scopes * self.DELAY)


class Running(Served):
    seconds = 40

    def start_host(self, name, hook, more):
        f = self.enterContext(front(self.port, hook))
        home = self.home(name, [self.entry(self.boto.new_key(), endpoint=f.url, timeout="2s")], more)
        clock = lab.Clock(self.lab)
        host = Host(self, home, self.user(), clock)
        host.wait("open", lambda: "open\n" in host.said())
        return f, home, clock, host

    def test_calls_of_an_idle_node(self):
        """One a recipient and interval: with 15 minutes 96 a day."""
        f, _, _, host = self.start_host("idle", lambda *request: None, "access: {checkInterval: 1s}\n")
        host.wait_classes("ok")
        del f.requests[:]
        time.sleep(10)
        targets = [r[2]["X-Amz-Target"] for r in list(f.requests)]
        self.assertEqual(set(targets), {"TrentService.Decrypt"})
        self.assertIn(len(targets), (9, 10, 11))
        print(f"# {len(targets)} calls in 10 intervals")
        host.finish()

    def test_every_answer_that_stops_nothing(self):
        """A day of each, while the host writes: it is told once, and the database goes on."""
        answers = {
            "denied": error(400, "AccessDeniedException", "User: x is not authorized to perform: kms:Decrypt"),
            "unauthenticated": error(400, "UnrecognizedClientException", "The security token included is invalid."),
            "unavailable": error(400, "ThrottlingException", "Rate exceeded"),
            "bad reply": (200, {"Content-Type": "text/html"}, b"<html>a proxy's page</html>"),
        }
        now = [None]
        _, home, clock, host = self.start_host("rows", lambda *request: now[0], "access: {checkInterval: 1s}\n")
        host.wait_classes("ok")
        for name, answer in answers.items():
            with self.subTest(name):
                now[0] = answer
                host.wait_classes(name)
                for _ in range(2):
                    clock.move(12 * 3600)
                    host.wait_checks(1)
                now[0] = None
                host.wait_classes("ok")
        self.assertLess(host.finish(), 5000)
        said = host.said()
        self.assertEqual(host.terms(), 0, said)
        for name in answers:
            self.assertEqual(len(re.findall(rf'scope "default": {name}: ', said)), 1, said)
        self.assertEqual(said.count("a customer key opens the keystore again"), len(answers), said)
        self.assertEqual(said.count("the database goes on"), len(answers), said)

    def test_three_that_hang_delay_as_one(self):
        """A check takes one timeout, whatever the number of recipients; a close waits for none of them."""
        hanging, let_go, now, most = [False], threading.Event(), [0], [0]
        lock = threading.Lock()

        def hook(method, path, headers, body):
            if not hanging[0]:
                return None
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            let_go.wait(60)
            with lock:
                now[0] -= 1
            raise ConnectionAbortedError
        f = self.enterContext(front(self.port, hook))
        entries = [self.entry(self.boto.new_key(), endpoint=f.url, timeout="30s") for _ in range(3)]
        home = self.home("hangs", entries, "access: {checkInterval: 1s}\n")
        host = Host(self, home, self.user())
        host.wait_classes("ok", "ok", "ok")
        hanging[0] = True
        host.wait("three calls in flight", lambda: most[0] == 3)
        self.assertLess(host.finish(), 3000)
        self.assertNotIn("unavailable", host.said())
        let_go.set()
        let_go.clear()
        entries = [{**entry, "timeout": "4s"} for entry in entries]
        config = self.lab.config(*entries)
        begun = time.monotonic()
        report = json.loads(self.lab.wtkms("status", home, "--check", "--config", config, "--format", "json",
                                           environment=self.user(), check=False).stdout)
        took = time.monotonic() - begun
        let_go.set()
        self.assertEqual([a["class"] for a in report["access"]], ["unavailable"] * 3)
        asked = [datetime.datetime.fromisoformat(a["time"].replace("Z", "+00:00")) for a in report["access"]]
        self.assertLess((max(asked) - min(asked)).total_seconds(), 3)
        self.assertLess(took, 25, report["access"])  # an open that proves the seal tries one after the other before

    def test_unreachable_for_days_and_back(self):
        def hook(method, path, headers, body):
            if away[0]:
                raise ConnectionAbortedError  # no answer
            return None
        away = [False]
        _, home, clock, host = self.start_host("away", hook, "access: {checkInterval: 1s}\n")
        host.wait_classes("ok")
        away[0] = True
        host.wait_classes("unavailable")
        begun = time.monotonic()
        for _ in range(3):
            clock.move(24 * 3600)
            host.wait_checks(1)
        lasted = time.monotonic() - begun
        self.assertEqual(host.terms(), 0)
        away[0] = False
        host.wait_classes("ok")
        host.finish()
        self.assertEqual(host.said().count("no customer key can be reached; the database goes on"), 1, host.said())
        self.assertEqual(host.said().count("a customer key opens the keystore again"), 1, host.said())
        rows = self.lab.engine(home, "dump", "table:host", environment=self.user()).stdout.count(b"value\\00\n")
        self.assertGreater(rows, 5 * lasted)  # of fifty a second, on a busy machine


class Stopped(test_aws.AwsCase):
    """LocalStack, whose keys are disabled and enabled."""

    seconds = 45

    @classmethod
    def start(cls):
        if not os.access(HOST, os.X_OK):
            lab.missing("access_host is not built: that needs libwiredtiger-dev")
        test_aws.LocalStack.start.__func__(cls)

    def user(self):
        return self.environment("test", "test")

    def database(self, name, *others):
        arn = self.boto.new_key()
        config = self.lab.config(self.entry(arn), *others, more="access: {checkInterval: 1s}\n", name=name + ".conf")
        return arn, self.lab.database(config, name=name, rows=10, environment=self.user())

    def ends(self, arn, home, host):
        """After SIGTERM: it came once, the close was clean, and a key that is enabled again opens what was written."""
        host.wait_checks(2)  # a host that takes its time is not told twice
        self.assertEqual(host.terms(), 1, host.said())
        self.assertEqual(host.said().count("the database is stopped (SIGTERM) as access.onDisabled says"), 1, host.said())
        self.assertLess(host.finish(), 5000)
        refused = self.lab.engine(home, "list", "table:t", environment=self.user(), check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(b"DisabledException", refused.stdout + refused.stderr)
        self.boto.call("kms", "enable_key", KeyId=arn)
        self.assertEqual(self.lab.rows(home, environment=self.user()), 10)
        rows = self.lab.engine(home, "dump", "table:host", environment=self.user()).stdout.count(b"value\\00\n")
        self.assertGreater(rows, 20)

    def test_disabled(self):
        arn, home = self.database("disabled")
        clock = lab.Clock(self.lab)
        host = Host(self, home, self.user(), clock)
        host.wait_classes("ok")
        self.boto.call("kms", "disable_key", KeyId=arn)
        host.wait_classes("disabled")
        clock.move(9 * MINUTE)
        host.wait_checks(3)
        self.assertEqual(host.terms(), 0, host.said())
        for _ in range(4):  # one that is broken off by the time that passes starts the count anew
            clock.move(11 * MINUTE)
            host.wait_checks(2)
            if host.terms():
                break
        self.ends(arn, home, host)

    @unittest.skipUnless(LONG, "ten real minutes: WTKMS_LONG=1")
    def test_disabled_for_ten_real_minutes(self):
        arn, home = self.database("real")
        host = Host(self, home, self.user())
        host.wait_classes("ok")
        self.boto.call("kms", "disable_key", KeyId=arn)
        host.wait_classes("disabled")
        begun = time.monotonic()
        host.wait("SIGTERM", host.terms, 660)
        self.assertGreater(time.monotonic() - begun, 595)
        self.ends(arn, home, host)

    def test_disabled_with_another_that_opens(self):
        other = self.lab.write("other.key", lab.b64(bytes(range(32))) + "\n")
        arn, home = self.database("mixed", {"provider": "local", "keyFile": other})
        clock = lab.Clock(self.lab)
        host = Host(self, home, self.user(), clock)
        host.wait_classes("ok", "ok")
        self.boto.call("kms", "disable_key", KeyId=arn)
        host.wait_classes("disabled", "ok")
        for _ in range(3):
            clock.move(12 * 3600)
            host.wait_checks(1)
        self.boto.call("kms", "enable_key", KeyId=arn)
        host.wait_classes("ok", "ok")
        self.assertLess(host.finish(), 5000)
        self.assertEqual(host.terms(), 0)
        self.assertEqual(len(re.findall(r"access check: aws \S+ of scope \"default\": disabled: ", host.said())), 1, host.said())
        self.assertEqual(len(re.findall(r"access check: aws \S+ of scope \"default\" opens again", host.said())), 1)
        self.assertEqual(self.lab.rows(home, environment=self.user()), 10)
