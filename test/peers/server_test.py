"""test/peers/server_test.py -- Run by server_test: MODULE WTKMS. One "ok" or "not ok" line a check.

The cases go on from each other on one home, as a server's life does; a case that cannot go on ends
the run, and counts as failed.
"""
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import traceback

import server_copies
import server_scenario as scenario
from server import Refused, Server

LONG = os.environ.get("WTKMS_LONG", "0") != "0"
DOCUMENTS = 50_000 if LONG else 3_000
KILLS = 25 if LONG else 3


class Report:
    def __init__(self):
        self.number = self.failed = 0

    def check(self, condition, text):
        self.number += 1
        self.failed += not condition
        print(f"{'ok' if condition else 'not ok'} {self.number} - {text}", flush=True)

    def equal(self, have, want, text):
        self.check(have == want, text if have == want else f"{text}: {have!r}, expected {want!r}")


class Case:
    """A directory with a key, a configuration, and a home that wtkms init prepared."""

    def __init__(self, directory, module, program):
        self.directory = directory
        self.module = os.path.abspath(module)
        self.wtkms = scenario.Wtkms(os.path.abspath(program))
        self.key = self.path("customer.key")
        self.config = self.path("wtkms.conf")
        self.home = self.path("home")
        self.log = self.path("server.log")

    def path(self, name):
        return os.path.join(self.directory, name)

    def prepare(self):
        os.mkdir(self.home)
        self.wtkms.must("keygen", self.key)
        for command in (["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072",
                         "-out", self.path("offline.pem")],
                        ["pkey", "-in", self.path("offline.pem"), "-pubout",
                         "-out", self.path("recovery.pem")]):
            subprocess.run(["openssl", *command], check=True, stdin=subprocess.DEVNULL, timeout=300)
        os.chmod(self.path("offline.pem"), 0o600)
        self.configure(self.key)
        self.wtkms.must("init", self.home, "--config", self.config, "--module", self.module)

    def configure(self, key):
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"node: test-a\nkms:\n  - provider: local\n    keyFile: {key}\n"
                       f"  - provider: publickey\n    publicKeyFile: {self.path('recovery.pem')}\n")

    def server(self, home=None, **environment):
        return Server(home or self.home, self.log, environment)

    def status(self, path):
        """wtkms status without any key, as JSON."""
        code, output, error = self.wtkms.run("status", path, "--format", "json")
        return code, json.loads(output) if output.strip() else {}, error


def load_and_kill(case, report, documents):
    with case.server() as server, server.client() as client:
        documents.load(client)
        report.equal(documents.missing(client), 0, f"{documents.count} documents written and read")
    for i in range(KILLS):
        writers = scenario.Writers(case.server().start(), first=i * 10**9)
        count = writers.run_and_kill(0.5 + 0.37 * (i % 5))
        report.check(count > 0, f"kill {i + 1}: {count} writes were acknowledged before it")
        with case.server() as server, server.client() as client:
            report.equal(writers.lost(client), 0, f"kill {i + 1}: none of them is lost")
    with case.server() as server, server.client() as client:
        report.equal(documents.missing(client), 0, "all documents are there after the kills")
        report.equal(documents.wrong_through_index(client), 0, "and found through an index")


def search(case, report, documents):
    plain = case.path("plain")
    with case.server(plain) as server, server.client() as client:
        documents.load(client)
    there, _, _, _ = scenario.search(plain, documents.markers)
    report.check(there >= 0.9 * documents.count,
                 f"the plain twin shows {there} of {documents.count} known texts")
    found, where, files, size = scenario.search(case.home, documents.markers)
    report.equal(found, 0, f"the encrypted home shows none, in {files} files, {size} bytes{where or ''}")


def judge_a_copy(case, report):
    copy = case.path("copy")
    scenario.copy(case.home, copy)
    hidden = case.key + ".hidden"
    os.rename(case.key, hidden)
    code, status, error = case.status(copy)
    os.rename(hidden, case.key)
    report.equal(code, 0, f"wtkms status on a copy without the key{error}")
    report.check("local:" in json.dumps(status), "names the key that the copy needs")
    report.check("test-a" in json.dumps(status), "and the node that it is from")
    code, output, error = case.wtkms.run("check", copy, "--config", case.config, timeout=300)
    report.equal(code, 0, f"wtkms check authenticates every unit of the copy{error}")


