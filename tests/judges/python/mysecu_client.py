"""A generic SOAP client for the mySecu dialogue: zeep reads the WSDL files of proto/mysecu and makes and checks the bodies,
python-xmlsec signs the requests and verifies the answers. Nothing of Sceau is used.

usage: mysecu_client.py --environment DIR/environment.toml --code 90000001 --ehealth 9000000001
                        --operation deposit|status --xml signed.xml [--pack xsd/memoire-honoraires/2/pack.toml]

deposit sends the form in signed.xml, status asks what became of its UUID. Prints one JSON object a step. Exit code: 0 when
the insurer accepted the form (or knows it as accepted), 1 when it did not, 2 when the dialogue itself failed.
"""

import argparse
import base64
import json
import re
import secrets
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests
import xmlsec
import zeep
from asn1crypto import core, pem, x509
from lxml import etree
from zeep.transports import Transport

REPOSITORY = Path(__file__).resolve().parents[3]
OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
X509V3 = OASIS + "x509-token-profile-1.0#X509v3"
PKIPATH = OASIS + "x509-token-profile-1.0#X509PKIPathv1"
BASE64 = OASIS + "soap-message-security-1.0#Base64Binary"
MYSECU_TOKEN = "http://ws.mySecu.lu/trust/token/bst"
NS = {
    "soap": "http://schemas.xmlsoap.org/soap/envelope/",
    "wsse": OASIS + "wssecurity-secext-1.0.xsd",
    "wsu": OASIS + "wssecurity-utility-1.0.xsd",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "saml2": "urn:oasis:names:tc:SAML:2.0:assertion",
    "saml2p": "urn:oasis:names:tc:SAML:2.0:protocol",
    "wst": "http://docs.oasis-open.org/ws-sx/ws-trust/200512",
    "sync": "urn:sceau:mysecu:exchange:1",
}


class DialogueError(Exception):
    """The other side broke the dialogue."""


def q(name):
    prefix, local = name.split(":")
    return f"{{{NS[prefix]}}}{local}"


def only(node, path):
    found = node.xpath(path, namespaces=NS)
    if len(found) != 1:
        raise DialogueError(f"{len(found)} times {path} in an answer")
    return found[0]


def now():
    return datetime.now(UTC).replace(microsecond=0)


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Credentials:
    """The transport certificate: it opens the TLS connection and signs the messages."""

    def __init__(self, path):
        blocks = list(pem.unarmor(Path(path).read_bytes(), multiple=True))
        certificates = [der for kind, _, der in blocks if kind == "CERTIFICATE"]
        keys = [(kind, der) for kind, _, der in blocks if kind.endswith("PRIVATE KEY")]
        self.path, self.certificate, self.chain = str(path), certificates[0], certificates[1:]
        self.key = xmlsec.Key.from_memory(pem.armor(*keys[0]), xmlsec.KeyFormat.PEM)
        public = x509.Certificate.load(self.certificate).public_key
        self.algorithm = xmlsec.Transform.RSA_SHA256
        if public.algorithm == "ec":
            p384 = public.curve[1] == "secp384r1"
            self.algorithm = xmlsec.Transform.ECDSA_SHA384 if p384 else xmlsec.Transform.ECDSA_SHA256


class Trust:
    """Certificates of the answers must lead to the configured anchor, or be it."""

    def __init__(self, anchor, intermediates):
        self.anchor, self.intermediates = anchor, intermediates

    def key(self, chain):
        """The public key of the first certificate, once its chain is verified."""
        with tempfile.TemporaryDirectory() as scratch:
            leaf, others = Path(scratch) / "leaf.pem", Path(scratch) / "others.pem"
            leaf.write_bytes(pem.armor("CERTIFICATE", chain[0]))
            # The leaf once more: openssl refuses an empty file of untrusted certificates.
            others.write_bytes(b"".join(pem.armor("CERTIFICATE", der) for der in [*chain, *self.intermediates]))
            command = ["openssl", "verify", "-partial_chain", "-no-CApath", "-no-CAstore", "-CAfile", self.anchor, "-untrusted", others, leaf]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise DialogueError(f"the answer's certificate is not trusted: {done.stderr.strip()}")
        return xmlsec.Key.from_memory(chain[0], xmlsec.KeyFormat.CERT_DER)


