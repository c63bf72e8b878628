"""test/suite/plain.py -- What is kept beside the tests: the recorded results without encryption, the
explained differences, the list of quick files, the results of shards. Reads and writes; runs nothing."""
import fcntl
import fnmatch
import os
import re
from collections import defaultdict

from runner import HERE

PLAIN = os.path.join(HERE, "plain-11.3.1.txt")
EXPLAINED = os.path.join(HERE, "explained.txt")
QUICK = os.path.join(HERE, "quick.txt")
RESULTS = os.path.join(HERE, "results")
OUTCOMES = ("pass", "fail", "skip")

PLAIN_HEAD = """\
# What became of each test of WiredTiger 11.3.1's test/suite without encryption, written by
# dist/peer-suite --record-plain. A line a file: tests that passed, failed, were skipped, seconds of CPU.
# Below it the ids of those that failed or were skipped; METHOD(*) is a method in all its scenarios.
# All other tests of the file passed.
"""


class PlainFile:
    """The recorded results of one test file."""

    def __init__(self, counts, cpu):
        self.counts = dict(zip(OUTCOMES, counts))
        self.cpu = cpu
        self.listed = {}

    def outcome(self, test):
        return self.listed.get(test) or self.listed.get(method_of(test) + "(*)") or "pass"

    def total(self):
        return sum(self.counts.values())


def method_of(test):
    return test.split("(", 1)[0]


def read_plain():
    """{file: PlainFile}"""
    files, current = {}, None
    for line in lines_of(PLAIN):
        if line.startswith(" "):
            outcome, test = line.split(None, 1)
            current.listed[test] = outcome
        else:
            name, passed, failed, skipped, cpu = line.split()
            current = files[name] = PlainFile((int(passed), int(failed), int(skipped)), float(cpu))
    return files


def plain_from(results, cpu):
    """A PlainFile from {test: outcome}."""
    counts = [sum(1 for outcome in results.values() if outcome == which) for which in OUTCOMES]
    plain = PlainFile(counts, cpu)
    methods = defaultdict(set)
    for test, outcome in results.items():
        methods[method_of(test)].add(outcome)
    for test, outcome in results.items():
        if outcome != "pass":
            method = method_of(test)
            plain.listed[test if method == test or len(methods[method]) > 1 else method + "(*)"] = outcome
    return plain


def add_plain(name, plain):
    """Puts one file's results into the record; other processes may do the same."""
    with open(PLAIN, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        files = read_plain()
        files[name] = plain
        text = PLAIN_HEAD
        for key in sorted(files):
            one = files[key]
            text += " ".join([key] + [str(one.counts[which]) for which in OUTCOMES]) + f" {one.cpu:.1f}\n"
            text += "".join(f"  {outcome} {test}\n" for test, outcome in sorted(one.listed.items()))
        file.seek(0)
        file.truncate()
        file.write(text)


def read_explained():
    """[(pattern, reason)], in order."""
    pairs = []
    for line in lines_of(EXPLAINED):
        pattern, separator, reason = line.partition(" ")
        if not separator or not reason.strip():
            raise ValueError(f"{EXPLAINED}: no reason for {pattern}")
        pairs.append((pattern, reason.strip()))
    return pairs


def explanation(explained, test):
    """(pattern, reason) for a test, or None. Only * is special."""
    for pattern, reason in explained:
        if fnmatch.fnmatchcase(test, pattern.replace("[", "[[]")):
            return pattern, reason
    return None


def read_quick():
    return [line.split()[0] for line in lines_of(QUICK)]


def lines_of(path):
    try:
        with open(path, encoding="utf-8") as file:
            return [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]
    except FileNotFoundError:
        return []


def shard_file(shard):
    return os.path.join(RESULTS, f"shard-{shard:02}.txt" if isinstance(shard, int) else f"{shard}.txt")


def ran_before():
    """Files that a shard ran, by what is in the results."""
    ran = set()
    for entry in os.listdir(RESULTS) if os.path.isdir(RESULTS) else []:
        for line in lines_of(os.path.join(RESULTS, entry)):
            match = re.match(r"(test_\w+\.py) \d+ passed", line)
            if match:
                ran.add(match.group(1))
    return ran
