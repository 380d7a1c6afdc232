#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Do lines of JSON follow a schema?

  jsonlines.py SCHEMA check FILE...     what btrkit check --json printed: the last line is the summary, and its numbers are
                                        those of the problems before it
  jsonlines.py SCHEMA lines FILE...     any lines

Prints what is wrong; exits 0 when nothing is, and 3 without the module jsonschema.
"""
import collections
import json
import sys

try:
    import jsonschema
except ImportError:
    sys.exit(3)

COUNTED = {"fatal": "fatal", "error": "errors", "warning": "warnings", "note": "notes"}


def what_is_wrong_with_all(lines):
    counts = collections.Counter(entry.get("severity") for entry in lines[:-1])
    if not lines or lines[-1].get("type") != "summary":
        yield "the last line is no summary"
        return
    for severity, member in COUNTED.items():
        if lines[-1].get(member) != counts[severity]:
            yield f"{member} is {lines[-1].get(member)}, there are {counts[severity]}"
    for number, entry in enumerate(lines[:-1], 1):
        if entry.get("type") != "problem":
            yield f"line {number} is no problem"
        elif entry["total_paths"] < len(entry["paths"]) or (entry["total_paths"] > len(entry["paths"]) < 10):
            yield f"line {number}: {len(entry['paths'])} paths of {entry['total_paths']}"


def main(schema_path, what, *paths):
    with open(schema_path, encoding="utf-8") as f:
        schema = json.load(f)
    jsonschema.Draft7Validator.check_schema(schema)
    # A line says itself which kind it is: complaints are then of that kind, not of all. A kind of the catalogue says nothing.
    names = [ref["$ref"].rpartition("/")[2] for ref in schema["oneOf"]]
    of_kind = {name: jsonschema.Draft7Validator({**schema, "oneOf": [{"$ref": "#/definitions/" + name}]}) for name in names}
    of_any = of_kind.get("kind") or jsonschema.Draft7Validator(schema)
    is_wrong = False
    for path in paths:
        with open(path, encoding="utf-8") as f:
            lines = [json.loads(text) for text in f]
        found = [f"line {number}: {error.message[:200]}" for number, entry in enumerate(lines, 1)
                 for error in of_kind.get(entry.get("type"), of_any).iter_errors(entry)]
        if what == "check" and not found:
            found = list(what_is_wrong_with_all(lines))
        elif not lines:
            found = ["no lines"]
        for words in found:
            print(f"{path}: {words}")
        is_wrong = is_wrong or bool(found)
    return is_wrong


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
