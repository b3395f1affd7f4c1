#!/usr/bin/env python3
"""A developer's first hour: from a fresh clone to the first receipts, with the commands as README.md and docs/integrator.md
show them. Prints the time of each step. Not part of run.sh: it builds everything anew.

usage: first_hour.py [REPOSITORY]      (this one unless told)
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def blocks(path):
    """What stands in the fenced blocks without a language, one string a block."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(encoding="utf-8"), re.M | re.S)
    return [block for language, block in fences if not language]


def the_block(path, word):
    return next(block for block in blocks(path) if word in block)


def shell(command, clone):
    done = subprocess.run(["bash", "-ec", command], cwd=clone, env=ENVIRONMENT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def step(what):
    print(f"{time.monotonic() - START:8.1f} s  {what}", flush=True)


def await_receipt(command, clone):
    """Repeats the command that asks until it says so."""
    for _ in range(600):
        _, said = shell(command, clone)
        if '"receipted"' in said:
            return
        time.sleep(0.1)
    sys.exit(f"no receipt: {said}")


def main(repository, scratch):
    clone = Path(scratch) / "sceau"
    subprocess.run(["git", "clone", "-q", repository, clone], check=True)
    step("cloned")
    readme, guide = clone / "README.md", clone / "docs" / "integrator.md"
    demo = the_block(readme, "make demo KEEP=1").strip()
    running = subprocess.Popen(["bash", "-ec", demo], cwd=clone, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, start_new_session=True)
    try:
        for line in running.stdout:
            if line.startswith("service "):
                step(f"built and started by `{demo}`")
            if "receipted  the" in line:
                step("the demonstration shows its receipt")
            if "keep running" in line:
                break
        else:
            sys.exit("the demonstration ended")
        code, said = shell(the_block(readme, "curl -H"), clone)
        if code != 0 or '"state":"received"' not in said:
            sys.exit(f"curl: {said}")
        step("curl of README.md: 202")
        ask, receipt = the_block(guide, "/receipt").split("\ncurl")
        await_receipt(ask, clone)
        code, said = shell("curl" + receipt, clone)
        if "memoireHonorairesRetour" not in said:
            sys.exit(f"receipt: {said}")
        step("FIRST RECEIPT FROM CURL")
        code, said = shell(the_block(guide, "docs/examples/python/hand_in.py"), clone)
        if code != 0 or "memoireHonorairesRetour" not in said:
            sys.exit(f"Python: {said}")
        step("FIRST RECEIPT FROM PYTHON")
    finally:
        os.killpg(running.pid, signal.SIGINT)
        running.wait()


ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "CARGO_TARGET_DIR"}
START = time.monotonic()
with tempfile.TemporaryDirectory() as folder:
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent.parent, folder)
