#!/usr/bin/env python3
"""test/cli/test_page.py -- The page of wtkms snapshot list --html in a real browser: Chromium without a network.
It shows every copy, sums up each customer key, sorts by each column, and prints.

Run by make check in the build directory; WTKMS_BUILD names another. Arguments are unittest's."""
import os
import re
import shutil
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wtkms_lab import *  # noqa: E402,F403
import chromium  # noqa: E402

CELLS = """Array.from(document.querySelectorAll('table')[%d].tBodies[0].rows, row =>
    Array.from(row.cells, cell => cell.innerText))"""
KEYS, COPIES = 0, 1
KEEP = ("2031-01-31", "2029-05-31")
MB = 1000000


def number(text):
    return 0 if text == "-" else float(text.split()[0])


def no_number(text):
    return text


class PageTest(Case):
    """One tree of copies and one browser for all."""

    @classmethod
    def setUpClass(cls):
        if not WT:
            raise unittest.SkipTest("no wt")
        if not chromium.PROGRAM:
            if os.environ.get("WTKMS_REQUIRE_PEERS") == "1":
                raise AssertionError("chromium is not installed: dist/setup does that")
            raise unittest.SkipTest("no chromium")
        case = cls("make_tree")
        case.setUp()
        cls.addClassCleanup(case.doCleanups)
        cls.page = case.make_tree()
        cls.browser = chromium.Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        if self._testMethodName == "make_tree":
            super().setUp()

    def make_tree(self):
        """Copies whose order differs by each column, and as text from that as numbers."""
        tree = self.path("tree")
        os.mkdir(tree)
        homes = []
        for i, node in enumerate(("beta", "alpha")):
            key = self.path(node + ".key")
            self.done(wtkms("keygen", key))
            config = self.configuration(node + ".conf", [f"{{provider: local, keyFile: {key}}}"], f"node: {node}\n")
            homes.append(self.home(node))
            self.done(self.init(homes[i], config=config))
            load(homes[i], count=20)
            self.done(wtkms("snapshot", "create", homes[i], homes[i] + ".copy", "--config", config,
                            "--keep-until", KEEP[i]))
        # name, home, megabytes of something else, when its last checkpoint says it was made
        for name, home, size, seconds in (("d", 0, 9, 1700000300), ("b", 1, 10, 1700000100), ("a", 0, 100, 1700000200),
                                          ("c", 1, 2, 999999999), ("e", 1, 30, 1700000400)):
            path = os.path.join(tree, name)
            shutil.copytree(homes[home] + (".copy" if name != "c" else ""), path)
            with open(os.path.join(path, "other"), "wb") as file:
                file.truncate(size * MB)
            turtle = os.path.join(path, "WiredTiger.turtle")
            with open(turtle, "rb") as file:
                text = file.read()
            with open(turtle, "wb") as file:
                file.write(re.sub(rb"time=\d+", b"time=%d" % seconds, text))
        shutil.copytree(homes[0] + ".copy", os.path.join(tree, "<img src=x onerror=window.taken=1>"))
        missing = os.path.join(tree, "f")
        shutil.copytree(homes[0], missing)
        for name in ("wtkms.keystore", "WiredTiger.config"):
            os.unlink(os.path.join(missing, name))
        page = self.path("page.html")
        result = wtkms("snapshot", "list", tree, "--html", page)
        self.assertEqual(result.code, 4, result.err)
        type(self).dated = self.path("dated.html")
        self.done(wtkms("snapshot", "list", *(os.path.join(tree, name) for name in "abde"), "--html", self.dated))
        return page

    def cells(self, table):
        return self.browser.evaluate(CELLS % table)

    def sort(self, table, column):
        self.browser.evaluate("document.querySelectorAll('table').forEach((t, i) => t.id = 't' + i)")
        self.browser.click(f"#t{table} th:nth-child({column + 1}) button")
        return [row[column] for row in self.cells(table)]

    def sorts(self, table, column, value):
        """Up by the first click, down by the second; no row comes or goes."""
        before, other = sorted(self.cells(table)), self.cells(1 - table)
        for word, reverse in (("ascending", False), ("descending", True)):
            got = self.sort(table, column)
            self.assertEqual([value(t) for t in got], sorted(map(value, got), reverse=reverse), (table, column, word))
            self.assertEqual(sorted(self.cells(table)), before)
            marks = self.browser.evaluate(f"Array.from(document.querySelectorAll('#t{table} th'),"
                                          "th => th.getAttribute('aria-sort'))")
            self.assertEqual([m for m in marks if m], [word])
            self.assertEqual(marks[column], word)
        self.assertEqual(self.cells(1 - table), other)

    def test_content(self):
        self.browser.open(self.page)
        self.assertEqual(self.browser.requests, ["file://" + self.page])
        self.assertEqual(self.browser.errors, [])
        copies = {os.path.basename(row[2]): row for row in self.cells(COPIES)}
        self.assertEqual(set(copies), {"a", "b", "c", "d", "e", "f", "<img src=x onerror=window.taken=1>"})
        self.assertEqual([copies[n][1] for n in "abcd"], ["beta", "alpha", "beta", "alpha"][0:2] + ["alpha", "beta"])
        self.assertEqual(copies["d"][3], "2023-11-14 22:18:20")
        self.assertTrue(100 <= number(copies["a"][4]) < 101)
        self.assertIn("keystore missing", copies["f"][5])
        self.assertEqual(self.browser.evaluate("document.images.length"), 0)
        self.assertIsNone(self.browser.evaluate("window.taken"))
        keys = {row[0]: row[1:] for row in self.cells(KEYS)}
        self.assertEqual(len(keys), 2)
        for name, count in (("d", 3), ("b", 3)):
            key = copies[name][5].split()[0]
            # The one whose keystore is missing could need either: so no date is said.
            self.assertEqual(keys[key], [str(count), str(count), "1", "-"])

    def test_free_after(self):
        """When all that needs a key has a date, and nothing is unknown, the last of them is told."""
        self.browser.open(self.dated)
        copies = {os.path.basename(row[2]): row for row in self.cells(COPIES)}
        self.assertEqual([copies[name][6] for name in "abde"], [KEEP[i] + " 23:59:59" for i in (0, 1, 0, 1)])
        keys = {row[0]: row[1:] for row in self.cells(KEYS)}
        for name, date in (("a", KEEP[0]), ("b", KEEP[1])):
            self.assertEqual(keys[copies[name][5].split()[0]], ["2", "2", "0", date + " 23:59:59"])
        self.sorts(KEYS, 4, no_number)
        self.sorts(COPIES, 6, no_number)

    def test_sorting(self):
        self.browser.open(self.page)
        copies = self.cells(COPIES)
        # Where the order of numbers is that of their texts a sort of texts would not be seen.
        sizes = [row[4] for row in copies]
        self.assertNotEqual(sorted(sizes, key=number), sorted(sizes))
        for column, value in enumerate((no_number, no_number, no_number, no_number, number, no_number, no_number,
                                        no_number)):
            self.sorts(COPIES, column, value)
        for column, value in enumerate((no_number, number, number, number, no_number)):
            self.sorts(KEYS, column, value)
        self.assertEqual(self.browser.errors, [])

    def test_a_broken_sort_is_found(self):
        """Of this test: pages that do not sort, or sort sizes as texts, do not pass it."""
        with open(self.page, encoding="utf-8") as file:
            text = file.read()
        for right, wrong in (("x - y", "0"), ("x - y", "String(x).localeCompare(String(y))"),
                             ("Number(c.dataset.value)", "c.textContent"), ("'click'", "'dblclick'")):
            self.assertIn(right, text)
            broken = self.page + ".broken.html"
            with open(broken, "w", encoding="utf-8") as file:
                file.write(text.replace(right, wrong))
            self.browser.open(broken)
            with self.assertRaises(AssertionError, msg=wrong):
                self.sorts(COPIES, 4, number)

    def test_print(self):
        self.browser.open(self.page)
        pdf = self.browser.pdf()
        self.assertTrue(pdf.startswith(b"%PDF-"))
        pages = len(re.findall(rb"/Type /Page\b", pdf))
        self.assertGreater(pages, 0)
        # A long list goes on over pages, under the same headings.
        self.browser.evaluate("(() => { const body = document.querySelectorAll('table')[1].tBodies[0];"
                              "for (let i = 0; i < 40; i++) body.append(body.rows[0].cloneNode(true)); })()")
        self.assertGreater(len(re.findall(rb"/Type /Page\b", self.browser.pdf())), pages)
        self.browser.ask("Emulation.setEmulatedMedia", media="print")
        self.addCleanup(self.browser.ask, "Emulation.setEmulatedMedia", media="")
        style = "getComputedStyle(document.querySelector(%r)).%s"
        self.assertEqual(self.browser.evaluate(style % ("thead", "display")), "table-header-group")
        self.assertEqual(self.browser.evaluate(style % ("tbody tr", "breakInside")), "avoid")


if __name__ == "__main__":
    unittest.main()
