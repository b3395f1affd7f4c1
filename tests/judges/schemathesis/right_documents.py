"""Gives half of the requests that hand something in a document that is right, with a UUID of its own."""

import base64
import random
import re
import uuid
from pathlib import Path

import schemathesis
from schemathesis.transport.serialization import Binary

ROOT = Path(__file__).resolve().parent.parent.parent.parent
PDF = (ROOT / "tests/fixtures/pdf/memoire-gs-a2b.pdf").read_bytes()
CHOICE = random.Random(1)
# Those that need no earlier document and, of what takes a PDF, those that do not embed it.
EXAMPLES = [
    ("memoire-honoraires", "depot", "une-ligne", True),
    ("memoire-honoraires", "depot", "accident", True),
    ("ecit", "depot", "maladie", True),
    ("eordonnance", "depot", "medicament", True),
    ("pid", "simulation", "une-ligne", False),
]


def document(form, operation, name):
    (path,) = ROOT.glob(f"xsd/{form}/*/examples/valid/{operation}/{name}.xml")
    xml = path.read_text(encoding="utf-8")
    return re.sub(r"(<\w+:uuid>)[^<]*", rf"\g<1>{uuid.uuid4()}", xml, count=1)


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.operation.label != "POST /v1/forms/{form}/{operation}" or CHOICE.random() < 0.5:
        return
    media_type = case.media_type or ""
    takes_pdf = CHOICE.choice([True, False]) if media_type != "application/xml" else False
    form, operation, name, with_pdf = CHOICE.choice([e for e in EXAMPLES if e[3] == takes_pdf])
    xml = document(form, operation, name)
    case.path_parameters = {"form": form, "operation": operation}
    case.query = {}
    if media_type == "multipart/form-data":
        case.body = {"xml": Binary(xml.encode())} | ({"pdf": Binary(PDF)} if with_pdf else {})
    elif media_type == "application/json":
        case.body = {"xml": xml} | ({"pdf": base64.b64encode(PDF).decode()} if with_pdf else {})
    elif media_type == "application/xml":
        case.body = Binary(xml.encode())
