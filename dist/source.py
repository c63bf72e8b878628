"""dist/source.py -- What the style checks share: the list of files, and C text without comments.

Imported by the s_* scripts that are Python. A check prints one line a finding, "file:line: text",
and exits 0 without findings, 1 with some, 77 when it cannot be made here (with a word why).
"""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.chdir(ROOT)

FOLDERS = ("common", "crypto", "kms_clients", "keystore", "datafile", "extension", "rotation",
           "snapshot", "cli")
SKIP = 77


def files(*suffixes, under=None):
    """The project's own files, relative to its root, in order. Without git (in an unpacked release)
    everything counts that is not hidden or built."""
    git = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                         capture_output=True)
    if git.returncode == 0 and os.path.exists(".git"):
        names = [name.decode() for name in git.stdout.split(b"\0") if name]
    else:
        names = []
        for base, folders, found in os.walk("."):
            folders[:] = [f for f in folders if f == ".ci" or
                          not (f.startswith(".") or f in ("autom4te.cache", "build-aux"))]
            names += [os.path.relpath(os.path.join(base, f), ".") for f in found]
    names = sorted(n for n in set(names) if os.path.isfile(n) and not os.path.islink(n))
    if suffixes:
        names = [n for n in names if n.endswith(suffixes)]
    if under:
        names = [n for n in names if n.split("/")[0] in under]
    return names


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(text, strings=True):
    """C text of the same length and lines, with comments, and with the insides of strings unless
    strings is false, replaced by blanks."""
    def replace(match):
        token = match.group(0)
        if token[0] == "/":
            return re.sub(r"[^\n]", " ", token)
        if strings:
            return token[0] + " " * (len(token) - 2) + token[-1]
        return token
    return _TOKEN.sub(replace, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def arguments(text, offset):
    """The arguments of a call whose '(' is at offset, split at top-level commas, and the offset
    behind its ')'. Quotes must have been blanked or be balanced."""
    depth = 0
    parts = [""]
    i = offset
    while i < len(text):
        char = text[i]
        if char in "\"'":
            end = i + 1
            while end < len(text) and text[end] != char:
                end += 2 if text[end] == "\\" else 1
            parts[-1] += text[i:end + 1]
            i = end + 1
            continue
        if char in "([{":
            depth += 1
            if depth == 1:
                i += 1
                continue
        elif char in ")]}":
            depth -= 1
            if depth == 0:
                return [p.strip() for p in parts], i + 1
        if char == "," and depth == 1:
            parts.append("")
        else:
            parts[-1] += char
        i += 1
    return [p.strip() for p in parts], i


class Findings:
    """Collects and prints findings, once each."""

    def __init__(self):
        self.lines = []

    def add(self, path, line, text):
        finding = f"{path}:{line}: {text}"
        if finding not in self.lines:
            self.lines.append(finding)

    def finish(self):
        for line in self.lines:
            print(line)
        sys.exit(1 if self.lines else 0)


def skip(reason):
    print(reason)
    sys.exit(SKIP)
