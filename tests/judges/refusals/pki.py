"""Certificates, OCSP responses, revocation lists, CMS and timestamps of a throw-away authority, right or wrong as asked.

Built from asn1crypto's structures and signed with cryptography: no code of Sceau takes part.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import count

from asn1crypto import algos, cms, core, crl, keys, ocsp, tsp, x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

HASHES = {"md5": hashes.MD5, "sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}
serials = count(1001)


def at(text):
    """`2026-03-02 10:00:05`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


FROM, UNTIL = at("2020-01-01 00:00:00"), at("2040-01-01 00:00:00")


class Key:
    """A private key. `kind`: a number of RSA bits, or a curve."""

    def __init__(self, kind="secp256r1"):
        if isinstance(kind, int):
            self.private = rsa.generate_private_key(65537, kind)
        else:
            self.private = ec.generate_private_key(getattr(ec, kind.upper())())
        self.rsa = isinstance(kind, int)
        der = self.private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.spki = keys.PublicKeyInfo.load(der)

    def sign(self, data, digest="sha256", pss=False):
        algorithm = HASHES[digest]()
        if not self.rsa:
            return self.private.sign(data, ec.ECDSA(algorithm))
        scheme = padding.PSS(padding.MGF1(algorithm), hashlib.new(digest).digest_size) if pss else padding.PKCS1v15()
        return self.private.sign(data, scheme, algorithm)

    def algorithm(self, digest="sha256"):
        return algos.SignedDigestAlgorithm({"algorithm": f"{digest}_{'rsa' if self.rsa else 'ecdsa'}"})


class Entity:
    """A certificate with its key."""

    def __init__(self, der, key, issuer):
        self.der, self.key, self.issuer = der, key, issuer or self
        self.cert = x509.Certificate.load(der)
        self.name = self.cert.subject
        self.serial = self.cert.serial_number

    def digest(self, algorithm="sha256"):
        return hashlib.new(algorithm, self.der).digest()

    def issuer_serial(self):
        """IssuerSerial of RFC 5035, as XAdES and ESS name a certificate."""
        return tsp.IssuerSerial({"issuer": [x509.GeneralName("directory_name", self.cert.issuer)], "serial_number": self.serial})

    def issue(self, common_name, key=None, **options):
        return certificate(common_name, key or Key(), self, **options)


def name(common_name):
    return x509.Name.build({"country_name": "LU", "organization_name": "Refusal corpus, no real authority", "common_name": common_name})


def extension(identifier, value, critical=False):
    return {"extn_id": identifier, "critical": critical, "extn_value": value}


def certificate(
    common_name, key, issuer=None, *, ca=None, path_len=None, usage=("digital_signature", "non_repudiation"), eku=None,
    eku_critical=False, no_check=False, start=FROM, end=UNTIL, extra=(), digest="sha256", serial=None, signed_by=None, spoil=False,
):  # fmt: skip
    """`ca`: None leaves basicConstraints out. `signed_by`: a key that is not the named issuer's. `spoil`: the signature is wrong."""
    extensions = [
        extension("key_identifier", key.spki.sha1),
        extension("authority_key_identifier", {"key_identifier": (issuer.key if issuer else key).spki.sha1}),
        *extra,
    ]
    if ca is not None:
        constraints = {"ca": ca} | ({} if path_len is None else {"path_len_constraint": path_len})
        extensions.append(extension("basic_constraints", constraints, critical=True))
    if usage is not None:
        extensions.append(extension("key_usage", set(usage), critical=True))
    if eku is not None:
        extensions.append(extension("extended_key_usage", list(eku), critical=eku_critical))
    if no_check:
        extensions.append(extension("ocsp_no_check", core.Null()))
    signing = signed_by or (issuer.key if issuer else key)
    subject = name(common_name) if isinstance(common_name, str) else common_name
    tbs = x509.TbsCertificate({
        "version": "v3", "serial_number": serial or next(serials), "signature": signing.algorithm(digest),
        "issuer": issuer.name if issuer else subject, "validity": {"not_before": moment(start), "not_after": moment(end)},
        "subject": subject, "subject_public_key_info": key.spki, "extensions": extensions,
    })  # fmt: skip
    value = signing.sign(tbs.dump(), digest)
    if spoil:
        value = spoiled(value)
    whole = x509.Certificate({"tbs_certificate": tbs, "signature_algorithm": signing.algorithm(digest), "signature_value": value})
    return Entity(whole.dump(), key, issuer)


def moment(when):
    return x509.Time("utc_time" if when.year < 2050 else "general_time", when)


def spoiled(value, at_byte=-5):
    """One bit changed."""
    out = bytearray(value)
    out[at_byte] ^= 1
    return bytes(out)


def ca(common_name, issuer=None, **options):
    options = {"ca": True, "usage": ("key_cert_sign", "crl_sign")} | options
    return certificate(common_name, options.pop("key", None) or Key(), issuer, **options)