def verified_references(signature, key, elements):
    """Verifies `signature` and returns the elements it covers, out of `elements` (the only ones that can be referred to)."""
    context = xmlsec.SignatureContext()
    context.key = key
    ids = {}
    for element in elements:
        name = q("wsu:Id") if element.get(q("wsu:Id")) else "ID"
        value = element.get(name)
        if not value or value in ids:
            raise DialogueError("a signed part of the answer has no id of its own")
        ids[value] = element
        if name == "ID":
            context.register_id(element, "ID")
        else:
            context.register_id(element, "Id", NS["wsu"])
    try:
        context.verify(signature)
    except xmlsec.Error as problem:
        raise DialogueError(f"a signature of the answer is wrong: {problem}") from problem
    uris = signature.xpath("ds:SignedInfo/ds:Reference/@URI", namespaces=NS)
    return [ids.get(uri.removeprefix("#")) for uri in uris]


class Security:
    """zeep's WS-Security hook: several signed parts out, timestamp and body verified on the way back."""

    def __init__(self, credentials, trust, token=None):
        self.credentials, self.trust, self.token = credentials, trust, token
        self.answer = None

    def apply(self, envelope, headers):
        header = envelope.find(q("soap:Header"))
        if header is None:
            header = etree.Element(q("soap:Header"))
            envelope.insert(0, header)
        security = etree.SubElement(header, q("wsse:Security"), nsmap={"wsse": NS["wsse"], "wsu": NS["wsu"]})
        security.set(q("soap:mustUnderstand"), "1")
        timestamp = etree.SubElement(security, q("wsu:Timestamp"))
        etree.SubElement(timestamp, q("wsu:Created")).text = stamp(now())
        etree.SubElement(timestamp, q("wsu:Expires")).text = stamp(now() + timedelta(minutes=5))
        certificate = etree.SubElement(security, q("wsse:BinarySecurityToken"), ValueType=X509V3, EncodingType=BASE64)
        certificate.text = base64.b64encode(self.credentials.certificate).decode()
        certificate.set(q("wsu:Id"), "X509")
        body = envelope.find(q("soap:Body"))
        timestamp.set(q("wsu:Id"), "TS")
        body.set(q("wsu:Id"), "Body")
        parts = [timestamp, body]
        if self.token is not None:
            security.append(self.token)
            parts.append(self.token)
        self.sign(security, parts)
        return envelope, headers

    def sign(self, security, parts):
        signature = xmlsec.template.create(security, xmlsec.Transform.EXCL_C14N, self.credentials.algorithm, ns="ds")
        security.append(signature)
        context = xmlsec.SignatureContext()
        context.key = self.credentials.key
        for part in parts:
            if part.get("ID"):
                context.register_id(part, "ID")
            else:
                context.register_id(part, "Id", NS["wsu"])
            uri = "#" + (part.get("ID") or part.get(q("wsu:Id")))
            reference = xmlsec.template.add_reference(signature, xmlsec.Transform.SHA256, uri=uri)
            xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
        context.sign(signature)
        # KeyInfo is not signed; it is added afterwards because xmlsec would try to fill it in itself.
        info = etree.SubElement(signature, q("ds:KeyInfo"))
        reference = etree.SubElement(info, q("wsse:SecurityTokenReference"))
        etree.SubElement(reference, q("wsse:Reference"), URI="#X509", ValueType=X509V3)

    def verify(self, envelope):
        self.answer = envelope
        body = only(envelope, "/soap:Envelope/soap:Body")
        if body.find(q("soap:Fault")) is not None:
            return envelope  # faults need no signature
        security = only(envelope, "/soap:Envelope/soap:Header/wsse:Security")
        timestamp = only(security, "wsu:Timestamp")
        signature = only(security, "ds:Signature")
        uri = only(signature, "ds:KeyInfo/wsse:SecurityTokenReference/wsse:Reference").get("URI")
        tokens = [token for token in security.iter(q("wsse:BinarySecurityToken")) if "#" + token.get(q("wsu:Id"), "") == uri]
        if len(tokens) != 1:
            raise DialogueError("the answer's signature does not name its certificate")
        key = self.trust.key(certificates_of(tokens[0]))
        covered = verified_references(signature, key, [timestamp, body])
        if len(covered) != 2 or timestamp not in covered or body not in covered:
            raise DialogueError("the answer's signature does not cover exactly its timestamp and its body")
        if not timestamp.findtext(q("wsu:Created")) <= stamp(now() + timedelta(minutes=1)):
            raise DialogueError("the answer comes from the future")
        if not stamp(now()) < timestamp.findtext(q("wsu:Expires")):
            raise DialogueError("the answer has expired")
        return envelope