def refuse(case, report):
    before = scenario.digest(case.home)
    hidden = case.key + ".hidden"
    os.rename(case.key, hidden)
    case.wtkms.must("keygen", case.key)
    try:
        with case.server():
            report.check(False, "a wrong key is refused")
    except Refused as refused:
        lines = scenario.refusal_lines(refused.output)
        report.check(any("wiredtiger-kms:" in line for line in lines),
                     f"a wrong key is refused: {lines[0]}")
    os.remove(case.key)
    try:
        with case.server():
            report.check(False, "a missing key file is refused")
    except Refused as refused:
        lines = scenario.refusal_lines(refused.output)
        report.check(any("customer.key" in line for line in lines),
                     f"a missing key file is refused: {lines[0]}")
    os.rename(hidden, case.key)
    report.equal(scenario.digest(case.home), before, "no file was changed by the refused opens")
    os.rename(case.path("home/wtkms.keystore"), case.path("keystore.away"))
    config = case.path("home/WiredTiger.config")
    with open(config, encoding="utf-8") as file:
        text = file.read()
    with open(config, "w", encoding="utf-8") as file:
        file.write("".join(line for line in text.splitlines(True) if not line.startswith("#")))
    try:
        with case.server():
            report.check(False, "data without a keystore is refused")
    except Refused as refused:
        lines = scenario.refusal_lines(refused.output)
        report.check(any("keystore" in line for line in lines),
                     f"data without a keystore is refused: {lines[0]}")
    with open(config, "w", encoding="utf-8") as file:
        file.write(text)


def restore_from_mirror(case, report, documents):
    """The keystore is away: WiredTiger.config has a copy."""
    with case.server() as server, server.client() as client:
        report.equal(documents.missing(client), 0, "the keystore comes back from WiredTiger.config")
    report.check(os.path.exists(case.path("home/wtkms.keystore")), "and is in the home again")


def backup_archive(case, report, documents):
    if os.environ.get("MONGOD"):
        report.check(True, "the server's own backup # SKIP mongod has none")
        return
    archive, restored = case.path("backup.tar.gz"), case.path("restored")
    with case.server() as server, server.client() as client:
        client.admin.command("secantusAdmin.backupArchive", outputPath=archive)
    with tarfile.open(archive) as tar:
        names = [os.path.basename(name) for name in tar.getnames()]
        tar.extractall(restored)
    report.check("WiredTiger.config" in names, "the server's own backup carries WiredTiger.config")
    home = next(base for base, _, files in os.walk(restored) if "WiredTiger.config" in files)
    found, where, _, _ = scenario.search(home, documents.markers)
    report.equal(found, 0, f"and no known text{where or ''}")
    with case.server(home) as server, server.client() as client:
        report.equal(documents.missing(client), 0, "it opens with the keystore of the mirror alone")
    server_copies.backup_under_load(case, report, documents)


def plain_home_is_refused(case, report):
    plain = case.path("plain")
    shutil.copy(case.path("home/WiredTiger.config"), plain)
    # Only the engine's lines: the mirror of another home is another matter.
    path = os.path.join(plain, "WiredTiger.config")
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(lines)
    before = scenario.digest(plain)
    try:
        with case.server(plain):
            report.check(False, "a home with plain data is refused")
    except Refused as refused:
        lines = scenario.refusal_lines(refused.output)
        report.check(any("wiredtiger-kms:" in line for line in lines),
                     f"a home with plain data is refused: {lines[0]}")
    report.equal(scenario.digest(plain), before, "and stays as it was")


def recover_offline(case, report, documents):
    """The customer key is lost for good; the offline key wraps for a new one."""
    os.remove(case.key)
    new_key = case.path("new.key")
    case.wtkms.must("keygen", new_key)
    case.configure(new_key)
    code, output, error = case.wtkms.run(
        "keystore", "recover", case.home, "--config", case.config, "--private-key",
        case.path("offline.pem"), "--reason", "the customer key is lost")
    report.equal(code, 0, f"wtkms keystore recover opens with the offline key {error}".strip())
    with case.server() as server, server.client() as client:
        report.equal(documents.missing(client), 0, "and the new customer key opens all documents")
    code, output, error = case.wtkms.run("check", case.home, "--config", case.config, timeout=300)
    report.equal(code, 0, f"every unit authenticates {error}".strip())


def main():
    module, program = sys.argv[1:3]
    report = Report()
    directory = tempfile.mkdtemp(prefix="wtkms-server-")
    os.chmod(directory, 0o755)
    case = Case(directory, module, program)
    documents = scenario.Documents(DOCUMENTS, seed=5)
    print(f"# {Server.name()}, in {directory}", flush=True)
    try:
        case.prepare()
        load_and_kill(case, report, documents)
        search(case, report, documents)
        judge_a_copy(case, report)
        refuse(case, report)
        restore_from_mirror(case, report, documents)
        backup_archive(case, report, documents)
        plain_home_is_refused(case, report)
        recover_offline(case, report, documents)
    except Exception:  # whatever it is, it is this run's result
        traceback.print_exc(file=sys.stdout)
        report.check(False, "the run came to its end")
        if os.path.exists(case.log):
            with open(case.log, encoding="utf-8", errors="replace") as log:
                print("# the end of the server's log\n" + "".join(log.readlines()[-40:]))
    if report.failed == 0:
        shutil.rmtree(directory)
    print(f"1..{report.number}")
    return 1 if report.failed or report.number == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
