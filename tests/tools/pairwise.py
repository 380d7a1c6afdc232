#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Combinations of options in which every two values that can go together do so at least once.

  pairwise.py FACTOR=VALUE,VALUE... [FACTOR=...]... [not FACTOR=VALUE FACTOR=VALUE]...

One combination in a line, values in the order of the factors, separated by blanks. "not" and two values: never both.
A value is written without blanks and commas; a "+" in it is printed as a comma. Equal arguments give equal lines.
"""
import itertools
import random
import sys

TRIES = 60


def parse(words):
    factors, excluded = [], set()
    words = iter(words)
    for word in words:
        if word == 'not':
            excluded.add(frozenset((next(words), next(words))))
        else:
            name, values = word.split('=', 1)
            factors.append([name + '=' + value for value in values.split(',')])
    return factors, excluded


def fits(chosen, value, excluded):
    return all(frozenset((value, other)) not in excluded for other in chosen)


def complete(start, factors, excluded, missing, rng):
    """A combination with the values of @start, the others as useful as they can be found to be; None: impossible."""
    chosen = dict(start)
    order = [i for i in range(len(factors)) if i not in chosen]
    rng.shuffle(order)
    for i in order:
        allowed = [v for v in factors[i] if fits(chosen.values(), v, excluded)]
        if not allowed:
            return None
        rng.shuffle(allowed)
        chosen[i] = max(allowed, key=lambda v: sum(frozenset((v, o)) in missing for o in chosen.values()))
    return [chosen[i] for i in range(len(factors))]


def combinations(factors, excluded):
    rng = random.Random(1)
    missing = {frozenset((a, b)) for x, y in itertools.combinations(factors, 2) for a in x for b in y} - excluded
    place = {value: i for i, values in enumerate(factors) for value in values}
    while missing:
        pair = min(sorted(p) for p in missing)
        found = filter(None, (complete([(place[v], v) for v in pair], factors, excluded, missing, rng)
                              for _ in range(TRIES)))
        covered = {tuple(row): {frozenset(p) for p in itertools.combinations(row, 2)} & missing for row in found}
        if not covered:
            missing.discard(frozenset(pair))
            continue
        best = max(sorted(covered), key=lambda row: len(covered[row]))
        missing -= covered[best]
        yield best


def main(words):
    if not words:
        print(__doc__, file=sys.stderr)
        return 2
    for row in combinations(*parse(words)):
        print(*(value.split('=', 1)[1].replace('+', ',') for value in row))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
