#!/usr/bin/env python3
"""Verdicts of our schema validation on the mutants of tests/it/xsd.rs beside those of libxml2 and Python's xmlschema.

usage: xsd.py MUTANTS     (xsd.jsonl, as `mutants_for_the_judges` writes it)

A difference is a failure unless one of the rules below names it.
"""
import collections
import difflib
import json
import multiprocessing
import re
import sys
from pathlib import Path

import xmlschema
from lxml import etree

ROOT = Path(__file__).resolve().parents[3]
SHOWN_MAX = 12
libxml2, python = {}, {}


def judge(case):
    """The verdicts of both: None, or what they object to."""
    schema = case["schema"]
    if schema not in libxml2:
        path = str(ROOT / schema)
        libxml2[schema] = etree.XMLSchema(etree.parse(path))
        python[schema] = xmlschema.XMLSchema10(path)
    data = case["xml"].encode()
    tree = etree.fromstring(data, etree.XMLParser(resolve_entities=False))
    ours = libxml2[schema]
    theirs = None if ours.validate(tree) else str(ours.error_log[0].message)
    try:
        # The schema is given: hints in a document are not followed.
        python[schema].validate(data.decode(), use_location_hints=False)
        other = None
    except xmlschema.XMLSchemaValidationError as error:
        other = str(error.reason)
    except xmlschema.XMLSchemaException as error:
        other = f"{type(error).__name__}: {error}"
    return theirs, other


def changed(case):
    original = (ROOT / case["schema"]).parent.joinpath(case["document"]).read_text("utf-8")
    lines = difflib.unified_diff(original.splitlines(), case["xml"].splitlines(), lineterm="", n=0)
    return [line[:300] for line in lines if line[:3] not in ("---", "+++") and line[:2] != "@@"][:SHOWN_MAX]


NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
BLANK_OF_UNICODE = re.compile(r"[\u00a0\u2000-\u200a\u2028\u2029\u3000]")


def elements(case):
    return [node for node in etree.fromstring(case["xml"].encode()).iter() if isinstance(node.tag, str)]


def idref(name, case, theirs):
    """libxml2 never checks that an IDREF has its ID (cvc-id.1)."""
    return name == "libxml2" and not theirs and set(case["ours"]) == {"cvc-id.1"}


def nil_under_wildcard(name, case, theirs):
    """xsi:nil on an undeclared element under a lax wildcard: libxml2 does not look at its value, xmlschema refuses even a
    right one, although there is no declaration that could be nillable or not (cvc-elt.3 wants one)."""
    values = [node.get(NIL) for node in elements(case) if NIL in node.attrib
              and any(above.tag == "{urn:test:order}extra" for above in node.iterancestors())]
    if name == "libxml2":
        return not theirs and set(case["ours"]) == {"cvc-datatype-valid"} and any(
            value.strip() not in ("true", "false", "0", "1") for value in values)
    return theirs == "element is not nillable" and not case["ours"] and values


def blanks_of_unicode(name, case, theirs):
    """xmlschema takes what Unicode calls a blank for one of XML's four, around values and between elements."""
    return name == "xmlschema" and not theirs and any(
        BLANK_OF_UNICODE.search(text or "") for node in elements(case) for text in (node.text, node.tail))


def text_beside_wildcard(name, case, theirs):
    """xmlschema overlooks text in an element whose content is a wildcard alone (cvc-complex-type.2.3)."""
    return name == "xmlschema" and not theirs and set(case["ours"]) == {"cvc-complex-type.2.3"} and any(
        node.tag.endswith(("}signature", "}extra")) and ((node.text or "") + "".join(c.tail or "" for c in node)).strip()
        for node in elements(case))


def missing_field(name, case, theirs):
    """xmlschema compares tuples in which a field of xs:unique is missing; such elements are not compared
    (cvc-identity-constraint.4.1: the qualified node set)."""
    return name == "xmlschema" and not case["ours"] and re.match(r"duplicated value \(.*None\) for XsdUnique", theirs or "")


def blanks_not_collapsed(name, case, theirs):
    """libxml2 does not collapse blanks around a date or a float of the types it refused here (§4.3.6: collapse)."""
    found = re.search(r"'(\s+[0-9A-Z.:+-]+\s*|[0-9A-Z.:+-]+\s+)' is not a valid value of the atomic type '[^']*(Day|Date|dateTime|Ratio)'", theirs or "")
    return name == "libxml2" and not case["ours"] and found


def blank_inside_number(name, case, theirs):
    """xmlschema takes a blank inside xs:decimal for nothing."""
    return name == "xmlschema" and not theirs and set(case["ours"]) == {"cvc-datatype-valid"} and any(
        re.fullmatch(r"[0-9]+ [0-9]+", (node.text or "").strip()) for node in elements(case))


def letters_in_base64(name, case, theirs):
    """libxml2 passes over what is not of the alphabet in xs:base64Binary (§3.2.16)."""
    return name == "libxml2" and not theirs and set(case["ours"]) == {"cvc-datatype-valid"} and any(
        node.tag.endswith("}document") and not (node.text or "").isascii() for node in elements(case))


RULES = (idref, nil_under_wildcard, blanks_of_unicode, text_beside_wildcard, missing_field, blanks_not_collapsed,
         blank_inside_number, letters_in_base64)


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    with multiprocessing.Pool() as pool:
        verdicts = pool.map(judge, cases, chunksize=25)
    failed = valid = 0
    explained = collections.Counter()
    for case, answers in zip(cases, verdicts):
        valid += not case["ours"]
        for name, theirs in zip(("libxml2", "xmlschema"), answers):
            if bool(theirs) == bool(case["ours"]):
                continue
            rule = next((rule for rule in RULES if rule(name, case, theirs)), None)
            if rule:
                explained[rule.__name__] += 1
                continue
            failed += 1
            if failed <= SHOWN_MAX:
                print(f"---- {name} on {case['document']}\n  ours   {case['ours']}\n  theirs {theirs}")
                print("\n".join(changed(case)))
    print(f"{len(cases)} mutants, {valid} of them still valid; differences explained:")
    for rule in RULES:
        print(f"  {explained[rule.__name__]:5} {rule.__name__}: {' '.join(rule.__doc__.split())}")
    total = 2 * len(cases)
    print(f"{total - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
