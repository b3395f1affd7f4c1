#!/usr/bin/env python3
"""Hands a mémoire d'honoraires in and prints its receipt. Python 3.9, standard library only.

usage: SCEAU_URL=http://127.0.0.1:7733 SCEAU_TOKEN=sceau_... hand_in.py memoire.xml memoire.pdf
"""

import base64
import json
import os
import re
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

URL, TOKEN = os.environ["SCEAU_URL"], os.environ["SCEAU_TOKEN"]
# Sceau is on this machine: no proxy in between.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(path, body=None):
    """Status, headers and body; None when there is no answer, whatever happened."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "Prefer": "wait=20"}
    request = urllib.request.Request(URL + path, body, headers)
    try:
        with OPENER.open(request, timeout=90) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()
    except OSError:  # refused, reset, closed, timed out
        return None


def until_answered(path, body=None):
    """Repeats the very same request while nobody knows, or the service asks for it."""
    pause = 1
    while True:
        answer = ask(path, body)
        if answer and answer[0] < 500:
            return answer
        asked_for = answer[1].get("Retry-After", "") if answer else ""
        time.sleep(int(asked_for) if asked_for.isdigit() else pause)
        pause = min(pause * 2, 60)


def refused(answer):
    """A 4xx: repeating it would change nothing."""
    problem = json.loads(answer[2])
    print(problem["doctor"]["fr"], file=sys.stderr)  # for the doctor
    print(problem["code"], problem["detail"], problem["remedy"], file=sys.stderr)  # for the log
    for fault in problem.get("faults", []):
        print("-", fault["code"], fault.get("pointer", {}).get("xpath", ""), fault["message"], file=sys.stderr)
    sys.exit(1)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        xml = file.read()
    with open(sys.argv[2], "rb") as file:
        pdf = file.read()
    # Your program writes a fresh version 4 UUID into each new document.
    identity = str(uuid.uuid4())
    xml = re.sub(r"(<(?:\w+:)?uuid>)[^<]*", rf"\g<1>{identity}", xml, count=1)
    body = json.dumps({"xml": xml, "pdf": base64.b64encode(pdf).decode()}).encode()
    # On disk before the first request: after a crash the same bytes go out again.
    # (Your program keeps it in its own database and sends it again at its start.)
    kept = os.path.join(tempfile.gettempdir(), f"sceau-{identity}.json")
    with open(kept, "wb") as file:
        file.write(body)

    answer = until_answered("/v1/forms/memoire-honoraires/depot", body)
    os.remove(kept)
    if answer[0] not in (200, 202):
        refused(answer)
    submission = json.loads(answer[2])
    pause = 1
    while not submission["is_final"]:
        waiting = submission.get("waiting")
        print(submission["state"], waiting["text"] if waiting else "", file=sys.stderr)
        time.sleep(pause)
        pause = min(pause * 2, 60)
        answer = until_answered(f"/v1/submissions/{identity}")
        if answer[0] != 200:
            refused(answer)
        submission = json.loads(answer[2])

    if submission["state"] != "receipted":
        print(json.dumps(submission, indent=2, ensure_ascii=False), file=sys.stderr)
        sys.exit(1)
    print(submission["insurer_id"])
    print(until_answered(f"/v1/submissions/{identity}/receipt")[2].decode())


main()
