#!/usr/bin/env python3
"""The XML reports of `sceau validate` against the schema of TS 119 102-2 v1.4.1, as EU DSS ships it.

usage: reports.py --bin DIR CORPUS     (CORPUS: what refusals/refusals.py generated)

Prints what does not validate and, as its last line, "N passed, N failed, N skipped".
"""

import argparse
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LIBRARIES = Path(__file__).resolve().parents[2] / ".judges" / "java" / "lib"

# Addresses in the schemas' imports, by their end, and the file that DSS ships for each.
SCHEMAS = {
    "xmldsig-core-schema.xsd": ("specs-xmldsig", "xmldsig-core-schema.xsd"),
    "XAdES.xsd": ("specs-xades", "XAdES01903v132-202407.xsd"),
    "XAdES01903v132-201601.xsd": ("specs-xades", "XAdES01903v132-202407.xsd"),
    "ts_119612v020201_201601xsd.xsd": ("specs-trusted-list", "ts_119612v020401_xsd.xsd"),
    "xml.xsd": ("specs-xmldsig", "xml.xsd"),
    "TS119102-2-v141.xsd": ("specs-validation-report", "TS119102-2-v141.xsd"),
}
REPORT = "{http://uri.etsi.org/19102/v1.4.1#}"


def shipped(library, name):
    (jar,) = (path for path in LIBRARIES.glob(f"{library}-*.jar") if path.name[len(library) + 1].isdigit())
    with zipfile.ZipFile(jar) as archive:
        return archive.read(f"xsd/{name}")


def schema():
    from lxml import etree

    class Shipped(etree.Resolver):
        def resolve(self, url, public, context):
            return self.resolve_string(shipped(*SCHEMAS[url.rsplit("/", 1)[-1]]), context)

    # The imports name servers: nothing is asked of them.
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Shipped())
    root = etree.fromstring(shipped(*SCHEMAS["TS119102-2-v141.xsd"]), parser)
    return etree, etree.XMLSchema(root)


def xml_report(program, folder):
    command = [program, "validate", "--xml", *folder.glob("signed.*"), "--at", (folder / "at").read_text()]
    for option in ("anchor", "evidence"):
        folder_of = folder / ("anchors" if option == "anchor" else option)
        for file in sorted(folder_of.iterdir()):
            command += [f"--{option}", file]
    if (folder / "slot").exists():
        command += ["--slot", (folder / "slot").read_text()]
    return subprocess.run([str(word) for word in command], check=False, capture_output=True, timeout=60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("corpus", type=Path)
    arguments = parser.parse_args()
    etree, xsd = schema()
    folders = sorted(arguments.corpus.iterdir())
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda folder: xml_report(arguments.bin / "sceau", folder), folders))
    failed = 0
    for folder, answer in zip(folders, answers, strict=True):
        try:
            document = etree.fromstring(answer.stdout)
            valid = xsd.validate(document)
            said = document.findtext(f".//{REPORT}MainIndication") == "urn:etsi:019102:mainindication:total-passed"
            fault = None if valid else str(xsd.error_log.last_error)
            # With several signatures the first may pass and the status tell of another.
            if answer.returncode == 0 and not said:
                fault = "the exit code says passed, the report does not"
        except etree.XMLSyntaxError:
            fault = f"no XML, exit code {answer.returncode}: {answer.stderr[:300]!r}"
        if fault:
            failed += 1
            print(f"{folder.name}: {fault}")
    print(f"{len(folders) - failed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
