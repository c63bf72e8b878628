"""test/peers/server_scenario.py -- What dist/demo shows and test/peers/server_test.py asserts: documents
that are known, a load that is killed, a search of files, wtkms beside it.
"""
import hashlib
import mmap
import os
import random
import re
import shutil
import string
import subprocess
import threading
import time

from pymongo import WriteConcern
from pymongo.errors import PyMongoError

COLLECTIONS = ("customers", "orders", "letters")
JOURNALED = WriteConcern(w=1, j=True)
BATCH = 1000

# Every document holds a text of its own, 32 random letters and digits. A compressor copies bytes that
# it has not seen before as they are, and two such texts share four bytes in a row (the least that
# snappy replaces) too rarely to matter: so they are found in a compressed file as well.
MARKER_LEN = 32
_ALPHABET = string.ascii_letters + string.digits
_RUN = re.compile(rb"[A-Za-z0-9]{%d,}" % MARKER_LEN)


class Documents:
    """count documents in three collections, the same for the same seed."""

    def __init__(self, count, seed):
        rng = random.Random(seed)
        cities = ["Aachen", "Bergamo", "Coimbra", "Debrecen", "Esbjerg", "Falun", "Graz", "Huelva"]
        self.by_collection = {name: [] for name in COLLECTIONS}
        self.markers = set()
        for i in range(count):
            marker = "".join(rng.choices(_ALPHABET, k=MARKER_LEN))
            self.markers.add(marker.encode())
            self.by_collection[COLLECTIONS[i % 3]].append({
                "_id": i, "secret": marker, "city": rng.choice(cities), "number": rng.randrange(10**6),
                "text": "Dear customer, thank you for your letter. " * (i % 5)})
        self.count = count

    def load(self, client):
        """Create the collections with two indexes each, and insert all documents. Seconds taken."""
        start = time.monotonic()
        for name, documents in self.by_collection.items():
            collection = client.shop.get_collection(name, write_concern=JOURNALED)
            collection.create_index([("secret", 1)], unique=True)
            collection.create_index([("city", 1), ("number", -1)])
            for i in range(0, len(documents), BATCH):
                collection.insert_many(documents[i:i + BATCH], ordered=False)
        return time.monotonic() - start

    def missing(self, client):
        """How many are not there, or not as they were written."""
        missing = 0
        for name, documents in self.by_collection.items():
            there = {d["_id"]: d for d in client.shop[name].find()}
            missing += sum(there.get(d["_id"]) != d for d in documents)
        return missing

    def wrong_through_index(self, client, sample=100):
        """How many of a sample are not found through an index."""
        wrong = 0
        for name, documents in self.by_collection.items():
            for document in documents[::max(1, len(documents) // sample)]:
                wrong += client.shop[name].find_one({"secret": document["secret"]}) != document
        return wrong


class Writers:
    """Threads that insert and update with j: true until the server is gone, and remember what was
    acknowledged."""

    def __init__(self, server, threads=4, first=0):
        self.server = server
        self.acknowledged = {}  # _id: the last acknowledged state
        self.errors = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(first + i * 10**7,), daemon=True)
                         for i in range(threads)]

    def _run(self, first):
        with self.server.client(timeout=2000) as client:
            ledger = client.shop.get_collection("ledger", write_concern=JOURNALED)
            number = first
            try:
                while True:
                    ledger.insert_one({"_id": number, "state": 0, "pad": "." * 200})
                    with self._lock:
                        self.acknowledged[number] = 0
                    if number % 3 == 0:
                        ledger.update_one({"_id": number}, {"$set": {"state": 1}})
                        with self._lock:
                            self.acknowledged[number] = 1
                    number += 1
            except PyMongoError as error:
                self.errors.append(type(error).__name__)

    def start(self):
        for thread in self._threads:
            thread.start()

    def kill(self):
        """SIGKILL the server under them; how many writes were acknowledged."""
        self.server.kill()
        for thread in self._threads:
            thread.join(60)
        return len(self.acknowledged)

    def run_and_kill(self, seconds):
        """Let them write for so long."""
        self.start()
        time.sleep(seconds)
        return self.kill()

    def lost(self, client):
        """How many acknowledged writes are not there. A later, unacknowledged one may be."""
        there = {d["_id"]: d["state"] for d in client.shop.ledger.find()}
        return sum(there.get(number, -1) < state for number, state in self.acknowledged.items())


def home_files(home):
    for base, _, names in sorted(os.walk(home)):
        for name in sorted(names):
            path = os.path.join(base, name)
            # WiredTiger.lock is the engine's, and never holds data.
            if os.path.isfile(path) and name != "WiredTiger.lock":
                yield path


def search(home, markers):
    """Search every file for every marker: (markers found, files with one, files, bytes)."""
    found, with_hits, files, size = set(), [], 0, 0
    for path in home_files(home):
        files += 1
        length = os.path.getsize(path)
        size += length
        if length == 0:
            continue
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            hit = False
            for match in _RUN.finditer(view):
                run = match.group(0)
                for i in range(len(run) - MARKER_LEN + 1):
                    if run[i:i + MARKER_LEN] in markers:
                        found.add(run[i:i + MARKER_LEN])
                        hit = True
            if hit:
                with_hits.append(os.path.relpath(path, home))
    return len(found), with_hits, files, size


def digest(home):
    """One digest of all data files: what a refused open must not change."""
    total = hashlib.sha256()
    for path in home_files(home):
        if os.path.basename(path) in ("wtkms.state", "mongod.lock", "WiredTiger"):
            continue
        if "diagnostic.data" in path:
            continue
        with open(path, "rb") as file:
            total.update(os.path.relpath(path, home).encode() + b"\0" +
                         hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def copy(home, target):
    """A copy of a stopped home as a backup has it."""
    shutil.copytree(home, target, symlinks=True,
                    ignore=shutil.ignore_patterns("WiredTiger.lock", "mongod.lock"))


class Wtkms:
    """The command under test."""

    def __init__(self, program):
        self.program = program

    def run(self, *arguments, timeout=120):
        """(exit code, standard output, standard error)."""
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout, check=False)
        return done.returncode, done.stdout, done.stderr

    def must(self, *arguments, timeout=120):
        """Standard output; an exception when it fails."""
        code, output, error = self.run(*arguments, timeout=timeout)
        if code != 0:
            raise RuntimeError(f"wtkms {' '.join(arguments)} exits {code}: {error or output}")
        return output


def refusal_lines(output, count=3):
    """What a server printed about a refusal: this project's lines, else its last ones."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    ours = [line for line in lines if "wiredtiger-kms:" in line]
    return ours[:count] or lines[-count:]
