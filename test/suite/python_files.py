"""test/suite/python_files.py -- Runs files of WiredTiger's test/suite with the hook, and compares what became
of each test with what is recorded without encryption."""
import json
import os
import shutil
import time
from collections import Counter

import plain as records
import runner

SKIP_OWN = "the test has an encryption= of its own"  # as in hook_wtkms.py


class FileRun:
    """One file's tests: {test: outcome}, {test: why}, and how the process ended."""

    def __init__(self, name):
        self.name = name
        self.outcomes = {}
        self.details = {}
        self.ended = None


def all_files(peer):
    folder = os.path.join(peer.tree, "test", "suite")
    return sorted(entry for entry in os.listdir(folder) if entry.startswith("test_") and entry.endswith(".py"))


def run_file(peer, name, limit):
    """Runs one file. A process that ends otherwise than its tests say is a failed test of the file's name."""
    run = FileRun(name)
    folder = os.path.join(peer.scratch, name)
    os.makedirs(folder)
    results = os.path.join(folder, "results")
    run.ended = runner.run(
        ["/usr/bin/python3" if os.path.exists("/usr/bin/python3") else "python3",
         os.path.join(peer.tree, "test", "suite", "run.py"), "-v", "0", "--hook", "wtkms",
         "-D", os.path.join(folder, "WT_TEST"), name],
        folder, peer.environment(WTKMS_SUITE_RESULTS=results), limit, os.path.join(folder, "output"))
    if os.path.exists(results):
        with open(results, encoding="utf-8") as file:
            for line in file:
                read_result(run, line)
    if not run.ended.late:
        check_end(run)
    shutil.rmtree(folder, ignore_errors=True)
    return run


def read_result(run, line):
    try:
        one = json.loads(line)
    except ValueError:  # the last line of a process that was ended
        return
    if run.outcomes.get(one["id"]) != "fail":
        run.outcomes[one["id"]] = one["outcome"]
        run.details[one["id"]] = one["detail"]


def check_end(run):
    failed = "fail" in run.outcomes.values()
    empty = not run.outcomes and "Ran 0 tests" in run.ended.output
    if run.ended.status not in (0, 1) or (run.ended.status == 1 and not failed) or not (run.outcomes or empty):
        run.outcomes[run.name] = "fail"
        run.details[run.name] = f"{run.ended.reason()}\n{run.ended.output[-3000:]}"


class Comparison:
    """Judges runs with encryption by those without."""

    def __init__(self, tally, plain_peer):
        self.tally = tally
        self.plain_peer = plain_peer
        self.recorded = records.read_plain()
        self.explained = records.read_explained()
        self.used = set()

    def plain_of(self, name, limit):
        """The recorded results, or a run without encryption now, which is recorded. None when there is no time."""
        if name not in self.recorded:
            run = run_file(self.plain_peer, name, limit)
            if run.ended.late:
                return None
            self.recorded[name] = records.plain_from(run.outcomes, run.ended.cpu)
            records.add_plain(name, self.recorded[name])
        return self.recorded[name]

    def judge(self, run, limit):
        """Counts one finished file. Returns its line for the results of a shard."""
        counts = {"passed": 0, "failed": 0, "skipped": 0}
        details, explained = [], Counter()
        other = [test for test, outcome in run.outcomes.items() if outcome == "fail"
                 or (outcome == "skip" and SKIP_OWN not in run.details[test])]
        plain = self.recorded.get(run.name) or (self.plain_of(run.name, limit) if other else None)
        for test, outcome in run.outcomes.items():
            verdict, word = self.judge_test(test, outcome, run.details[test], plain)
            counts[verdict] += 1
            if verdict == "failed":
                details.append(f"{test}: {word}\n{run.details[test]}")
            elif word:
                explained[f"{records.method_of(test)}: {word}"] += 1
        if plain is not None and run.name not in run.outcomes and len(run.outcomes) != plain.total():
            counts["failed"] += 1
            details.append(f"{len(run.outcomes)} tests ran, {plain.total()} without encryption")
        line = (f"{run.name} {counts['passed']} passed {counts['failed']} failed {counts['skipped']} skipped "
                f"{run.ended.cpu:.0f} s")
        said = [f"{text} ({number})" for text, number in explained.items()]
        self.tally.add(line, **counts, details=details + said)
        return line, [detail.split("\n", 1)[0] for detail in details] + said

    def judge_test(self, test, outcome, detail, plain):
        """(passed, failed or skipped; what is to be said)"""
        if outcome == "pass":
            return "passed", ""
        if outcome == "skip":
            if SKIP_OWN in detail:
                return "skipped", ""
            if plain is not None and plain.outcome(test) != "skip":
                return "failed", f"skipped, but without encryption: {plain.outcome(test)}"
            return "skipped", ""
        known = records.explanation(self.explained, test)
        if known:
            self.used.add(known[0])
            return "skipped", f"explained: {known[1]}"
        if plain is not None and plain.outcome(test) == "fail":
            return "skipped", "fails without encryption too"
        return "failed", "fails" if plain is None else "passes without encryption"

    def explained_for(self, names):
        """Notes explanations of files that ran in full and that no test needed."""
        for pattern, reason in self.explained:
            if pattern not in self.used and pattern.split(".", 1)[0] + ".py" in names:
                self.tally.note(f"explained, but no test of {pattern} fails now: {reason}")


def run_files(peer, names, tally, jobs, seconds, file_limit):
    """Runs the files with encryption until the time is over, compares, and returns (lines for the results of
    a shard, the files that there was no time for)."""
    plain_peer = runner.Peer(peer.engine, None, "plain")
    comparison = Comparison(tally, plain_peer)
    end = time.monotonic() + seconds
    lines, left, done = [], [], set()

    def one(name):
        remaining = end - time.monotonic()
        if remaining < 1:
            left.append(name)
            return
        try:
            run = run_file(peer, name, min(file_limit, remaining))
            if run.ended.late and run.ended.wall < file_limit - 1:
                left.append(name)
                return
            if run.ended.late:
                run.outcomes[name] = "fail"
                run.details[name] = f"{run.ended.reason()}\n{run.ended.output[-3000:]}"
            line, explained = comparison.judge(run, file_limit)
        except runner.Stopped:  # what ran before is still worth its results
            left.append(name)
            return
        lines.append("\n".join([line] + ["  " + text for text in explained]))
        done.add(name)

    try:
        runner.side_by_side(one, names, jobs)
    finally:
        plain_peer.close()
    comparison.explained_for(done)
    return sorted(lines), sorted(left)


def record_plain(peer, names, tally, jobs, seconds, file_limit):
    """Runs the files without encryption and keeps what became of them."""
    end = time.monotonic() + seconds

    def one(name):
        remaining = end - time.monotonic()
        run = run_file(peer, name, min(file_limit, remaining)) if remaining >= 1 else None
        if run is None or run.ended.late:
            tally.note(f"{name}: no time, not recorded")
            return
        plain = records.plain_from(run.outcomes, run.ended.cpu)
        records.add_plain(name, plain)
        failed = [f"{test}: {run.details[test]}" for test, outcome in run.outcomes.items() if outcome == "fail"]
        # A plain failure is a fact about the engine here, not a finding about the module.
        tally.add(f"{name} {plain.counts['pass']} passed {plain.counts['fail']} failed "
                  f"{plain.counts['skip']} skipped {plain.cpu:.0f} s",
                  passed=plain.counts["pass"], skipped=plain.counts["skip"] + plain.counts["fail"], details=failed)

    runner.side_by_side(one, names, jobs)