def ocsp_response(
    about, responder, *, issuer=None, status="good", revoked_at=None, reason=None, this, until=None, produced=None, certs=None,
    by_name=False, digest="sha256", serial=None, cert_id_digest="sha1", signed_by=None, spoil=False, change=None, extensions=None,
):  # fmt: skip
    """`responder` None: the issuer. `change`: applied to the signed data after signing."""
    issuer = issuer or about.issuer
    responder = responder or issuer
    if status == "revoked":
        info = {"revocation_time": revoked_at} | ({} if reason is None else {"revocation_reason": reason})
        status = ocsp.CertStatus("revoked", ocsp.RevokedInfo(info))
    else:
        status = ocsp.CertStatus(status, ocsp.StatusGood() if status == "good" else ocsp.StatusUnknown())
    single = {
        "cert_id": {
            "hash_algorithm": {"algorithm": cert_id_digest},
            "issuer_name_hash": hashlib.new(cert_id_digest, issuer.name.dump()).digest(),
            "issuer_key_hash": hashlib.new(cert_id_digest, key_bits(issuer)).digest(),
            "serial_number": about.serial if serial is None else serial,
        },
        "cert_status": status, "this_update": this,
    }  # fmt: skip
    if until:
        single["next_update"] = until
    who = ocsp.ResponderId("by_name", responder.name) if by_name else ocsp.ResponderId("by_key", responder.key.spki.sha1)
    data = {"responder_id": who, "produced_at": produced or this, "responses": [single]}
    if extensions:
        data["response_extensions"] = extensions
    data = ocsp.ResponseData(data)
    key = signed_by or responder.key
    signature = key.sign(data.dump(), digest)
    if spoil:
        signature = spoiled(signature)
    if change:
        data = ocsp.ResponseData.load(change(data.dump()))
    if certs is None:
        certs = [] if responder is issuer else [responder]
    basic = {"tbs_response_data": data, "signature_algorithm": key.algorithm(digest), "signature": signature}
    if certs:
        basic["certs"] = [one.cert for one in certs]
    response = {"response_type": "basic_ocsp_response", "response": ocsp.BasicOCSPResponse(basic)}
    return ocsp.OCSPResponse({"response_status": "successful", "response_bytes": response}).dump()


def key_bits(entity):
    """The content of the public key's BIT STRING, without the count of unused bits."""
    return entity.key.spki["public_key"].contents[1:]


def revocation_list(
    issuer, *, this, until=None, revoked=(), extensions=(), entry_extensions=(), digest="sha256", signed_by=None, spoil=False
):
    """`revoked`: tuples (serial, time, reason or None)."""
    entries = []
    for serial, when, reason in revoked:
        entry = {"user_certificate": serial, "revocation_date": moment(when)}
        extras = list(entry_extensions) + ([extension("crl_reason", reason)] if reason else [])
        entries.append(entry | ({"crl_entry_extensions": extras} if extras else {}))
    key = signed_by or issuer.key
    tbs = {
        "version": "v2", "signature": key.algorithm(digest), "issuer": issuer.name, "this_update": moment(this),
        "crl_extensions": [
            extension("authority_key_identifier", {"key_identifier": issuer.key.spki.sha1}),
            extension("crl_number", int(this.timestamp())), *extensions,
        ],
    }  # fmt: skip
    if until:
        tbs["next_update"] = moment(until)
    if entries:
        tbs["revoked_certificates"] = entries
    tbs = crl.TbsCertList(tbs)
    value = key.sign(tbs.dump(), digest)
    value = spoiled(value) if spoil else value
    return crl.CertificateList({"tbs_cert_list": tbs, "signature_algorithm": key.algorithm(digest), "signature": value}).dump()


def ess_v2(entity, with_issuer=False):
    """signing-certificate-v2 (RFC 5035) with SHA-256, the default, left out."""
    one = {"cert_hash": entity.digest()} | ({"issuer_serial": entity.issuer_serial()} if with_issuer else {})
    return attribute("signing_certificate_v2", tsp.SigningCertificateV2({"certs": [tsp.ESSCertIDv2(one)]}))


def attribute(kind, *values):
    return cms.CMSAttribute({"type": kind, "values": list(values)})


