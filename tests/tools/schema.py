#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""From the catalogue of problems (btrkit check --list-problems --json) to the schema of what --json prints,
Documentation/btrkit-check-1.schema.json: schema.py <catalogue >schema"""
import json
import sys

SEVERITIES = ["note", "warning", "error", "fatal"]
U64 = {"type": "integer", "minimum": 0, "maximum": 2**64 - 1}
S64 = {"type": "integer", "minimum": -2**63, "maximum": 2**63 - 1}
COUNT = {"$ref": "#/definitions/u64"}
LINE_OF_TEXT = {"type": "string", "minLength": 1}


def counted(description):
    return {"$ref": "#/definitions/u64", "description": description}


def line(kind, description, members, optional=()):
    properties = {"type": {"const": kind}, **members} if kind else members
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def problem(codes):
    places = {
        "tree": {"$ref": "#/definitions/s64", "description": "id of the tree"},
        "inode": counted("of that subvolume"),
        "logical": counted("address of a block or an extent"),
        "devid": counted("device"),
        "physical": counted("address on that device, or on the only one"),
        "key": {
            "type": "array",
            "description": "of the item: objectid, type, offset",
            "items": [COUNT, {"type": "integer", "minimum": 0, "maximum": 255}, COUNT],
            "minItems": 3,
            "additionalItems": False,
        },
    }
    return line("problem", "Something that is wrong, or worth knowing.", {
        "code": {"enum": codes, "description": "as --list-problems has it"},
        "severity": {"$ref": "#/definitions/severity"},
        "text": {**LINE_OF_TEXT, "description": "what and where, for people"},
        **places,
        "paths": {
            "type": "array",
            "description": "files that it touches, in all subvolumes and snapshots; the first ones",
            "items": {"type": "string", "pattern": "^/"},
            "maxItems": 10,
            "uniqueItems": True,
        },
        "total_paths": counted("how many files there are in all"),
        "is_total_least": {"const": True, "description": "there may be more: not everything was looked at"},
    }, [*places, "is_total_least"])


def summary():
    return line("summary", "The last line.", {
        "schema": {"const": "btrkit-check-1"},
        "verdict": {"enum": ["clean", "problems found", "cancelled"]},
        "fatal": counted("problems of this severity"),
        "errors": counted("problems of this severity"),
        "warnings": counted("problems of this severity"),
        "notes": counted("problems of this severity"),
        "metadata_bytes_read": counted("tree blocks, each copy counted"),
        "data_bytes_read": counted("file data, each copy counted"),
        "blocks": counted("tree blocks"),
        "unreadable_blocks": counted("what is below these was not checked"),
        "extents": COUNT,
        "inodes": COUNT,
        "subvolumes": counted("with the top"),
        "memory_bytes": counted("that tables were allowed"),
        "spilled_bytes": counted("written to temporary files, because that was not enough"),
        "spill_dir": {**LINE_OF_TEXT, "description": "where these files were; absent if there were none"},
    }, ["spill_dir"])


def progress():
    return line("progress", "With --progress json, on standard error, once a second.", {
        "phase": LINE_OF_TEXT,
        "done_bytes": COUNT,
        "total_bytes": counted("0: not known"),
        "done_files": COUNT,
        "total_files": counted("0: not known"),
    })


def kind(codes):
    return line(None, "A row of the catalogue, which --list-problems prints.", {
        "code": {"enum": codes},
        "severity": {"$ref": "#/definitions/severity"},
        "message": {**LINE_OF_TEXT, "description": "as printf formats it"},
        "meaning": LINE_OF_TEXT,
        "repair": LINE_OF_TEXT,
    })


def main():
    codes = [json.loads(row)["code"] for row in sys.stdin]
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "btrkit-check-1",
        "$comment": "Made from check/problems.def by tests/tools/schema.py. SPDX-License-Identifier: LGPL-2.1-or-later",
        "description": "Each line that btrkit check --json prints. In version 1, codes and members may be added; none "
                       "goes away or comes to mean something else. Those of one release are listed here.",
        "oneOf": [{"$ref": "#/definitions/" + name} for name in ("problem", "summary", "progress", "kind")],
        "definitions": {
            "u64": U64,
            "s64": S64,
            "severity": {"enum": SEVERITIES},
            "problem": problem(codes),
            "summary": summary(),
            "progress": progress(),
            "kind": kind(codes),
        },
    }
    json.dump(schema, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
