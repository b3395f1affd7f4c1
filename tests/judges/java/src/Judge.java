import eu.europa.esig.dss.enumerations.Indication;
import eu.europa.esig.dss.enumerations.SignatureLevel;
import eu.europa.esig.dss.enumerations.SignatureScopeType;
import eu.europa.esig.dss.enumerations.SubIndication;
import eu.europa.esig.dss.model.DSSDocument;
import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.pades.validation.ByteRange;
import eu.europa.esig.dss.pades.validation.PAdESSignature;
import eu.europa.esig.dss.simplereport.SimpleReport;
import eu.europa.esig.dss.simplereport.jaxb.XmlSignatureScope;
import eu.europa.esig.dss.simplereport.jaxb.XmlTimestamp;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.signature.AdvancedSignature;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonCertificateSource;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.spi.x509.revocation.crl.ExternalResourcesCRLSource;
import eu.europa.esig.dss.spi.x509.revocation.ocsp.ExternalResourcesOCSPSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import eu.europa.esig.dss.validation.reports.Reports;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.apache.xml.security.signature.XMLSignature;
import org.apache.xml.security.utils.Constants;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.PDFAParser;
import org.verapdf.pdfa.PDFAValidator;
import org.verapdf.pdfa.flavours.PDFAFlavour;
import org.verapdf.pdfa.results.ValidationResult;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/**
 * EU DSS, Apache Santuario and veraPDF over every case of a folder, in one Java process. Prints one JSON object a line:
 * {"case", "judge", "accepts", "format", "signatures", "detail", "millis"}. It reports; judge.py compares with what was expected.
 */
public final class Judge {
  private final Path folder;
  private CommonTrustedCertificateSource anchors;

  private Judge(Path folder) {
    this.folder = folder;
  }

  public static void main(String[] args) throws Exception {
    Locale.setDefault(Locale.ENGLISH);
    VeraGreenfieldFoundryProvider.initialise();
    org.apache.xml.security.Init.init();
    Judge judge = new Judge(Path.of(args[0]));
    try (Stream<Path> cases = Files.list(judge.folder)) {
      for (Path dir : cases.filter(Files::isDirectory).sorted().collect(Collectors.toList())) {
        judge.judge(dir);
      }
    }
  }

  private void judge(Path dir) {
    Path own = dir.resolve("root.pem");
    anchors = new CommonTrustedCertificateSource();
    anchors.addCertificate(DSSUtils.loadCertificate((Files.exists(own) ? own : folder.resolve("root.pem")).toFile()));
    File xml = dir.resolve("signed.xml").toFile();
    File pdf = dir.resolve("signed.pdf").toFile();
    File before = dir.resolve("before.pdf").toFile();
    List<AdvancedSignature> fromXml = new ArrayList<>();
    if (xml.exists()) {
      report(dir, "dss-xml", () -> dss(xml, fromXml, verifier(dir)));
      report(dir, "santuario", () -> santuario(xml));
    }
    if (pdf.exists()) {
      report(dir, "dss-pdf", () -> dssPdf(dir, pdf, fromXml));
      report(dir, "verapdf-signed", () -> veraPdf(pdf));
    }
    if (before.exists()) {
      report(dir, "verapdf-before", () -> veraPdf(before));
    }
  }

  /** The case's folder `evidence`: OCSP responses, CRLs and certificates a judge may use beside the signed file. */
  private static CommonCertificateVerifier verifier(Path dir) throws Exception {
    CommonCertificateVerifier verifier = new CommonCertificateVerifier();
    if (!Files.isDirectory(dir.resolve("evidence"))) {
      return verifier;
    }
    List<DSSDocument> responses = new ArrayList<>();
    List<DSSDocument> lists = new ArrayList<>();
    CommonCertificateSource certificates = new CommonCertificateSource();
    try (Stream<Path> files = Files.list(dir.resolve("evidence"))) {
      for (Path file : files.sorted().collect(Collectors.toList())) {
        String name = file.toString();
        if (name.endsWith(".ocsp")) {
          responses.add(new FileDocument(file.toFile()));
        } else if (name.endsWith(".crl")) {
          lists.add(new FileDocument(file.toFile()));
        } else {
          certificates.addCertificate(DSSUtils.loadCertificate(file.toFile()));
        }
      }
    }
    verifier.setOcspSource(new ExternalResourcesOCSPSource(responses.toArray(new DSSDocument[0])));
    verifier.setCrlSource(new ExternalResourcesCRLSource(lists.toArray(new DSSDocument[0])));
    verifier.addAdjunctCertSources(certificates);
    return verifier;
  }

