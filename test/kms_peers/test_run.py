"""test/kms_peers/test_run.py -- The runner itself, on files of tests that pass, fail, die and hang. No server."""
import os
import re
import shutil
import subprocess
import sys
import unittest

import lab

FILES = {
    "good": """
import time, unittest
class Slow(unittest.TestCase):
    def test_one(self):
        time.sleep(1)
class Quick(unittest.TestCase):
    def test_two(self):
        print("what a test prints")
    def test_three(self):
        self.skipTest("no peer")
""",
    "bad": """
import unittest
class Wrong(unittest.TestCase):
    def test_four(self):
        self.assertEqual(1, 2)
    def test_five(self):
        pass
class Start(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise AssertionError("no server")
    def test_six(self):
        pass
""",
    "dead": """
import os, unittest
class Dead(unittest.TestCase):
    def test_a(self):
        pass
    def test_b(self):
        os._exit(0)
""",
    "hangs": """
import lab, os, time, unittest
class Hangs(unittest.TestCase):
    def test_a(self):
        made = lab.Lab("hangs")
        made.start(["sleep", "60"], lambda: True)
        with open(os.environ["NOTE"], "w") as file:
            file.write(f"{made.dir} {made.servers[0].process.pid}")
        time.sleep(60)
""",
    "broken": "import nothing_of_that_name\n",
}


class Runner(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = lab.Lab("run")
        cls.addClassCleanup(cls.lab.close)
        here = os.path.dirname(os.path.abspath(__file__))
        for name in ("run", "lab.py"):
            shutil.copy(os.path.join(here, name), cls.lab.dir)
        for name, text in FILES.items():
            cls.lab.write(f"test_{name}.py", text)

    def run_them(self, *args, seconds=60):
        result = subprocess.run([sys.executable, self.lab.path("run"), *args], capture_output=True, text=True,
                                timeout=seconds, env={**os.environ, "NOTE": self.lab.path("note")})
        return result.returncode, [re.sub(r"\(?\d+\.\d s.*", "T", line) for line in result.stdout.splitlines()], result

    def test_order_and_counts(self):
        """The slow class is shown in its place, whole, though the quick one ends first."""
        code, lines, _ = self.run_them("good")
        self.assertEqual(lines, ["# good.Quick: T", "ok - good.Quick.test_three # SKIP no peer", "what a test prints",
                                 "ok - good.Quick.test_two T", "# good.Slow: T", "ok - good.Slow.test_one T",
                                 "2 passed, 0 failed, 1 skipped"])
        self.assertEqual(code, 0)

    def test_a_failing_part_fails_the_whole(self):
        code, lines, _ = self.run_them("good", "bad")
        self.assertEqual(code, 1)
        self.assertEqual(lines[-1], "3 passed, 2 failed, 1 skipped")
        self.assertIn("not ok - bad.Wrong.test_four", lines)
        self.assertIn("not ok - setUpClass (test_bad.Start)", lines)
        self.assertIn("# AssertionError: no server", lines)

    def test_a_part_that_dies_has_failed(self):
        for name in ("dead", "broken"):
            code, lines, _ = self.run_them(name)
            self.assertEqual((code, lines[-1]), (1, f"{int(name == 'dead')} passed, 1 failed, 0 skipped"))

    def test_a_part_that_hangs_is_ended_with_its_servers(self):
        code, lines, result = self.run_them("hangs", "--limit", "2", seconds=45)
        self.assertEqual((code, lines[-1]), (1, "0 passed, 1 failed, 0 skipped"))
        self.assertIn("not ok - hangs.Hangs: ended from outside", lines)
        self.assertIn("time.sleep(60)", result.stdout)
        directory, pid = open(self.lab.path("note")).read().split()
        self.assertFalse(os.path.exists(directory))
        self.assertFalse(os.path.exists(f"/proc/{pid}"))

    def test_names(self):
        self.assertEqual(self.run_them("good.Slow")[1][-1], "1 passed, 0 failed, 0 skipped")
        self.assertEqual(self.run_them("good.test_two")[1][-1], "1 passed, 0 failed, 0 skipped")
        for name in ("nothing", "good.nothing"):
            self.assertEqual(self.run_them(name)[0], 1)

    def test_ports_are_not_given_twice(self):
        asks = "import sys; sys.path.insert(0, sys.argv[1]); import lab; print([lab.free_port() for i in range(99)], flush=True);" \
               "sys.stdin.read()"
        askers = [subprocess.Popen([sys.executable, "-c", asks, self.lab.dir], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True) for _ in range(3)]
        ports = []
        for asker in askers:
            ports += map(int, re.findall(r"\d+", asker.stdout.readline()))
        for asker in askers:
            asker.communicate()
        self.assertEqual(len(ports), 3 * 99)
        self.assertEqual(len(set(ports)), len(ports))
