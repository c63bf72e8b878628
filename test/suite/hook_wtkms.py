"""test/suite/hook_wtkms.py -- A hook for WiredTiger's own test/suite/run.py (--hook wtkms): every connection
that a test opens is opened with an encryptor, whatever extensions the test loads itself.

peer_suite.py puts this folder in PYTHONPATH and says by the environment what to do:
    WTKMS_SUITE_EXTENSION   an element for the list of extensions= ; without it nothing is changed (plain)
    WTKMS_SUITE_ENCRYPTION  the value for encryption=
    WTKMS_SUITE_RESULTS     a file to which a line of JSON is added for every test

Changed are wiredtiger_open, the `wt` and run.py that a test starts, and what a test reads of its
captured output: lines of the module, which it writes at every open, are taken out of that. A test
that asks for an encryption= of its own is skipped where it does. Tests that import files from one home
into another get the keystore of the first into the others, as an administrator would.
"""
import json
import os
import shutil
import subprocess
import unittest

import abstract_test_case
import wthooks
import wttest

extension = os.environ.get("WTKMS_SUITE_EXTENSION")
encryption = os.environ.get("WTKMS_SUITE_ENCRYPTION")
KEYSTORE = "wtkms.keystore"
OWN_LINE = b"wiredtiger-kms: "
SKIP_OWN = "the test has an encryption= of its own"


def top_level(config):
    """(key, start of value, end of value) of each top-level setting of a configuration string."""
    settings, depth, quoted, begin, value = [], 0, False, 0, None
    text = config + ","
    for at, char in enumerate(text):
        if quoted:
            quoted = char != '"' or text[at - 1] == "\\"
        elif char == '"':
            quoted = True
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char in "=:" and depth == 0 and value is None:
            value = at + 1
        elif char == "," and depth == 0:
            key = text[begin : value - 1 if value is not None else at].strip().strip('"')
            if key:
                settings.append((key, value if value is not None else at, at))
            begin, value = at + 1, None
    return settings


def is_broken(config):
    """Whether its brackets do not match: the engine must refuse it as it is, so nothing is added to it."""
    expected, quoted = [], False
    for at, char in enumerate(config):
        if quoted:
            quoted = char != '"' or config[at - 1] == "\\"
        elif char == '"':
            quoted = True
        elif char in "([{":
            expected.append(")]}"["([{".index(char)])
        elif char in ")]}" and (not expected or expected.pop() != char):
            return True
    return bool(expected)


def with_extension(config):
    """The configuration with our element first in its list of extensions, or None without a list."""
    last = [setting for setting in top_level(config) if setting[0] == "extensions"]
    if not last:
        return None
    _, start, end = last[-1]
    value = config[start:end].strip()
    inner = value[1:-1] if value[:1] in ("(", "[") else value
    inner = ",".join(part for part in (extension, inner.strip(" ,")) if part)
    return f"{config[:start]}[{inner}]{config[end:]}"


def home_config(home):
    """What the home's own base configuration says; it counts where the string says nothing."""
    try:
        with open(os.path.join(home or ".", "WiredTiger.basecfg"), encoding="utf-8") as file:
            return "".join(line for line in file if not line.startswith("#")).replace("\n", ",")
    except (OSError, UnicodeDecodeError):
        return ""


def encrypted_config(home, config):
    """The configuration with the encryptor in it; None where the test has one of its own."""
    config = config or ""
    if any(key == "encryption" for key, _, _ in top_level(config)):
        return None
    changed = with_extension(config)
    if changed is None:
        base = home_config(home)
        listed = [base[start:end] for key, start, end in top_level(base) if key == "extensions"]
        changed = f"{config},extensions={listed[-1] if listed else '[]'}"
        if extension not in changed:
            changed = with_extension(changed)
    return f"{changed},encryption={encryption}"


def open_args(_, args):
    home = args[0] if args else None
    config = args[1] if len(args) > 1 else ""
    if is_broken(config or ""):
        return args
    changed = encrypted_config(home, config)
    if changed is None:
        raise unittest.SkipTest(SKIP_OWN)
    share_keystore(home or ".")
    return (home, changed) + tuple(args[2:])


def must_be_encrypted(connection, module, home=None, config="", *others):
    """An open that went by the module would make all that follows worthless. Databases in memory have no
    keystore, and read-only ones may not write theirs."""
    settings = {key: config[start:end].strip() for key, start, end in top_level(config or "")}
    quiet = [key for key in ("in_memory", "readonly") if settings.get(key, "false") not in ("false", "0")]
    if "name=kms" in encryption and not quiet and not os.path.exists(os.path.join(connection.get_home(), KEYSTORE)):
        raise AssertionError(f"{connection.get_home()} was opened and has no {KEYSTORE}")


