"""test/suite/programs.py -- WiredTiger's own programs in C through the module: test/format, and those of
test/csuite that kill and recover. They take the encryptor from WIREDTIGER_CONFIG."""
import os
import shutil
import time

import runner

# As upstream's smoke.sh of each program has them, but for compatibility modes that backups lack.
RANDOM_ABORT = ("", "-m", "-C", "-C -m")
SCHEMA_ABORT = ("", "-m", "-C", "-C -S", "-m -C", "-c", "-c -m", "-c -C", "-c -C -S", "-c -m -C", "-z", "-z -S",
                "-z -m", "-z -m -c", "-x", "-x -S", "-x -m", "-x -m -c")
TIMESTAMP_ABORT = ("", "-c", "-B -I 3", "-m", "-m -c", "-C", "-C -c", "-C -m", "-C -m -c")
CSUITE = (
    [("random_abort", f"-t 10 -T 5 {more}") for more in RANDOM_ABORT]
    + [("schema_abort", f"-t 10 -T 5 {more}") for more in SCHEMA_ABORT]
    + [("timestamp_abort", f"-t 10 -T 5 {more}") for more in TIMESTAMP_ABORT]
    + [("incr_backup", "-v 3")]
)

# Short runs of format: a minute of operations each, the first aborted and recovered. Those that are not
# aborted end with salvages of files that format damaged itself, and then no home is left to check; so some
# do without.
SHORT = "runs.timer=1 runs.rows=20000:200000 runs.tables=1:3 runs.threads=2:6 cache.minimum=40"
FORMAT_SHORT = tuple(f"{SHORT} runs.type={kind} {more}".strip() for kind, more in (
    ("row", "format.abort=1"), ("var", ""), ("row", "transaction.timestamps=1 ops.salvage=0"),
    ("var", "format.abort=1"), ("fix", ""), ("row", "logging=1 backup=1 backup.incremental=block ops.salvage=0"),
    ("row", "format.abort=1 logging=1")))
FORMAT_STRESS = ("runs.timer=6 format.abort=1", "runs.timer=6")


def csuite(peer, tally, jobs, limit=600):
    """Each program in each of its modes, in a home of its own."""

    def one(item):
        name, options = item
        folder = os.path.join(peer.scratch, f"{name}{options.replace(' ', '')}")
        os.makedirs(folder)
        program = os.path.join(peer.engine, "build", "test", "csuite", name, f"test_{name}")
        command = [program] + options.split()
        if name in ("timestamp_abort", "schema_abort", "random_abort"):
            # Kept as they were killed and as they were recovered: both are looked at.
            command += ["-p"]
        ended = runner.run(command, folder, peer.environment(**peer.environment_string()), limit,
                           os.path.join(folder, "output"))
        line = f"csuite {name} {options}".strip() + f" {ended.wall:.0f} s"
        why = [ended.reason(), ended.output[-3000:]] if ended.status != 0 or ended.late else []
        if not why and "-p" in command:
            why = peer.check_homes(folder)
        tally.add(line, passed=not why, failed=bool(why), details=why)
        shutil.rmtree(folder, ignore_errors=True)

    runner.side_by_side(one, CSUITE, jobs)


def extensions_of_format(peer):
    """What format loads itself, and would lose."""
    return [peer.library("collators", "reverse"), peer.library("compressors", "snappy"),
            peer.library("compressors", "zlib")]


def format_runs(peer, tally, jobs, seconds, variants, last_start):
    """Runs of format one after the other until the time is over. None is started in the last seconds before
    the end; one that is still running long after it is ended and counts as failed."""
    begin = time.monotonic()
    numbers = iter(range(1, 1000))
    program = os.path.join(peer.engine, "build", "test", "format", "t")
    config = os.path.join(peer.engine, "build", "test", "format", "CONFIG.stress")
    env = peer.environment(**peer.environment_string(*extensions_of_format(peer)))

    def one(_):
        while time.monotonic() - begin < seconds - last_start:
            number = next(numbers)
            options = variants[(number - 1) % len(variants)]
            home = os.path.join(peer.scratch, f"format.{number}")
            # Encryption is ours to say: format would choose its own for some runs.
            command = [program, "-c", config, "-h", home] + options.split() + ["disk.encryption=off", "quiet=1"]
            # Beside the program: it finds extensions by relative paths.
            format_run(peer, tally, command, options, home, env, 900 + 2 * last_start)

    runner.side_by_side(one, range(jobs), jobs)


def format_run(peer, tally, command, options, home, env, limit):
    ended = runner.run(command, os.path.dirname(command[0]), env, limit, home + ".output")
    line = f"format {options} {ended.wall:.0f} s"
    aborted = "aborting to test recovery" in ended.output
    recovered = None
    if aborted and not ended.late:
        shutil.copytree(home, home + ".before", symlinks=True)
        recovered = runner.run([command[0], "-Rqv", "-h", home], os.path.dirname(command[0]), env, limit,
                               home + ".recover")
        line += f", recovered in {recovered.wall:.0f} s"
    if ended.late or (not aborted and (ended.status != 0 or "successful run completed" not in ended.output)):
        why = [ended.reason(), ended.output[-3000:]]
    elif recovered is not None and (recovered.status != 0 or recovered.late):
        why = ["recovery: " + recovered.reason(), recovered.output[-3000:]]
    else:
        why = [] if in_memory(home) or damaged_by_format(home) else peer.check_homes(home)
        why += peer.check_homes(home + ".before") if recovered is not None else []
    if why:
        why.append(config_of(home))
    tally.add(line, passed=not why, failed=bool(why), details=why)
    for path in (home, home + ".before"):
        shutil.rmtree(path, ignore_errors=True)


def config_of(home):
    try:
        with open(os.path.join(home, "CONFIG"), encoding="utf-8") as file:
            return file.read()
    except OSError:
        return "no CONFIG was written"


def damaged_by_format(home):
    """It writes over a part of each file, to salvage it, and says where in this file."""
    return os.path.exists(os.path.join(home, "SALVAGE.corrupt"))


def in_memory(home):
    return "runs.in_memory=1" in config_of(home)
