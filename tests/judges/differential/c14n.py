#!/usr/bin/env python3
"""Canonical forms of tests/it/c14n.rs beside those of libxml2 and Apache Santuario.

usage: c14n.py CASES     (c14n.jsonl, as `cases_for_the_judges` writes it)

Every case goes to the system's libxml2, every one in exclusive mode to Santuario, and whole documents
to the libxml2 inside lxml as well. One difference is a failure, but for what `stops_at_empty_root` names.
"""
import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests" / "fixtures" / "c14n"))
EXCLUSIVE, INCLUSIVE = 1, 0
MODES = {0: "C14N 1.0", 1: "exclusive", 2: "C14N 1.1"}
SHOWN_MAX = 5


def system_libxml2(cases):
    try:
        import libxml2  # ends the program with 77 when the library is missing
    except SystemExit:
        return None
    return [(case, libxml2.canonical(case)) for case in cases]


def lxml(cases):
    try:
        from lxml import etree
    except ImportError:
        return None
    parser = etree.XMLParser(resolve_entities=False, strip_cdata=True)
    out = []
    for case in cases:
        hidden = "hole" in case["xml"] or "gap" in case["xml"]
        # lxml has no C14N 1.1, copies a subtree out of its document, and drops #default from the list.
        if case["apex"] or hidden or case["mode"] not in (EXCLUSIVE, INCLUSIVE) or "#default" in case["prefixes"]:
            continue
        tree = etree.ElementTree(etree.fromstring(case["xml"].encode(), parser))
        exclusive = case["mode"] == EXCLUSIVE
        text = etree.tostring(tree, method="c14n", exclusive=exclusive, with_comments=bool(case["comments"]),
                              inclusive_ns_prefixes=case["prefixes"] or None if exclusive else None)
        out.append((case, text.hex()))
    return out


def santuario(cases):
    java = ROOT / ".judges" / "java"
    if not (java / "classes" / "Santuario.class").is_file():
        return None
    wanted = [case for case in cases if case["mode"] == EXCLUSIVE]
    lines = "".join(
        "\t".join((case["xml"].encode().hex(), str(case["comments"]), " ".join(case["prefixes"]), str(int(case["apex"])))) + "\n"
        for case in wanted)
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{java}/classes:{java}/lib/*", "Santuario"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    answers = done.stdout.splitlines()
    if done.returncode or len(answers) != len(wanted):
        sys.exit(f"Santuario answered {len(answers)} of {len(wanted)} cases: {done.stderr[-2000:]}")
    return list(zip(wanted, answers))


def stops_at_empty_root(case, form):
    """Santuario 3.0.6 ends at an empty document element and leaves out what follows it."""
    empty_root = rb"(?s)(<\?.*?\?>\n|<!--.*?-->\n)*<([^\s>]+)[^>]*></\2>"
    return not case["apex"] and case["ours"].startswith(form) and re.fullmatch(empty_root, bytes.fromhex(form))


def readable(form):
    return form if form == "error" else bytes.fromhex(form).decode(errors="replace")


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    passed = failed = skipped = 0
    for name, judge in (("libxml2", system_libxml2), ("libxml2 of lxml", lxml), ("Santuario", santuario)):
        answers = judge(cases)
        if answers is None:
            print(f"!!!! SKIPPED: {name} is not installed; nothing was compared with it")
            skipped += 1
            continue
        differ = [(case, form) for case, form in answers if form != case["ours"]]
        excused = name == "Santuario" and [(case, form) for case, form in differ if stops_at_empty_root(case, form)] or []
        wrong = [difference for difference in differ if difference not in excused]
        for case, form in wrong[:SHOWN_MAX]:
            print(f"---- {name}: {MODES[case['mode']]} comments={case['comments']} prefixes={case['prefixes']} apex={case['apex']}\n"
                  f"  source {case['xml']!r}\n  ours   {readable(case['ours'])!r}\n  theirs {readable(form)!r}")
        counts = {mode: sum(case["mode"] == mode for case, _ in answers) for mode in MODES}
        told = ", ".join(f"{MODES[mode]} {count}" for mode, count in counts.items() if count)
        print(f"{name}: {len(answers)} cases ({told}), {len(wrong)} differ" +
              (f", {len(excused)} more by stops_at_empty_root" if excused else ""))
        passed += len(answers) - len(differ)
        failed += len(wrong)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
