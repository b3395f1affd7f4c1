#!/usr/bin/env python3
"""Schemathesis over the served OpenAPI description: no 5xx, no answer and no media type that is not described, whatever is
sent, and what is described as right is taken. With the stateful phase.

usage: run.py --bin BIN_DIR --out OUT [--seconds 180]

Starts sandbox and service of its own. Two runs share the time: one with what Schemathesis makes up, and one in which half of the
requests that hand a form in carry an example with a fresh UUID, so that submissions are made, asked for, and hurried.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
ST = ROOT / ".judges" / "venv" / "bin" / "st"
METHODS = ("get", "post", "put", "delete")

# What a description cannot say, and why the answer is right all the same.
CONFIG = """
[checks]
# A text may be no XML, and XML may break the rules of its form: 422. What is not JSON-shaped is refused as such.
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422", "503"]

[auth.openapi.program]
bearer = "{program}"

[auth.openapi.administrator]
bearer = "{administrator}"

# Which of `form` with `operation`, and `slot`, go together is said in words only.
[[operations]]
include-name = "POST /v1/signatures"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409", "422", "503"]

[[operations]]
include-name = "POST /v1/validations"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "422"]
# A part of a multipart body has no type: a number there is a document like any other, and that it is no XML is the verdict.
checks.negative_data_rejection.expected-statuses = ["200", "400", "401", "403", "404", "405", "413", "415", "421", "422"]

# Whether a PIN is needed depends on the reader that is plugged in.
[[operations]]
include-name = "POST /v1/tokens/unlock"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409"]

# That an insurer's id goes with `accepted` alone is said in words only.
[[operations]]
include-name = "POST /v1/submissions/{{uuid}}/settle"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409"]
"""


# Name, phases, more options, environment. In the second run right documents take the place of generated ones, so it cannot
# tell what is wrong by plan; the first one does.
RUNS = [
    ("generated", "examples,coverage,fuzzing,stateful", [], {}),
    ("right-documents", "fuzzing,stateful", ["--exclude-checks", "negative_data_rejection"], {"SCHEMATHESIS_HOOKS": "right_documents"}),
]


def start(command, log):
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(log, "w"), text=True, env=os.environ | {"NO_PROXY": "127.0.0.1"})


def await_file(path, process):
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"the service ended with {process.returncode}")
        if path.exists():
            return path.read_text()
        time.sleep(0.1)
    sys.exit("the service did not start")


def judge(options, out, processes):
    sandbox = start([options.bin / "sceau-sandbox", "--dir", out / "sandbox"], out / "sandbox.log")
    processes.append(sandbox)
    environment = Path(json.loads(sandbox.stdout.readline())["environment"])
    own = out / "sceau.toml"
    # Refused for their number, requests would judge nothing.
    own.write_text('[api]\nlisten = "127.0.0.1:0"\nrequests_per_second = 10000\nrequests_at_once = 100000\n[store]\nfolder = "state"\n')
    files = [f"--config={path}" for path in (environment.with_name("signer.toml"), environment, own)]
    service = start([options.bin / "sceau", "run", *files], out / "sceau.log")
    processes.append(service)
    endpoint = await_file(out / "state" / "endpoint", service)
    program = subprocess.run([options.bin / "sceau", "pair", "schemathesis", *files], capture_output=True, text=True, check=True)
    administrator = (out / "state" / "admin.token").read_text()

    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{endpoint}/v1/openapi.json") as answer:
        description = json.load(answer)
    # A stream does not end by itself; tests/it/faults.rs reads it.
    description["paths"].pop("/v1/events")
    # "default" would describe every answer there is: what is left must be complete.
    for item in description["paths"].values():
        for method in METHODS:
            item.get(method, {}).get("responses", {}).pop("default", None)
    (out / "openapi.json").write_text(json.dumps(description))
    config = out / "schemathesis.toml"
    config.write_text(CONFIG.format(program=program.stdout.strip(), administrator=administrator))
    ran = [play(out, endpoint, config, options.seconds // 2, run) for run in RUNS]
    if service.poll() is not None:
        sys.exit("the service died")
    return ran, out / "state"


def play(out, endpoint, config, seconds, run):
    name, phases, more, hooks = run
    command = [ST, "--config-file", config, "run", out / "openapi.json", "--url", endpoint, "--checks", "all", "--phases", phases, *more,
               "--max-time", str(seconds), "--continue-on-failure", "--seed", "1", "--no-color"]
    environment = os.environ | {"PYTHONPATH": str(HERE), "NO_PROXY": "127.0.0.1"} | hooks
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=out)  # its cache goes there
    (out / f"{name}.log").write_text(ran.stdout + ran.stderr)
    return ran


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=180)
    options = parser.parse_args()
    if not ST.exists():
        print("!!!! SKIPPED: Schemathesis is not installed (.judges/venv)")
        print("0 passed, 0 failed, 1 skipped")
        return
    options.bin, out = options.bin.resolve(), options.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    processes = []
    try:
        ran, state = judge(options, out, processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    failed = tested = requests = 0
    for (name, *_), one in zip(RUNS, ran):
        cases = re.search(r"^Test cases:\n\s+(\d+) generated", one.stdout, re.M)
        operations = re.search(r"Tested: (\d+)", one.stdout)
        if one.returncode != 0 or not cases or not operations:
            failures = sorted(set(re.findall(r"^- (ST\d+ .*)$", one.stdout, re.M)))
            print(one.stdout[-20000:], one.stderr[-2000:])
            print(f"FAIL {name}: {', '.join(failures) or 'Schemathesis itself'}")
            failed += max(1, len(failures))
            continue
        requests += int(cases[1])
        tested += int(operations[1])
    print(f"{requests} requests, every answer as described; submissions made: {made(state)}")
    print(f"{tested} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0)


def made(state):
    """Submissions that came of it; none would mean that nothing was reached."""
    import sqlite3

    with sqlite3.connect(f"file:{state / 'sceau.db'}?mode=ro", uri=True) as database:
        (count,) = database.execute("SELECT count(*) FROM submission").fetchone()
    if count == 0:
        print("FAIL no submission was made")
        print("0 passed, 1 failed, 0 skipped")
        sys.exit(1)
    return count


main()