def share_keystore(home):
    """A file of another database is read with that database's keys: homes of an import test share theirs."""
    test = wttest.WiredTigerTestCase.currentTestCase()
    if test is None or "test_import" not in test.id():
        return
    first = getattr(test, "wtkms_first_home", None)
    if first is None:
        test.wtkms_first_home = os.path.abspath(home)
    elif not os.path.exists(os.path.join(home, KEYSTORE)) and os.path.exists(os.path.join(first, KEYSTORE)):
        shutil.copy2(os.path.join(first, KEYSTORE), home)


def wt_arguments(arguments):
    """The command line of `wt`, with the encryptor in its -C."""
    home, at, config = ".", 1, ""
    while at < len(arguments) and arguments[at].startswith("-"):
        if arguments[at] in ("-C", "-E", "-h") and at + 1 == len(arguments):
            return arguments  # a wrong command line, which wt is to refuse
        if arguments[at] == "-h":
            home = arguments[at + 1]
        elif arguments[at] == "-C":
            config = arguments[at + 1]
        elif arguments[at] == "-m":  # it and -C replace each other
            config = "verify_metadata=true"
        at += 2 if arguments[at] in ("-C", "-E", "-h") else 1
    changed = encrypted_config(home, config)
    if changed is None:
        raise unittest.SkipTest(SKIP_OWN)
    return arguments[:at] + ["-C", changed] + arguments[at:]


class HookedPopen(subprocess.Popen):
    """What tests start: `wt` gets the encryptor, another run.py gets this hook."""

    def __init__(self, args, *others, **settings):
        if isinstance(args, (list, tuple)) and args:
            args = list(args)
            if extension and os.path.basename(args[0]) == "wt":
                args = wt_arguments(args)
            elif len(args) > 1 and os.path.basename(args[1]) == "run.py":
                args[2:2] = ["--hook", "wtkms"]
                settings.setdefault("env", {**os.environ, "WTKMS_SUITE_RESULTS": os.devnull})
        self.written = [file.name for file in (settings.get("stdout"), settings.get("stderr"))
                        if isinstance(getattr(file, "name", None), str)]
        super().__init__(args, *others, **settings)

    def wait(self, timeout=None):
        status = super().wait(timeout)
        for path in self.written if extension else []:
            drop_own_lines(path, 0)
        return status


def drop_own_lines(path, start):
    """Takes the module's lines, from this offset on, out of a file."""
    try:
        with open(path, "r+b") as file:
            file.seek(start)
            lines = file.read().splitlines(keepends=True)
            kept = [line for line in lines if OWN_LINE not in line]
            if len(kept) != len(lines):
                file.seek(start)
                file.write(b"".join(kept))
                file.truncate()
    except OSError:
        pass


def hook_captured_output():
    """Output goes to files that are checked and read by offset. They are opened for appending, so that
    lines may be taken out of them while the test goes on."""
    captured = abstract_test_case.CapturedFd

    def capture_appending(self):
        open(self.filename, "wb").close()
        self.file = open(self.filename, "a", encoding="utf-8")
        return self.file

    def filtered(name):
        method = getattr(captured, name)

        def call(self, *args, **settings):
            if self.file is not None:
                self.file.flush()
            drop_own_lines(self.filename, self.expectpos)
            return method(self, *args, **settings)

        setattr(captured, name, call)

    captured.capture = capture_appending
    for name in ("readFileFrom", "hasUnexpectedOutput", "check", "ignorePreviousOutput", "checkAdditional",
                 "checkAdditionalPattern", "checkCustomValidator"):
        filtered(name)


class RecordingResult(unittest.TextTestResult):
    """Writes down what became of every test."""

    def record(self, test, outcome, detail=""):
        path = os.environ.get("WTKMS_SUITE_RESULTS")
        if path:
            name = test.id() if hasattr(test, "id") else str(test)
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"id": name, "outcome": outcome, "detail": detail[-4000:]}) + "\n")

    def addSuccess(self, test):
        super().addSuccess(test)
        self.record(test, "pass")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.record(test, "fail", self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.record(test, "fail", self.errors[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.record(test, "skip", reason)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.record(test, "pass")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.record(test, "fail", "an unexpected success")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.record(test, "fail", (self.failures + self.errors)[-1][1])


class WtkmsHookCreator(wthooks.WiredTigerHookCreator):
    def __init__(self, arg=None):
        unittest.TextTestRunner.resultclass = RecordingResult
        subprocess.Popen = HookedPopen

    def get_platform_api(self):
        return wthooks.DefaultPlatformAPI()

    def setup_hooks(self):
        if extension:
            hook_captured_output()
            self.wiredtiger["wiredtiger_open"] = (wthooks.HOOK_ARGS, open_args)
            self.wiredtiger["wiredtiger_open"] = (wthooks.HOOK_NOTIFY, must_be_encrypted)


def initialize(arg):
    return [WtkmsHookCreator(arg)]