  /** The revocation data of the XML signature, if any, or those in `evidence` are the only ones the PDF judge may use. */
  private Verdict dssPdf(Path dir, File pdf, List<AdvancedSignature> fromXml) throws Exception {
    Verdict alone = dss(pdf, new ArrayList<>(), verifier(dir));
    if (fromXml.size() != 1) {
      return alone;
    }
    CommonCertificateVerifier verifier = new CommonCertificateVerifier();
    verifier.setOcspSource(fromXml.get(0).getOCSPSource());
    verifier.setCrlSource(fromXml.get(0).getCRLSource());
    verifier.addAdjunctCertSources(fromXml.get(0).getCertificateSource());
    Verdict helped = dss(pdf, new ArrayList<>(), verifier);
    return new Verdict(helped.accepts, helped.detail + "; without the XML's revocation data " + alone.indication, helped.indication, helped.format, helped.signatures);
  }

  /** Apache Santuario with secure validation: the signature value and both references. Not the certificate. */
  private static Verdict santuario(File file) throws Exception {
    DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
    factory.setNamespaceAware(true);
    factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
    Document document = factory.newDocumentBuilder().parse(file);
    NodeList signatures = document.getElementsByTagNameNS(Constants.SignatureSpecNS, "Signature");
    NodeList properties = document.getElementsByTagNameNS("http://uri.etsi.org/01903/v1.3.2#", "SignedProperties");
    if (signatures.getLength() != 1 || properties.getLength() != 1) {
      return new Verdict(false, signatures.getLength() + " signatures", "", "", signatures.getLength());
    }
    ((Element) properties.item(0)).setIdAttribute("Id", true);
    XMLSignature signature = new XMLSignature((Element) signatures.item(0), "", true);
    boolean valid = signature.getSignedInfo().getLength() == 2 && signature.checkSignatureValue(signature.getKeyInfo().getX509Certificate());
    return new Verdict(valid, valid ? "valid, 2 references" : "signature or reference invalid", "", "", 1);
  }

  /** Offline: a fresh CommonCertificateVerifier has no AIA, OCSP or CRL source. Default ETSI policy of DSS. */
  private Verdict dss(File file, List<AdvancedSignature> found, CommonCertificateVerifier verifier) {
    verifier.setAIASource(null);
    verifier.addTrustedCertSources(anchors);
    DSSDocument document = new FileDocument(file);
    SignedDocumentValidator validator = SignedDocumentValidator.fromDocument(document);
    validator.setCertificateVerifier(verifier);
    Reports reports = validator.validateDocument();
    found.addAll(validator.getSignatures());
    SimpleReport simple = reports.getSimpleReport();
    int count = simple.getSignaturesCount();
    if (count == 0) {
      return new Verdict(false, "no signature", "NO_SIGNATURE", "", count);
    }
    // Where a PDF was signed before, the signature in question is the one that covers most.
    String id = count == 1 ? simple.getFirstSignatureId() : last(validator.getSignatures());
    boolean accepts = simple.getIndication(id) == Indication.TOTAL_PASSED;
    StringBuilder detail = new StringBuilder(indication(simple, id)).append(' ').append(simple.getSignatureFormat(id));
    // The DSS of a PDF at B-LT is appended behind the signature, which then covers a part: pyHanko looks at what was appended.
    boolean appended = simple.getSignatureFormat(id) == SignatureLevel.PAdES_BASELINE_LT;
    for (XmlSignatureScope scope : simple.getSignatureScopes(id)) {
      accepts &= scope.getScope() == (appended ? SignatureScopeType.PARTIAL : SignatureScopeType.FULL);
      detail.append(", scope ").append(scope.getScope());
    }
    // A broken timestamp does not break the signature for DSS (it falls back to the present time), so it is looked at apart.
    List<XmlTimestamp> timestamps = simple.getSignatureTimestamps(id);
    for (XmlTimestamp timestamp : timestamps) {
      accepts &= timestamp.getIndication() == Indication.PASSED;
      detail.append(", timestamp ").append(timestamp.getIndication());
    }
    accepts &= timestamps.size() == (simple.getSignatureFormat(id).toString().endsWith("-B") ? 0 : 1);
    simple.getAdESValidationErrors(id).forEach(message -> detail.append("; ").append(message.getValue()));
    return new Verdict(accepts, detail.toString(), indication(simple, id), simple.getSignatureFormat(id).toString(), count);
  }

