#!/usr/bin/env python3
"""pyHanko as a signer for `make bench`: PAdES-B-B and PAdES-B-LT with a key on a PKCS#11 token.

usage: bench_pyhanko.py MODULE TOKEN_LABEL PIN KEY_ID CA_PEM ROOT_PEM TSA_URL

Reads one order a line, `LEVEL FILE` with LEVEL `PAdES-B-B` or `PAdES-B-LT`, signs the file in memory and answers `ok N`, the size of
what it made in bytes. Session, key, timestamp and HTTP clients are kept, as a service would.
"""

import sys
from io import BytesIO
from pathlib import Path

from pyhanko.config.pkcs11 import TokenCriteria
from pyhanko.keys import load_cert_from_pemder
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.pkcs11 import PKCS11Signer, open_pkcs11_session
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.timestamps import HTTPTimeStamper
from pyhanko_certvalidator import ValidationContext


def main(module, label, pin, key_id, ca_pem, root_pem, tsa_url):
    ca, root = load_cert_from_pemder(ca_pem), load_cert_from_pemder(root_pem)
    session = open_pkcs11_session(module, token_criteria=TokenCriteria(label=label), user_pin=pin)
    key_id = bytes.fromhex(key_id)
    signer = PKCS11Signer(session, key_id=key_id, cert_id=key_id, ca_chain=(ca, root))
    timestamper = HTTPTimeStamper(tsa_url)

    def sign(level, pdf):
        settings = {"field_name": "Signature", "md_algorithm": "sha256", "subfilter": SigSeedSubFilter.PADES}
        complete = level == "PAdES-B-LT"
        if complete:
            # A new context each time: what it remembers is about one document.
            context = ValidationContext(trust_roots=[root], other_certs=[ca], allow_fetching=True, revocation_mode="require")
            settings |= {"embed_validation_info": True, "validation_context": context}
        maker = PdfSigner(PdfSignatureMetadata(**settings), signer, timestamper=timestamper if complete else None)
        out = maker.sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf), strict=False), output=BytesIO()).getvalue()
        if complete and b"/DSS" not in out:
            raise RuntimeError("no DSS dictionary in what pyHanko made")
        return out

    for line in sys.stdin:
        level, _, path = line.rstrip("\n").partition(" ")
        print("ok", len(sign(level, Path(path).read_bytes())), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
