#!/usr/bin/env python3
"""Every example of docs/examples plays all cases of the contract tests, each against a sandbox and a service of its own.

usage: examples.py --bin BIN_DIR --out OUT
"""

import argparse
import concurrent.futures
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "docs" / "examples"
ARGUMENTS = "xsd/memoire-honoraires/2/examples/valid/depot/une-ligne.xml tests/fixtures/pdf/memoire-gs-a2b.pdf"
# Name, programs needed, how it is compiled (with {out}), how it is run.
LANGUAGES = [
    ("curl", ["curl", "sed"], None, "sh docs/examples/curl/hand_in.sh"),
    ("python", ["python3"], None, "python3 docs/examples/python/hand_in.py"),
    ("javascript", ["node"], None, "node docs/examples/javascript/hand_in.mjs"),
    ("java", ["java", "javac"], "javac -d {out} docs/examples/java/HandIn.java", "java -cp {out} HandIn"),
    ("csharp", ["mcs", "mono"], "mcs -r:System.Net.Http -out:{out}/HandIn.exe docs/examples/csharp/HandIn.cs", "mono {out}/HandIn.exe"),
    ("delphi", ["fpc"], "fpc -v0 -Mdelphi -FU{out} -o{out}/HandIn docs/examples/delphi/HandIn.pas", "{out}/HandIn"),
]


def play(sceau, out, language):
    """What went wrong; None: every case passed and the receipt was printed."""
    name, _, compiled, run = language
    out = out / name
    out.mkdir(parents=True)
    if compiled:
        done = subprocess.run(compiled.format(out=out).split(), cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            return done.stdout + done.stderr
    report = out / "report.xml"
    command = [sceau, "kit", "--folder", out / "kit", "--report", report, "--command", f"{run.format(out=out)} {ARGUMENTS}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = done.stdout + done.stderr
    if done.returncode != 0:
        return said
    cases = [case for case in ElementTree.parse(report).iter("testcase")]
    if len(cases) != 9 or any(case.find("failure") is not None for case in cases):
        return said
    receipt = (out / "kit" / "accepted.log").read_text(encoding="utf-8")
    return None if "memoireHonorairesRetour" in receipt else f"no receipt was printed:\n{receipt}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    sceau, out = options.bin.resolve() / "sceau", options.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    skipped = 0
    there = []
    for language in LANGUAGES:
        missing = [program for program in language[1] if shutil.which(program) is None]
        if missing:
            print(f"!!!! SKIPPED: the example in {language[0]}: no {', '.join(missing)}")
            skipped += 1
        else:
            there.append(language)
    # They wait more than they work.
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        faults = dict(zip([l[0] for l in there], pool.map(lambda l: play(sceau, out, l), there)))
    for name, fault in faults.items():
        print(f"ok   {name}: nine cases" if fault is None else f"FAIL {name}:\n{fault}")
    failed = sum(fault is not None for fault in faults.values())
    print(f"{len(there) - failed} passed, {failed} failed, {skipped} skipped")
    sys.exit(failed > 0)


main()