def certificates_of(token):
    """The certificates of a wsse:BinarySecurityToken, the signer's first."""
    data = base64.b64decode(token.text)
    if token.get("ValueType") == PKIPATH:  # issuer first
        return [item.dump() for item in core.SequenceOf.load(data, spec=x509.Certificate)][::-1]
    return [data]


class RecordingTransport(Transport):
    """Keeps the answer's bytes: zeep drops the comment that carries the Correlation-ID."""

    answer = b""

    def post(self, address, message, headers):
        response = super().post(address, message, headers)
        self.answer = response.content
        return response


class Dialogue:
    def __init__(self, environment, ehealth, code):
        self.mysecu = environment["mysecu"]
        self.ehealth, self.code = ehealth, code
        self.credentials = Credentials(self.mysecu["transport"])
        self.trust = Trust(self.mysecu["answer_anchor"], self.credentials.chain)
        # The configuration names no anchor for the identity provider; its certificate comes from the TLS servers' authority.
        self.identity_trust = Trust(self.mysecu["tls_anchor"], self.credentials.chain)
        session = requests.Session()
        session.trust_env = False  # a proxy of this machine has no business with 127.0.0.1
        session.cert = self.credentials.path
        session.verify = self.mysecu["tls_anchor"]
        self.transport = RecordingTransport(session=session, timeout=60, operation_timeout=60)

    def service(self, wsdl, binding, address, token=None):
        security = Security(self.credentials, self.trust, token)
        client = zeep.Client(
            str(REPOSITORY / "proto" / "mysecu" / wsdl),
            wsse=security,
            transport=self.transport,
            settings=zeep.Settings(strict=True, xml_huge_tree=True),
        )
        return security, client.create_service(binding, address)

    def assertion(self):
        security, service = self.service(
            "authentication.wsdl", "{urn:sceau:mysecu:authentication:1}AuthenticationSoap", self.mysecu["identity_url"]
        )
        request = "_" + secrets.token_hex(16)
        consumer = self.mysecu["assertion_consumer"]
        response = service.authenticate(
            Issuer=consumer,
            Extensions={"Attribute": {"Name": "psEHealthID", "AttributeValue": [self.ehealth]}},
            RequestedAuthnContext={
                "Comparison": "minimum",
                "AuthnContextClassRef": "urn:oasis:names:tc:SAML:2.0:ac:classes:X509",
            },
            ID=request,
            Version="2.0",
            IssueInstant=now(),
            ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:SOAP",
            AssertionConsumerServiceURL=consumer,
        )
        if response.InResponseTo != request or not response.Status.StatusCode.Value.endswith(":status:Success"):
            raise DialogueError(f"no assertion: {response.Status.StatusCode.Value}")
        assertion = only(security.answer, "//saml2:Assertion")
        signature = only(assertion, "ds:Signature")
        found = only(signature, "ds:KeyInfo/ds:X509Data").findall(q("ds:X509Certificate"))  # the signer's, then its chain
        chain = [base64.b64decode(certificate.text) for certificate in found]
        if not chain or verified_references(signature, self.identity_trust.key(chain), [assertion]) != [assertion]:
            raise DialogueError("the assertion is not what its signature covers")
        values = assertion.xpath("saml2:AttributeStatement/saml2:Attribute[@Name='psEHealthID']/saml2:AttributeValue/text()", namespaces=NS)
        if values != [self.ehealth]:
            raise DialogueError(f"the assertion is for {values}")
        tell("assertion", id=assertion.get("ID"), until=only(assertion, "saml2:Conditions").get("NotOnOrAfter"))
        return etree.fromstring(etree.tostring(assertion, with_tail=False))

    def token(self, assertion):
        _security, service = self.service("trust.wsdl", "{urn:sceau:mysecu:trust:1}TrustSoap", self.mysecu["token_url"], assertion)
        responses = service.issue(
            TokenType=MYSECU_TOKEN,
            RequestType="http://docs.oasis-open.org/ws-sx/ws-trust/200512/Issue",
            AppliesTo={"EndpointReference": {"Address": self.mysecu["exchange_url"]}},
            Claims={
                "Dialect": "http://docs.oasis-open.org/wsfed/authorization/200706/authclaims",
                "ClaimType": {"Uri": "http://ws.mysecu.lu/trust/prodo/espaceid", "Value": self.code},
            },
        )
        # A type with one child only: zeep hands out the child itself.
        response = getattr(responses, "RequestSecurityTokenResponse", responses)
        issued = getattr(response.RequestedSecurityToken, "BinarySecurityToken", response.RequestedSecurityToken)
        token = etree.Element(q("wsse:BinarySecurityToken"), nsmap={"wsse": NS["wsse"], "wsu": NS["wsu"]})
        token.text = issued._value_1
        token.set("ValueType", issued.ValueType or MYSECU_TOKEN)
        if issued.EncodingType:
            token.set("EncodingType", issued.EncodingType)
        token.set(q("wsu:Id"), "mySecu")
        tell("token", until=stamp(response.Lifetime.Expires))
        return token

    def exchange(self, token, model, payload):
        security, service = self.service(
            "exchange.wsdl", "{urn:sceau:mysecu:exchange:1}SyncExchangeSoap", self.mysecu["exchange_url"], token
        )
        service.exchange(_value_1=payload, modelUID=model)
        correlation = re.search(rb"<!--\s*Correlation-ID:\s*([0-9a-fA-F-]+)\s*-->", self.transport.answer)
        answer = only(security.answer, "/soap:Envelope/soap:Body/sync:ResponseInfo")
        if answer.get("modelUID") != model or len(answer) != 1:
            raise DialogueError("the answer is not for this model")
        return answer[0], correlation and correlation[1].decode()


