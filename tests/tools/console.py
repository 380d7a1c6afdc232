#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Run the console examples of a page and compare what they print with what the page says.

    console.py PAGE [--update]

An example is a block marked console: "```console" in Markdown, ".. code-block:: console" in reStructuredText.

    $ command       is run; lines that begin with "> " continue it
    # command       is for root, or changes the machine: it is not run, nor what follows it compared
    other lines     are what the command prints, standard error included

All commands of a page run in one shell, in one folder that is empty at first. What varies from run to run:

    a UUID          stands for any UUID
    ...             stands for any text within a line; on a line of its own, for any number of lines

Each example gives a line on standard output: "ok" or "not ok", a tab, page and command. For each that differs, where it
stands and what was printed follow, each line after a tab. --update writes into the page what was printed where it differs.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

MARK = "=== end of example"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class Example:
    def __init__(self, line, indent, command):
        self.line = line            # index of the line of its prompt
        self.indent = indent
        self.commands = [command]
        self.first = line + 1       # output: lines first..last-1
        self.last = line + 1


def blocks(lines):
    """(first, end, indent) of each console block."""
    at = 0
    while at < len(lines):
        text = lines[at].strip()
        at += 1
        if text == "```console":
            first = at
            while lines[at].strip() != "```":
                at += 1
            yield first, at, ""
        elif text == ".. code-block:: console":
            while not lines[at].strip():
                at += 1
            first, indent = at, re.match(r" *", lines[at]).group()
            while at < len(lines) and (lines[at].startswith(indent) or not lines[at].strip()):
                at += 1
            end = at
            while not lines[end - 1].strip():
                end -= 1
            yield first, end, indent


def examples_of(lines):
    for first, end, indent in blocks(lines):
        current, is_skipped = None, False
        for at in range(first, end):
            text = lines[at][len(indent):]
            if text.startswith("$ ") or text.startswith("# "):
                if current and not is_skipped:
                    yield current
                current, is_skipped = Example(at, indent, text[2:]), text[0] == "#"
            elif current and text.startswith("> ") and current.last == at:
                current.commands.append(text[2:])
                current.first = current.last = at + 1
            elif current:
                current.last = at + 1
        if current and not is_skipped:
            yield current


def run(examples):
    """The output of each example, as lines."""
    folder = tempfile.mkdtemp(prefix="console.")
    environment = {"PATH": os.environ["PATH"], "HOME": folder, "LC_ALL": "C", "TZ": "UTC", "TERM": "dumb", "TMPDIR": folder}
    script = ["umask 022\n"]
    for example in examples:
        script.append("\n".join(example.commands) + "\nstatus=$?; printf '\\n%s\\n' '" + MARK + "'; (exit $status)\n")
    try:
        work = os.path.join(folder, "work")
        os.mkdir(work)
        with open(os.path.join(folder, "script"), "w") as file:
            file.write("".join(script))
        done = subprocess.run(["sh", "../script"], cwd=work, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False)
    finally:
        shutil.rmtree(folder)
    outputs = done.stdout.decode("utf-8", "backslashreplace").split("\n" + MARK + "\n")[:-1]
    outputs += ["(not reached)\n"] * (len(examples) - len(outputs))
    return [[line.rstrip() for line in text.splitlines()] for text in outputs]


def line_pattern(line):
    parts = re.split(r"(\.\.\.|" + UUID + ")", line)
    return "".join(".*" if part == "..." else UUID if re.fullmatch(UUID, part) else re.escape(part) for part in parts)


def matches(expected, got):
    """A line "..." takes as few lines as will do."""
    pattern = ""
    for line in expected:
        pattern += r"(?:[^\n]*\n)*?" if line.strip() == "..." else line_pattern(line.rstrip()).replace(".*", r"[^\n]*") + "\n"
    return re.fullmatch(pattern, "".join(line + "\n" for line in got)) is not None


def main():
    page, do_update = sys.argv[1], sys.argv[2:] == ["--update"]
    with open(page, encoding="utf-8") as file:
        lines = file.read().split("\n")
    examples = list(examples_of(lines))
    changes = []
    for example, got in zip(examples, run(examples)):
        expected = [line[len(example.indent):] for line in lines[example.first:example.last]]
        while expected and not expected[-1].strip():
            expected.pop()
            example.last -= 1
        while got and not got[-1]:
            got.pop()
        is_right = matches(expected, got)
        print("%s\t%s: %s" % ("ok" if is_right else "not ok", page, example.commands[0]))
        if not is_right:
            print("\tline %d" % (example.line + 1))
            print("".join("\t" + line + "\n" for line in got), end="")
            changes.append((example, got))
    if do_update:
        for example, got in reversed(changes):
            lines[example.first:example.last] = [(example.indent + line).rstrip() for line in got]
        with open(page, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))


main()
