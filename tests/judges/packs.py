#!/usr/bin/env python3
"""Form packs against proto/pack.schema.json, and the schema's verdict beside that of `sceau pack check`.

usage: packs.py --bin DIR     (DIR holds sceau)

Every pack of the repository must be valid. Of the pack that uses every key, each key in turn is left out, renamed and given a value of
another type: what the schema refuses the program must refuse too. (The reverse does not hold: paths, files and lists are not for a schema.)
"""
import argparse
import datetime
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import jsonschema

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = ROOT / "src/forms/tests/essai"


def plain(value):
    """TOML's values as JSON has them."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


def toml(value):
    """A value as TOML writes it in one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, datetime.date):
        return value.isoformat()
    return json.dumps(value)


def mutants(value, rebuild, path=""):
    """(what was done, the whole with it done) for every key below."""
    if isinstance(value, list):
        for n, inner in enumerate(value):
            change = lambda new, n=n: rebuild(value[:n] + [new] + value[n + 1:])
            yield from mutants(inner, change, f"{path}[{n}]")
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        here = f"{path}.{key}".lstrip(".")
        rest = {k: v for k, v in value.items() if k != key}
        yield f"{here} left out", rebuild(rest)
        yield f"{here} renamed", rebuild({**rest, f"{key}x": inner})
        for other in (7.25, True, ["x"], {"x": "x"}):
            if type(other) is not type(inner):
                yield f"{here} = {toml(other)}", rebuild({**rest, key: other})
        yield from mutants(inner, lambda new, key=key: rebuild({**value, key: new}), here)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--bin", type=Path, required=True)
    program = arguments.parse_args().bin / "sceau"
    schema = json.loads((ROOT / "proto/pack.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    passed, failed = 0, 0
    packs = [path for folder in ("xsd", "tests/fixtures/packs", "src/forms/tests") for path in sorted((ROOT / folder).rglob("pack.toml"))]
    for path in packs:
        faults = [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(plain(tomllib.loads(path.read_text())))]
        print(f"{path.relative_to(ROOT)}: {'; '.join(faults) or 'valid'}")
        failed, passed = (failed + 1, passed) if faults else (failed, passed + 1)

    whole = tomllib.loads((EVERYTHING / "pack.toml").read_text())
    with tempfile.TemporaryDirectory() as scratch:
        folders, done = [], []
        for n, (what, mutant) in enumerate(mutants(whole, lambda new: new)):
            folder = Path(scratch) / str(n)
            shutil.copytree(EVERYTHING, folder)
            (folder / "pack.toml").write_text("".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in mutant.items()))
            folders.append(folder)
            done.append((what, validator.is_valid(plain(mutant))))
        said = subprocess.run([program, "pack", "check", *folders], capture_output=True, text=True).stdout
    # One line a folder; the faults below it are indented.
    verdicts = [line.rsplit(": ", 1)[-1].rsplit(", ", 1)[-1] for line in said.splitlines() if not line.startswith("  ")]
    assert len(verdicts) == len(done), f"{len(verdicts)} verdicts on {len(done)} packs"
    only_program = 0
    for (what, valid), verdict in zip(done, verdicts):
        accepted = verdict == "0 fault(s)"
        if accepted and not valid:
            print(f"the schema refuses, the program does not: {what}")
            failed += 1
        else:
            passed += 1
            only_program += valid and not accepted
    print(f"{len(done)} mutants: the schema refuses {sum(not valid for _, valid in done)}, the program {only_program} more")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
