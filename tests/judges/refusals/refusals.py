#!/usr/bin/env python3
"""Bad documents, and good ones beside them: what Sceau says, what EN 319 102-1 says, what EU DSS says. See README.md beside this file.

usage: refusals.py --bin DIR [--out OUT] [--no-dss] [--details] [NAME...]     (DIR holds sceau; NAME: only these cases)
       refusals.py --generate OUT

Prints the table and, as its last line, "N passed, N failed, N skipped".
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
JUDGES = ROOT / ".judges"
PYTHON = JUDGES / "venv" / "bin" / "python"
if Path(sys.prefix).resolve() != (JUDGES / "venv").resolve():
    if not PYTHON.exists():
        sys.exit(f"{PYTHON} is missing: run {HERE.parent}/setup.sh first")
    os.execv(PYTHON, [str(PYTHON), *sys.argv])

# Only the virtual environment has what these need.
import cases_xml  # noqa: F401, I001 the cases register themselves, in this order
import cases_pki  # noqa: F401
import cases_revocation  # noqa: F401
import cases_pdf  # noqa: F401
from asn1crypto import pem
from corpus import CASES, PASSED
from disagreements import DISAGREEMENTS
from pki import World


def generate(out, names):
    """Writes a folder a case: signed.xml or signed.pdf, at, slot, anchors/, evidence/."""
    world = World()
    for name in names:
        made = CASES[name].make(world)
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "anchors").mkdir(parents=True)
        (folder / "evidence").mkdir()
        (folder / f"signed.{made.kind}").write_bytes(made.data)
        (folder / "at").write_text(made.at.strftime("%Y-%m-%dT%H:%M:%SZ"))
        if made.slot:
            (folder / "slot").write_text(made.slot)
        for number, anchor in enumerate(made.anchors or [world.root], 1):
            (folder / "anchors" / f"{number}.pem").write_bytes(pem.armor("CERTIFICATE", anchor.der))
        for number, (kind, der) in enumerate(made.evidence, 1):
            (folder / "evidence" / f"{kind}-{number}.der").write_bytes(der)


def ask_sceau(program, folder):
    """(verdict, detail) of `sceau validate`."""
    command = [program, "validate", *folder.glob("signed.*"), "--at", (folder / "at").read_text()]
    for anchor in sorted((folder / "anchors").iterdir()):
        command += ["--anchor", anchor]
    for evidence in sorted((folder / "evidence").iterdir()):
        command += ["--evidence", evidence]
    if (folder / "slot").exists():
        command += ["--slot", (folder / "slot").read_text()]
    done = subprocess.run([str(word) for word in command], check=False, capture_output=True, timeout=60)
    try:
        report = json.loads(done.stdout)[0]["report"]
        verdict = report["indication"] + (f"/{report['sub_indication']}" if report.get("sub_indication") else "")
    except (ValueError, LookupError, TypeError):
        return f"NO REPORT, exit code {done.returncode}", (done.stdout + done.stderr).decode("utf-8", "replace").strip()[:300]
    if (done.returncode == 0) != (verdict == "TOTAL-PASSED"):
        return f"{verdict}, exit code {done.returncode}", ""
    return verdict, detail_of(report)


def detail_of(report):
    """What the report says beside the verdict, in a line."""
    levels = [str(signature.get("level", "")) for signature in report.get("signatures", [])]
    return "; ".join(word for word in [*levels, report.get("text", "")] if word)[:300]


def start_dss(out):
    classes = JUDGES / "java" / "classes"
    if not shutil.which("java") or not (classes / "Refusals.class").exists():
        return None
    # A short-lived process: the quick compiler and the simple collector.
    options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xss4m", "-Djava.awt.headless=true"]
    return subprocess.Popen(
        ["java", *options, "-cp", f"{classes}:{JUDGES}/java/lib/*", "Refusals", str(out)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def dss_answers(process):
    output, _ = process.communicate(timeout=600)
    lines = [line.split("\t") for line in output.decode().splitlines()]
    return {name: (verdict, detail) for name, verdict, detail in lines}


def agrees(dss, case):
    """Whether DSS says the same: of several signatures the worst counts. No verdict at all is no acceptance.

    To DSS a broken timestamp does not break a signature (it falls back to the present time), so its own indication is taken then.
    """
    if dss == "NONE":
        return case.expected != PASSED
    verdicts = dss.split(" + ")
    worst = [verdict for kind in ("TOTAL-FAILED", "INDETERMINATE", "TOTAL-PASSED") for verdict in verdicts if verdict.startswith(kind)][0]
    verdict, _, stamp = worst.partition(", timestamp ")
    if stamp and verdict == "TOTAL-PASSED":
        verdict = "INDETERMINATE/SIG_CONSTRAINTS_FAILURE" if stamp.startswith("FAILED") else stamp
    return verdict in case.expected


def judge(case, ours, dss):
    """What is wrong with the case, or None."""
    if ours is not None:
        if ours[0] == "TOTAL-PASSED" and case.expected != PASSED:
            return "FALSE ACCEPT"
        if ours[0] not in case.expected:
            return "not as expected"
    if dss is None:
        return None
    says, _because, words = DISAGREEMENTS.get(case.name, (None, None, None))
    if says is None:
        return None if agrees(dss[0], case) else "DSS disagrees, unexplained"
    return None if dss[0] == says and words in dss[1] else "DSS says something else than the table of disagreements"


def report(names, ours, dss, details):
    width = max(map(len, names))
    total = {"passed": 0, "failed": 0, "explained": 0, "accepts": 0}
    shown_family = None
    for name in names:
        case = CASES[name]
        if case.family != shown_family:
            shown_family = case.family
            print(f"\n{shown_family}")
        mine, other = ours.get(name), dss.get(name)
        fault = judge(case, mine, other)
        total["failed" if fault else "passed"] += 1
        total["accepts"] += fault == "FALSE ACCEPT"
        expected = " | ".join(sorted(case.expected))
        stated = DISAGREEMENTS.get(name)
        total["explained"] += bool(stated and other and not fault)
        says = f"ours {mine[0] if mine else '-'}; DSS {other[0] if other else '-'}"
        because = f", because {stated[1]}" if stated else ""
        print(f"  {name.ljust(width)}  {fault or 'ok'}: expected {expected}; {says}{because}")
        if details or fault:
            print(f"      {case.why}")
            for who, answer in (("ours", mine), ("DSS", other)):
                if answer and answer[1]:
                    print(f"      {who}: {answer[1][:400]}")
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "refusals")
    parser.add_argument("--generate", type=Path)
    parser.add_argument("--no-dss", action="store_true")
    parser.add_argument("--keep", action="store_true", help="use the documents OUT has")
    parser.add_argument("--details", action="store_true")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    families = list(dict.fromkeys(case.family for case in CASES.values()))
    names = arguments.names or sorted(CASES, key=lambda name: families.index(CASES[name].family))
    started = time.monotonic()
    out = arguments.generate or arguments.out
    if not arguments.keep:
        shutil.rmtree(out, ignore_errors=True)
        generate(out, names)
    if arguments.generate:
        return
    made = time.monotonic() - started
    process = None if arguments.no_dss else start_dss(out)
    ours = {}
    program = arguments.bin and arguments.bin / "sceau"
    if program and program.exists():
        with ThreadPoolExecutor(2) as pool:
            ours = dict(zip(names, pool.map(lambda name: ask_sceau(program, out / name), names), strict=True))
    dss = dss_answers(process) if process else {}
    total = report(names, ours, dss, arguments.details)
    bad = [name for name in names if CASES[name].expected != PASSED]
    print(f"\n{len(bad)} bad documents, {len(names) - len(bad)} good ones; {total['accepts']} false accepts;", end=" ")
    print(
        f"{total['explained']} disagreements with DSS, explained; made in {made:.1f} s, judged in {time.monotonic() - started - made:.1f} s"
    )
    skipped = 0
    for who, answers, wanted in (("sceau", ours, True), ("EU DSS", dss, not arguments.no_dss)):
        if wanted and not answers:
            print(f"!!!! SKIPPED: {who} is not there")
            skipped += len(names)
    print(f"{total['passed']} passed, {total['failed']} failed, {skipped} skipped")
    sys.exit(1 if total["failed"] else 0)


if __name__ == "__main__":
    main()