def signed_data(
    signer, content_type, content, *, detached=None, digest="sha256", ess="own", extra=(), leave_out=(), certs=None, unsigned=None,
    signed_by=None, pss=False, spoil=False, change_content=None, twice=False, named=None, message_digest=None, signature_digest=None,
):  # fmt: skip
    """CMS SignedData (RFC 5652) as `ContentInfo` DER. `content` None with `detached` bytes: a detached signature.

    `ess`: the entity the ESS attribute names ("own" the signer, None no attribute). `unsigned`: given the signature value, returns the
    unsigned attributes. `change_content`: applied to the content after signing. `named`: the entity the SignerInfo names.
    """
    data = detached if content is None else content
    named = named or signer
    attributes = [
        attribute("content_type", content_type),
        attribute("message_digest", message_digest or hashlib.new(digest, data).digest()),
        *extra,
    ]
    if ess is not None:
        attributes.append(ess_v2(named if ess == "own" else ess) if isinstance(ess, (str, Entity)) else ess)
    attributes = cms.CMSAttributes([one for one in attributes if one["type"].native not in leave_out])
    key = signed_by or signer.key
    value = key.sign(attributes.dump(), signature_digest or digest, pss)
    value = spoiled(value) if spoil else value
    algorithm = key.algorithm(signature_digest or digest)
    if pss:
        size = hashlib.new(digest).digest_size
        parameters = {"hash_algorithm": {"algorithm": digest}, "salt_length": size}
        parameters["mask_gen_algorithm"] = {"algorithm": "mgf1", "parameters": {"algorithm": digest}}
        algorithm = algos.SignedDigestAlgorithm({"algorithm": "rsassa_pss", "parameters": parameters})
    identifier = cms.SignerIdentifier(
        "issuer_and_serial_number", cms.IssuerAndSerialNumber({"issuer": named.cert.issuer, "serial_number": named.serial})
    )
    info = {
        "version": "v1", "sid": identifier, "digest_algorithm": {"algorithm": digest}, "signed_attrs": attributes,
        "signature_algorithm": algorithm, "signature": value,
    }  # fmt: skip
    if unsigned:
        info["unsigned_attrs"] = cms.CMSAttributes(unsigned(value))
    encapsulated = {"content_type": content_type}
    if content is not None:
        octets = core.OctetString if content_type == "data" else core.ParsableOctetString
        encapsulated["content"] = octets(change_content(content) if change_content else content)
    certs = [named] if certs is None else certs
    data = {
        "version": "v1" if content_type == "data" else "v3", "digest_algorithms": [{"algorithm": digest}],
        "encap_content_info": encapsulated, "signer_infos": [info, info] if twice else [info],
    }  # fmt: skip
    if certs:
        data["certificates"] = [cms.CertificateChoices("certificate", one.cert) for one in certs]
    return cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(data)}).dump()


def timestamp(tsa, data, when, *, imprint_digest="sha256", imprint=None, certs=None, info_extra=None, content_type="tst_info", **options):
    """A token (RFC 3161) over `data`. Other options are those of `signed_data`."""
    info = {
        "version": "v1", "policy": "1.3.6.1.4.1.99999.1",
        "message_imprint": {
            "hash_algorithm": {"algorithm": imprint_digest}, "hashed_message": imprint or hashlib.new(imprint_digest, data).digest(),
        },
        "serial_number": next(serials), "gen_time": when, "accuracy": {"seconds": 1}, "nonce": 4711,
    } | (info_extra or {})  # fmt: skip
    info = {key: value for key, value in info.items() if value is not None}
    certs = [tsa] if certs is None else certs
    return signed_data(tsa, content_type, tsp.TSTInfo(info).dump(), certs=certs, **options)


class World:
    """An authority with all that good documents need. The times are fixed, so a run today and one in ten years see the same.

    signed 10:00:00 · timestamp 10:00:05 · revocation data 10:00:10 · validated 12:00:00, on 2026-03-02
    """

    SIGNED, STAMPED, ANSWERED, NOW = (at(f"2026-03-02 {time}") for time in ("10:00:00", "10:00:05", "10:00:10", "12:00:00"))
    START, END = at("2025-01-01 00:00:00"), at("2028-01-01 00:00:00")

    def __init__(self):
        self.root = ca("Root")
        self.issuing = ca("Issuing CA", self.root, path_len=0)
        self.signer = self.issuing.issue("Signer RSA", Key(2048), start=self.START, end=self.END)
        self.signer_ec = self.issuing.issue("Signer EC", start=self.START, end=self.END)
        self.tsa = self.time_authority("Timestamp authority")
        self.responder = self.issuing.issue("OCSP responder", usage=("digital_signature",), eku=["ocsp_signing"], no_check=True)
        self.other_root = ca("Other root")
        self.other_issuing = ca("Other issuing CA", self.other_root)
        self.root_list = revocation_list(self.root, this=at("2026-02-01 00:00:00"), until=at("2026-08-01 00:00:00"))

    def time_authority(self, common_name, issuer=None, **options):
        options = {"usage": ("digital_signature",), "eku": ["time_stamping"], "eku_critical": True} | options
        return (issuer or self.issuing).issue(common_name, **options)

    def good(self, about, **options):
        """An OCSP answer about a certificate of the issuing CA, by its responder."""
        options = {"this": self.ANSWERED, "until": self.ANSWERED + timedelta(days=1)} | options
        return ocsp_response(about, options.pop("responder", self.responder), **options)

    def stamp(self, data, when=None, tsa=None, **options):
        return timestamp(tsa or self.tsa, data, when or self.STAMPED, **options)