def tell(step, **facts):
    print(json.dumps({"step": step, **facts}, ensure_ascii=False), flush=True)


def values(node, namespaces):
    """Leaf texts of an answer by local name; signed bodies are never repeated in it."""
    return {etree.QName(leaf).localname: leaf.text for leaf in node.iter(etree.Element) if len(leaf) == 0}


def perform(options):
    environment = tomllib.loads(Path(options.environment).read_text())
    pack = tomllib.loads(Path(options.pack).read_text())
    operation, spaces = pack["operations"]["depot"], pack["namespaces"]
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    form = etree.parse(options.xml, parser).getroot()
    uuid = form.getroottree().xpath(operation["facts"]["uuid"], namespaces=spaces)[0].text.strip()
    dialogue = Dialogue(environment, options.ehealth, options.code)
    token = dialogue.token(dialogue.assertion())
    model, payload = operation["model_id"]["sandbox"], form
    if options.operation == "status":
        model = operation["status"]["model_id"]["sandbox"]
        payload = etree.fromstring(operation["status"]["request"].replace("{uuid}", uuid))
    answer, correlation = dialogue.exchange(token, model, payload)
    facts = values(answer, spaces)
    tell(options.operation, uuid=uuid, correlation_id=correlation, answer=etree.QName(answer).localname, **facts)
    if facts.get("uuidPrestataire") != uuid:
        raise DialogueError("the answer is about another form")
    return 0 if facts.get("statut") in operation["answer"]["accepted"] else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", required=True)
    parser.add_argument("--code", required=True)
    parser.add_argument("--ehealth", required=True)
    parser.add_argument("--operation", required=True, choices=("deposit", "status"))
    parser.add_argument("--xml", required=True)
    parser.add_argument("--pack", default=REPOSITORY / "xsd/memoire-honoraires/2/pack.toml")
    try:
        sys.exit(perform(parser.parse_args()))
    except zeep.exceptions.Fault as fault:
        detail = [] if fault.detail is None else [leaf.text for leaf in fault.detail.iter(etree.Element) if len(leaf) == 0]
        tell("fault", code=fault.code, text=fault.message, detail=detail)
        sys.exit(2)
    except (DialogueError, zeep.exceptions.Error, requests.RequestException) as problem:
        tell("failed", problem=f"{type(problem).__name__}: {problem}")
        sys.exit(2)


if __name__ == "__main__":
    main()
