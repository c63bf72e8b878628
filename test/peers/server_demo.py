"""test/peers/server_demo.py -- What dist/demo shows: MODULE WTKMS DIRECTORY [--documents N]. Says what it
does, prints what it measured, exits 1 when anything is not as it should be.
"""
import argparse
import os
import shutil
import signal
import sys
import time

import server_scenario as scenario
from server import Refused, Server

SEARCH_NOTE = "every document holds 32 random characters of its own; the search looks for all of them"


class Demo:
    def __init__(self, arguments):
        self.directory = arguments.directory
        self.module = os.path.abspath(arguments.module)
        self.wtkms = scenario.Wtkms(os.path.abspath(arguments.wtkms))
        self.documents = scenario.Documents(arguments.documents, seed=int(time.time()))
        self.home = self.path("home")
        self.plain = self.path("plain")
        self.copy = self.path("copy")
        self.key = self.path("customer.key")
        self.config = self.path("wtkms.conf")
        self.log = self.path("server.log")
        self.wrong = []

    def path(self, name):
        return os.path.join(self.directory, name)

    def title(self, text):
        print(f"\n== {text}", flush=True)

    def say(self, text):
        print(f"   {text}", flush=True)

    def expect(self, condition, text):
        """Say a result; one that is not as it should be fails the demo in the end."""
        print(f"   {'ok    ' if condition else 'WRONG '}{text}", flush=True)
        if not condition:
            self.wrong.append(text)

    def command(self, *arguments, timeout=300):
        """Show a wtkms command and what it prints, as a user would see both."""
        shown = " ".join(a.replace(self.directory + "/", "") for a in arguments)
        print(f"   $ wtkms {shown}", flush=True)
        code, output, error = self.wtkms.run(*arguments, timeout=timeout)
        for line in (output + error).splitlines():
            print(f"     {line.replace(self.directory + '/', '')}", flush=True)
        return code

    def server(self, home=None):
        return Server(home or self.home, self.log)

    def show_refusal(self, what):
        """Start the server, which must refuse, and show its words."""
        try:
            with self.server():
                self.expect(False, f"{what}: the server started all the same")
        except Refused as refused:
            lines = scenario.refusal_lines(refused.output)
            for line in lines:
                self.say(f"  | {line}")
            self.expect(any("wiredtiger-kms:" in line for line in lines),
                        f"{what}: the server refuses and ends with code {refused.code}")

    # --- the story, in order

    def prepare(self):
        self.title("1. A customer key, and a home prepared by wtkms init")
        os.makedirs(self.home)
        self.expect(self.command("keygen", self.key) == 0, "a 32-byte key file, mode 0600")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"node: demo\nkms:\n  - provider: local\n    keyFile: {self.key}\n")
        self.expect(self.command("init", self.home, "--config", self.config, "--module",
                                 self.module) == 0, "keystore and WiredTiger.config written")
        with open(os.path.join(self.home, "WiredTiger.config"), encoding="utf-8") as file:
            lines = [line.rstrip() for line in file if line.strip() and not line.startswith("#")]
        self.say("WiredTiger.config is all that tells the engine; besides comment lines it says:")
        for line in lines:
            self.say(f"  {line}")

    def load(self):
        self.title(f"2. {self.documents.count} documents in three collections, two indexes each, "
                   f"by pymongo with writeConcern j: true")
        with self.server() as server, server.client() as client:
            self.say(f"the host is {Server.name()}, with no encryption option at all")
            seconds = self.documents.load(client)
            self.say(f"loaded in {seconds:.1f} s, {self.documents.count / seconds:.0f} documents/s")
            self.expect(self.documents.missing(client) == 0, "all read back as they were written")

    def kill(self):
        self.title("3. SIGKILL under load, restart")
        total = 0
        for i in range(3):
            writers = scenario.Writers(self.server().start(), first=i * 10**9)
            count = writers.run_and_kill(2 + i)
            total += count
            start = time.monotonic()
            with self.server() as server, server.client() as client:
                seconds = time.monotonic() - start
                lost = writers.lost(client)
                missing = self.documents.missing(client)
                wrong = self.documents.wrong_through_index(client)
            self.expect(count > 0 and lost == 0,
                        f"kill {i + 1}: {count} writes were acknowledged as journaled, {lost} lost; "
                        f"up again in {seconds:.1f} s")
            self.expect(missing == 0 and wrong == 0,
                        f"kill {i + 1}: of the {self.documents.count} documents {missing} are "
                        f"missing, {wrong} wrong through an index")
        self.say(f"{total} acknowledged writes in all")

    def search(self):
        self.title("4. A search of every file for what was written")
        self.say(SEARCH_NOTE)
        with self.server(self.plain) as server, server.client() as client:
            self.documents.load(client)
        markers = self.documents.markers
        there, where, files, size = scenario.search(self.plain, markers)
        self.expect(there >= 0.9 * len(markers),
                    f"an unencrypted twin shows {there} of {len(markers)} texts, in "
                    f"{len(where)} of {files} files ({size / 2**20:.0f} MiB)")
        found, where, files, size = scenario.search(self.home, markers)
        text = f"the encrypted home shows {found} of {len(markers)}, in {files} files "
        text += f"({size / 2**20:.0f} MiB)"
        self.expect(found == 0, ": ".join([text] + where))

    def judge(self):
        self.title("5. A copy of the files says which key it needs, without any key")
        scenario.copy(self.home, self.copy)
        os.rename(self.key, self.key + ".away")
        self.say("the customer key is taken away from this machine")
        code = self.command("status", self.copy)
        self.expect(code == 0, "wtkms status needs no key")
        os.rename(self.key + ".away", self.key)
        self.say("and with the key every unit of the copy is authenticated:")
        code = self.command("check", self.copy, "--config", self.config, timeout=600)
        self.expect(code == 0, "wtkms check")

    def refuse(self):
        self.title("6. A wrong key")
        before = scenario.digest(self.home)
        os.rename(self.key, self.key + ".away")
        self.wtkms.must("keygen", self.key)
        self.say("another key file stands in the place of the right one; the server says:")
        self.show_refusal("wrong key")
        os.remove(self.key)
        self.say("no key file at all; the server says:")
        self.show_refusal("no key")
        self.expect(scenario.digest(self.home) == before, "no file of the home was changed by that")
        os.rename(self.key + ".away", self.key)
        with self.server() as server, server.client() as client:
            self.expect(self.documents.missing(client) == 0,
                        "with the right key again every document is there")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("wtkms")
    parser.add_argument("directory")
    parser.add_argument("--documents", type=int, default=50_000)
    arguments = parser.parse_args()
    if not 100 <= arguments.documents <= 1_000_000:
        parser.error("--documents takes 100 to 1000000")

    # An end from outside is an exception too, so that servers are ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(arguments.directory, ignore_errors=True)
    os.makedirs(arguments.directory, mode=0o755)
    demo = Demo(arguments)
    start = time.monotonic()
    try:
        for part in (demo.prepare, demo.load, demo.kill, demo.search, demo.judge, demo.refuse):
            part()
    except Refused as refused:
        print(f"\nThe server did not start (exit {refused.code}); it printed:\n{refused.output}")
        return 1
    print(f"\nIn {time.monotonic() - start:.0f} s. The files are in {arguments.directory}")
    if demo.wrong:
        print(f"{len(demo.wrong)} of these results are not as they should be:")
        for text in demo.wrong:
            print(f"  {text}")
        return 1
    print("Every result is as it should be.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
