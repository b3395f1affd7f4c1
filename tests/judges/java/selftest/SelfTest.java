import eu.europa.esig.dss.crl.CRLUtils;
import eu.europa.esig.dss.enumerations.DigestAlgorithm;
import eu.europa.esig.dss.model.x509.CertificateToken;
import eu.europa.esig.dss.spi.DSSRevocationUtils;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.x509.revocation.crl.CRLToken;
import eu.europa.esig.dss.spi.x509.revocation.ocsp.OCSPToken;
import eu.europa.esig.dss.spi.x509.tsp.KeyEntityTSPSource;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.spec.ECGenParameterSpec;
import java.util.Base64;
import java.util.Date;
import java.util.List;
import org.bouncycastle.asn1.DERNull;
import org.bouncycastle.asn1.ocsp.OCSPObjectIdentifiers;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.AccessDescription;
import org.bouncycastle.asn1.x509.AuthorityInformationAccess;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.X509v2CRLBuilder;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.cert.ocsp.BasicOCSPResp;
import org.bouncycastle.cert.ocsp.BasicOCSPRespBuilder;
import org.bouncycastle.cert.ocsp.CertificateID;
import org.bouncycastle.cert.ocsp.CertificateStatus;
import org.bouncycastle.cert.ocsp.RespID;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/**
 * Makes the accept cases that prove the judges themselves: DSS as signer, a throw-away PKI, RSA and EC.
 * It is no model of Sceau; it only has to be good enough that a judge which refuses it is at fault.
 */
public final class SelfTest {
  private static final Date START = new Date(System.currentTimeMillis() - 86_400_000L);
  private static final Date END = new Date(System.currentTimeMillis() + 365 * 86_400_000L);
  private static long serial = 1000;

  private final Identity root = new Identity(null, "Judges' throw-away root", "RSA", true, 0, null);
  private final Identity issuing = new Identity(root, "Judges' throw-away issuing CA", "RSA", true, 0, null);
  private final Identity tsa = new Identity(issuing, "Judges' throw-away TSA", "RSA", false, KeyUsage.digitalSignature, KeyPurposeId.id_kp_timeStamping);
  private final Identity responder = new Identity(issuing, "Judges' throw-away OCSP", "RSA", false, KeyUsage.digitalSignature, KeyPurposeId.id_kp_OCSPSigning);

  private SelfTest() throws Exception {}

  public static void main(String[] args) throws Exception {
    Path folder = Path.of(args[0]);
    SelfTest pki = new SelfTest();
    Files.createDirectories(folder);
    Files.writeString(folder.resolve("root.pem"), DSSUtils.convertToPEM(pki.root.certificate));
    for (String kind : List.of("RSA", "EC")) {
      Identity signer = new Identity(pki.issuing, "Testine Exemple " + kind, kind, false, KeyUsage.nonRepudiation, null);
      pki.write(Files.createDirectories(folder.resolve("selftest-" + kind.toLowerCase())), signer);
    }
  }

  private void write(Path dir, Identity signer) throws Exception {
    KeyEntityTSPSource timestamps = new KeyEntityTSPSource(tsa.keys.getPrivate(), tsa.certificate, List.of(tsa.certificate, issuing.certificate));
    timestamps.setTsaPolicy("1.3.6.1.4.1.13762.3"); // any policy does
    List<CertificateToken> chain = List.of(signer.certificate, issuing.certificate, root.certificate);
    DssSigner dss = new DssSigner(signer.keys.getPrivate(), chain, this::ocsp, this::crl, timestamps);
    byte[] before = DssSigner.blankPdfA();
    byte[] pdf = dss.signPdf(before);
    Files.write(dir.resolve("before.pdf"), before);
    Files.write(dir.resolve("signed.pdf"), pdf);
    String xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<f:form xmlns:f=\"urn:sceau:judges:selftest\">\n  <f:name>Exemple &amp; fils, é</f:name>\n"
        + "  <f:signature></f:signature>\n  <f:document>" + Base64.getEncoder().encodeToString(pdf) + "</f:document>\n</f:form>\n";
    Files.write(dir.resolve("signed.xml"), dss.signXml(xml.getBytes(StandardCharsets.UTF_8)));
    Files.writeString(dir.resolve("expect.json"), "{\"xades\":\"XAdES-BASELINE-LT\",\"pades\":\"PAdES-BASELINE-B\",\"verdict\":\"accept\",\"note\":\"made by DSS\"}\n");
  }

