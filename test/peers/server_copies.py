"""test/peers/server_copies.py -- Part of server_test: the server's own backup, taken by its own tool under load,
known to wtkms, verified, and restored under another customer key with every document compared.
"""
import json
import os
import shutil
import subprocess
import tarfile
import time

import server_scenario as scenario


def take(case, writers, archive):
    """The archive, and what was acknowledged before the server began to make it."""
    writers.start()
    time.sleep(1)
    before = dict(writers.acknowledged)
    with writers.server.client() as client:
        client.admin.command("secantusAdmin.backupArchive", outputPath=archive)
    after = len(writers.acknowledged)
    time.sleep(0.3)
    writers.kill()
    return before, after - len(before)


def lost(client, acknowledged):
    """How many writes are not there, or in an earlier state, or not as they were written."""
    there = {d["_id"]: d for d in client.shop.ledger.find()}
    return sum(number not in there or there[number]["state"] < state or
               there[number] != {"_id": number, "state": there[number]["state"], "pad": "." * 200}
               for number, state in acknowledged.items())


def row(case, *paths):
    code, output, error = case.wtkms.run("snapshot", "list", *paths, "--format", "json")
    copies = json.loads(output)["copies"] if output.strip() else []
    return code, copies[0] if len(copies) == 1 else {"recipients": [{}]}, error


def unpacked(case, archive):
    """The copy in an archive, as files."""
    directory = case.path("unpacked")
    with tarfile.open(archive) as tar:
        tar.extractall(directory)
    return next(base for base, _, files in os.walk(directory) if "WiredTiger.config" in files)


def restore(case, archive, home, config):
    return case.wtkms.run("snapshot", "restore", archive, home, "--config", config, "--from", case.config,
                          "--module", case.module, "--reason", "a test", timeout=600)


def look(case, report, copy, documents):
    """One look into a copy without a restore: the server on a clone, with a credential that is handed out for it."""
    clone, credential, config = case.path("clone"), case.path("clone.key"), case.path("clone.conf")
    before = scenario.digest(copy)
    subprocess.run(["cp", "-a", "--reflink=auto", copy, clone], check=True)
    shutil.copy(case.key, credential)
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"kms: [{{provider: local, keyFile: {credential}}}]\naccess: {{onDisabled: warn}}\n")
    hidden = case.key + ".hidden"
    os.rename(case.key, hidden)
    try:
        case.wtkms.must("init", clone, "--config", config, "--module", case.module)
        with case.server(clone) as server, server.client() as client:
            report.equal(documents.missing(client), 0, "the server on a clone of it shows every document")
    finally:
        os.rename(hidden, case.key)
    shutil.rmtree(clone)
    os.remove(credential)
    report.equal(scenario.digest(copy), before, "and the copy stayed as it was")


def other_key(case):
    """Another customer key, in a configuration of its own."""
    key, config = case.path("other.key"), case.path("other.conf")
    case.wtkms.must("keygen", key)
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"node: test-b\nkms: [{{provider: local, keyFile: {key}}}]\n")
    return config


def lives(case, report, home, documents, before):
    """The restored home: all that was in the backup, more writes, a kill, and those too."""
    with case.server(home) as server, server.client() as client:
        report.equal(documents.missing(client), 0, "every document is in the restored home, as it was written")
        report.equal(documents.wrong_through_index(client), 0, "and is found through an index")
        report.equal(lost(client, before), 0, "and every write that was acknowledged before the backup")
    writers = scenario.Writers(case.server(home).start(), first=7 * 10**9)
    count = writers.run_and_kill(0.5)
    with case.server(home) as server, server.client() as client:
        report.check(count > 0 and writers.lost(client) == 0, f"{count} writes after the restore survive a kill")


def backup_under_load(case, report, documents):
    archive, home = case.path("under-load.tar.gz"), case.path("restored-b")
    writers = scenario.Writers(case.server().start(), first=5 * 10**9)
    before, during = take(case, writers, archive)
    report.check(len(before) > 0 and during > 0,
                 f"a backup of the server's own tool, {len(before)} writes before it and {during} while it was made")

    code, copy, error = row(case, archive)
    report.equal((code, copy.get("encryption"), copy.get("keystore"), copy.get("node")),
                 (0, "encrypted", "from mirror", "test-a"), f"wtkms snapshot list knows the archive{error}")
    old = [r.get("encryptionKeyId") for r in copy["recipients"] if r.get("provider") == "local"]
    files = unpacked(case, archive)
    code, output, error = case.wtkms.run("snapshot", "verify", files, "--config", case.config, timeout=600)
    report.equal(code, 0, f"wtkms snapshot verify authenticates all of it{(error or output) if code else ''}")
    look(case, report, files, documents)

    config = other_key(case)
    os.mkdir(home, 0o700)
    code, output, error = restore(case, archive, home, config)
    report.equal(code, 0, f"wtkms snapshot restore makes a home of it, under another customer key{error}")
    report.equal(scenario.search(home, documents.markers)[0], 0, "no known text is in it")
    hidden = case.key + ".hidden"
    os.rename(case.key, hidden)
    try:
        lives(case, report, home, documents, before)
    finally:
        os.rename(hidden, case.key)

    code, copy, error = row(case, home)
    report.check(code == 0 and copy.get("node") == "test-b" and copy["recipients"][0].get("encryptionKeyId") not in old,
                 f"it is a home of its own, for the new key alone{error}")
    usage = [case.wtkms.run("key", "usage", key, home)[0] for key in (old[0], copy["recipients"][0]["encryptionKeyId"])]
    report.equal(usage, [0, 3], "key usage: the old key is not needed there, the new one is")
    code, output, error = case.wtkms.run("check", home, "--config", config, timeout=600)
    report.equal(code, 0, f"every unit authenticates {error}".strip())