  private static String last(List<AdvancedSignature> signatures) {
    return signatures.stream().max(Comparator.comparingInt(Judge::end)).map(AdvancedSignature::getId).orElseThrow();
  }

  /** Where the bytes end that a PDF signature covers. */
  private static int end(AdvancedSignature signature) {
    ByteRange range = ((PAdESSignature) signature).getPdfRevision().getByteRange();
    return range.getSecondPartStart() + range.getSecondPartEnd();
  }

  private static String indication(SimpleReport simple, String id) {
    SubIndication sub = simple.getSubIndication(id);
    return simple.getIndication(id) + (sub == null ? "" : "/" + sub);
  }

  /** ISO 19005 validation with the flavour the file itself claims in its XMP metadata. */
  private static Verdict veraPdf(File pdf) throws Exception {
    try (PDFAParser parser = Foundries.defaultInstance().createParser(pdf)) {
      PDFAFlavour flavour = parser.getFlavour();
      if (flavour == PDFAFlavour.NO_FLAVOUR) {
        return new Verdict(false, "claims no PDF/A flavour", "", "", 0);
      }
      try (PDFAValidator validator = Foundries.defaultInstance().createValidator(flavour, false)) {
        ValidationResult result = validator.validate(parser);
        String failed = result.getFailedChecks().keySet().stream().map(rule -> " " + rule.getClause() + "-" + rule.getTestNumber()).collect(Collectors.joining());
        return new Verdict(result.isCompliant(), "PDF/A-" + flavour.getId() + (result.isCompliant() ? "" : " violated:" + failed), "", "PDF/A-" + flavour.getId(), 0);
      }
    }
  }

  private static void report(Path dir, String judge, Judgement judgement) {
    long start = System.nanoTime();
    Verdict verdict;
    try {
      verdict = judgement.judge();
    } catch (Throwable problem) { // whatever a hostile file provokes inside a judge, StackOverflowError too, is a refusal
      verdict = new Verdict(false, problem.toString(), "", "", 0);
    }
    System.out.println("{\"case\":" + quote(dir.getFileName().toString()) + ",\"judge\":" + quote(judge) + ",\"accepts\":" + verdict.accepts
        + ",\"format\":" + quote(verdict.format) + ",\"signatures\":" + verdict.signatures + ",\"detail\":" + quote(verdict.detail) + ",\"millis\":" + (System.nanoTime() - start) / 1_000_000 + "}");
  }

  private static String quote(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\' || c < 0x20 || c > 0x7e) {
        out.append(String.format("\\u%04x", (int) c));
      } else {
        out.append(c);
      }
    }
    return out.append('"').toString();
  }

  private interface Judgement {
    Verdict judge() throws Exception;
  }

  private static final class Verdict {
    final boolean accepts;
    final String detail;
    final String indication;
    final String format;
    final int signatures;

    Verdict(boolean accepts, String detail, String indication, String format, int signatures) {
      this.accepts = accepts;
      this.detail = detail;
      this.indication = indication;
      this.format = format;
      this.signatures = signatures;
    }
  }
}