  private OCSPToken ocsp(CertificateToken certificate, CertificateToken issuer) {
    if (!issuer.equals(issuing.certificate)) {
      return null;
    }
    try {
      X509CertificateHolder holder = new X509CertificateHolder(responder.certificate.getEncoded());
      BasicOCSPRespBuilder builder = new BasicOCSPRespBuilder(new RespID(holder.getSubject()));
      CertificateID id = DSSRevocationUtils.getOCSPCertificateID(certificate, issuer, DigestAlgorithm.SHA1);
      Date now = new Date();
      builder.addResponse(id, CertificateStatus.GOOD, now, new Date(now.getTime() + 3_600_000L));
      BasicOCSPResp response = builder.build(responder.signer(), new X509CertificateHolder[] {holder}, now);
      return new OCSPToken(response, response.getResponses()[0], certificate, issuer);
    } catch (Exception problem) {
      throw new IllegalStateException(problem);
    }
  }

  private CRLToken crl(CertificateToken certificate, CertificateToken issuer) {
    try {
      Date now = new Date();
      X509v2CRLBuilder builder = new X509v2CRLBuilder(X500Name.getInstance(root.certificate.getSubject().getEncoded()), now);
      builder.setNextUpdate(new Date(now.getTime() + 86_400_000L));
      byte[] crl = builder.build(root.signer()).getEncoded();
      return issuer.equals(root.certificate)
          ? new CRLToken(certificate, CRLUtils.buildCRLValidity(CRLUtils.buildCRLBinary(crl), issuer))
          : null;
    } catch (Exception problem) {
      throw new IllegalStateException(problem);
    }
  }

  /** A key pair with its certificate. */
  private static final class Identity {
    final KeyPair keys;
    final CertificateToken certificate;
    private final boolean ec;

    Identity(Identity issuer, String name, String kind, boolean ca, int usage, KeyPurposeId purpose) throws Exception {
      ec = kind.equals("EC");
      KeyPairGenerator generator = KeyPairGenerator.getInstance(kind);
      if (ec) {
        generator.initialize(new ECGenParameterSpec("secp256r1"));
      } else {
        generator.initialize(2048);
      }
      keys = generator.generateKeyPair();
      X500Name subject = new X500Name("CN=" + name + ",C=LU");
      JcaX509v3CertificateBuilder builder = new JcaX509v3CertificateBuilder(
          issuer == null ? subject : X500Name.getInstance(issuer.certificate.getSubject().getEncoded()), BigInteger.valueOf(serial++), START, END, subject, keys.getPublic());
      JcaX509ExtensionUtils ids = new JcaX509ExtensionUtils();
      builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(ca));
      builder.addExtension(Extension.keyUsage, true, new KeyUsage(ca ? KeyUsage.keyCertSign | KeyUsage.cRLSign : usage));
      builder.addExtension(Extension.subjectKeyIdentifier, false, ids.createSubjectKeyIdentifier(keys.getPublic()));
      builder.addExtension(Extension.authorityKeyIdentifier, false, ids.createAuthorityKeyIdentifier((issuer == null ? this : issuer).keys.getPublic()));
      if (!ca && purpose != KeyPurposeId.id_kp_OCSPSigning) { // never fetched; pyHanko uses OCSP only for certificates that name a responder
        builder.addExtension(Extension.authorityInfoAccess, false,
            new AuthorityInformationAccess(AccessDescription.id_ad_ocsp, new GeneralName(GeneralName.uniformResourceIdentifier, "http://ocsp.invalid/")));
      }
      if (purpose != null) {
        builder.addExtension(Extension.extendedKeyUsage, true, new ExtendedKeyUsage(purpose));
      }
      if (purpose == KeyPurposeId.id_kp_OCSPSigning) {
        builder.addExtension(OCSPObjectIdentifiers.id_pkix_ocsp_nocheck, false, DERNull.INSTANCE);
      }
      certificate = DSSUtils.loadCertificate(builder.build((issuer == null ? this : issuer).signer()).getEncoded());
    }

    ContentSigner signer() throws Exception {
      return new JcaContentSignerBuilder(ec ? "SHA256withECDSA" : "SHA256withRSA").build(keys.getPrivate());
    }
  }
}
