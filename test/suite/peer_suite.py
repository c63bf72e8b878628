"""test/suite/peer_suite.py -- What dist/peer-suite runs: which tests, in which mode, for how long."""
import argparse
import os
import re
import signal
import sys
import time
from collections import Counter

import plain as records
import programs
import python_files
import runner

SHARDS = 30
SHARD_SECONDS = 30 * 60
QUICK_SECONDS = 10 * 60
FORMAT_SECONDS = 3 * 60


def seconds_of(text):
    match = re.fullmatch(r"([0-9]+)([smh]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is not a time such as 30m")
    return int(match.group(1)) * {"": 1, "s": 1, "m": 60, "h": 3600}[match.group(2)]


def arguments():
    parser = argparse.ArgumentParser(
        prog="peer-suite", description="WiredTiger's own tests with every database encrypted.")
    parser.add_argument("--engine", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--build", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="quick files of every area, and test/format")
    parser.add_argument("--shard", type=int, choices=range(1, SHARDS + 1), metavar=f"1..{SHARDS}")
    parser.add_argument("--left", action="store_true", help="files that the shards had no time for")
    parser.add_argument("--format-stress", type=seconds_of, metavar="30m")
    parser.add_argument("--csuite", action="store_true")
    parser.add_argument("--record-plain", action="store_true", help="run without encryption and keep the results")
    parser.add_argument("--with", dest="encryptor", default="kms", metavar="NAME",
                        help="one of the engine's own encryptors (rotn) instead of the module")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--time", type=seconds_of, metavar="30m", help="for the files, instead of the mode's own")
    parser.add_argument("--file-limit", type=seconds_of, default=1200, metavar="20m")
    parser.add_argument("--dry-run", action="store_true", help="name the files and stop")
    parser.add_argument("files", nargs="*", help="files of test/suite")
    return parser.parse_args()


def shard_of(names, number):
    """Every area is in every shard: names are sorted, and each shard takes each thirtieth."""
    return names[number - 1 :: SHARDS]


def mixed(names):
    """The first of each area, then the second of each: when time is short, no area is left out."""
    seen = Counter()
    ranked = []
    for name in names:
        area = re.sub(r"[0-9]*\.py$", "", name)
        ranked.append((seen[area], name))
        seen[area] += 1
    return [name for _, name in sorted(ranked)]


def next_shard():
    for number in range(1, SHARDS + 1):
        if not os.path.exists(records.shard_file(number)):
            return number
    return None


def by_time(names):
    """Short ones first by what is recorded, so that a time limit costs few files."""
    recorded = records.read_plain()
    return sorted(names, key=lambda name: (recorded[name].cpu if name in recorded else 30.0, name))


def write_results(peer, shard, title, lines, left, tally):
    if peer.encryptor != "kms":
        return
    os.makedirs(records.RESULTS, exist_ok=True)
    with open(records.shard_file(shard), "a" if shard == "left" else "w", encoding="utf-8") as file:
        file.write(f"# {title}, {peer.module_version}, {time.strftime('%Y-%m-%d')}\n")
        for line in lines:
            file.write(line + "\n")
        for name in left:
            file.write(f"left {name}\n")
        file.write(f"# {len(lines)} files: {tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped\n")


class Run:
    def __init__(self, options, peer, tally):
        self.options = options
        self.peer = peer
        self.tally = tally
        self.names = python_files.all_files(peer)

    def files(self, names, seconds):
        """(lines, left)"""
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise runner.SetupError(f"not in test/suite: {' '.join(unknown)}")
        seconds = self.options.time or seconds
        if self.options.record_plain:
            python_files.record_plain(self.peer, names, self.tally, self.options.jobs, seconds,
                                      self.options.file_limit)
            return [], []
        return python_files.run_files(self.peer, names, self.tally, self.options.jobs, seconds,
                                      self.options.file_limit)

    def quick(self):
        _, left = self.files(mixed(records.read_quick()), QUICK_SECONDS)
        for name in left:
            self.tally.add(f"{name} # SKIP the ten minutes were over", skipped=1)
        if not self.options.record_plain:
            programs.format_runs(self.peer, self.tally, self.options.jobs, FORMAT_SECONDS, programs.FORMAT_SHORT, 60)

    def shard(self, number):
        lines, left = self.files(by_time(shard_of(self.names, number)), SHARD_SECONDS)
        self.finish_shard(number, f"WiredTiger 11.3.1 test/suite, shard {number} of {SHARDS}", lines, left)

    def left(self):
        ran = records.ran_before()
        shards = [number for number in range(1, SHARDS + 1) if os.path.exists(records.shard_file(number))]
        names = [name for number in shards for name in shard_of(self.names, number) if name not in ran]
        lines, left = self.files(by_time(names), SHARD_SECONDS)
        self.finish_shard("left", "WiredTiger 11.3.1 test/suite, left from shards", lines, left)

    def finish_shard(self, shard, title, lines, left):
        if self.options.record_plain:
            return
        for name in left:
            self.tally.note(f"{name}: no time left, not run")
        write_results(self.peer, shard, title, lines, left, self.tally)

    def stress(self, seconds):
        programs.format_runs(self.peer, self.tally, self.options.jobs, seconds, programs.FORMAT_STRESS,
                             min(480, seconds / 2))

    def csuite(self):
        programs.csuite(self.peer, self.tally, self.options.jobs)


def run_modes(options, run):
    if options.files:
        run.files(options.files, 4 * 3600)
    if options.shard:
        run.shard(options.shard)
    if options.left:
        run.left()
    if options.csuite:
        run.csuite()
    if options.format_stress:
        run.stress(options.format_stress)
    if options.quick:
        run.quick()


def main():
    options = arguments()
    if not (options.files or options.shard or options.left or options.csuite or options.format_stress):
        options.quick = True
        if os.environ.get("WTKMS_LONG", "0") != "0":
            options.csuite, options.format_stress, options.shard = True, 30 * 60, next_shard()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, runner.stop)
    runner.no_cores()
    peer = None
    tally = runner.Tally()
    try:
        peer = runner.Peer(options.engine, options.build, "plain" if options.record_plain else options.encryptor)
        run = Run(options, peer, tally)
        if options.dry_run:
            print("\n".join(shard_of(run.names, options.shard) if options.shard else records.read_quick()))
            return 0
        run_modes(options, run)
    except (runner.SetupError, ValueError) as error:
        tally.add(f"set-up: {error}", failed=1)
    except runner.Stopped:
        pass
    finally:
        if peer is not None:
            peer.close()
    if runner.stopped.is_set():
        tally.add("stopped by a signal", failed=1)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
