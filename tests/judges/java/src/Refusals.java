import eu.europa.esig.dss.enumerations.Indication;
import eu.europa.esig.dss.enumerations.SubIndication;
import eu.europa.esig.dss.model.DSSDocument;
import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.simplereport.SimpleReport;
import eu.europa.esig.dss.simplereport.jaxb.XmlSignatureScope;
import eu.europa.esig.dss.simplereport.jaxb.XmlTimestamp;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonCertificateSource;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.spi.x509.revocation.crl.ExternalResourcesCRLSource;
import eu.europa.esig.dss.spi.x509.revocation.ocsp.ExternalResourcesOCSPSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import eu.europa.esig.dss.validation.reports.Reports;
import java.io.File;
import java.io.FileInputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * EU DSS over the corpus of bad documents (refusals/README.md), offline, each case with its own anchors, evidence and validation time.
 * Prints a line a case: name, tab, verdicts ("NONE" without a signature, several joined by " + "; a timestamp that is not
 * PASSED behind its signature's verdict), tab, details.
 */
public final class Refusals {
  public static void main(String[] args) throws Exception {
    Locale.setDefault(Locale.ENGLISH);
    List<Path> cases;
    try (Stream<Path> found = Files.list(Path.of(args[0]))) {
      cases = found.filter(Files::isDirectory).sorted().collect(Collectors.toList());
    }
    cases.parallelStream().forEach(dir -> {
      String[] answer;
      try {
        answer = judge(dir);
      } catch (Throwable problem) { // whatever a hostile file provokes in it is a refusal
        answer = new String[] {"NONE", problem.toString()};
      }
      String line = dir.getFileName() + "\t" + answer[0] + "\t" + answer[1].replaceAll("\\s+", " ") + "\n";
      synchronized (System.out) {
        System.out.write(line.getBytes(StandardCharsets.UTF_8), 0, line.getBytes(StandardCharsets.UTF_8).length);
      }
    });
    System.out.flush();
  }

  private static String[] judge(Path dir) throws Exception {
    CommonCertificateVerifier verifier = new CommonCertificateVerifier();
    verifier.setAIASource(null);
    CommonTrustedCertificateSource anchors = new CommonTrustedCertificateSource();
    for (File file : files(dir.resolve("anchors"), "")) {
      anchors.addCertificate(DSSUtils.loadCertificate(file));
    }
    verifier.addTrustedCertSources(anchors);
    CommonCertificateSource others = new CommonCertificateSource();
    for (File file : files(dir.resolve("evidence"), "cert")) {
      others.addCertificate(DSSUtils.loadCertificate(file));
    }
    verifier.addAdjunctCertSources(others);
    verifier.setOcspSource(new ExternalResourcesOCSPSource(streams(files(dir.resolve("evidence"), "ocsp"))));
    verifier.setCrlSource(new ExternalResourcesCRLSource(streams(files(dir.resolve("evidence"), "crl"))));

    DSSDocument document = new FileDocument(files(dir, "signed").get(0));
    SignedDocumentValidator validator = SignedDocumentValidator.fromDocument(document);
    validator.setCertificateVerifier(verifier);
    validator.setValidationTime(Date.from(Instant.parse(Files.readString(dir.resolve("at")).trim())));
    Reports reports = validator.validateDocument();
    SimpleReport simple = reports.getSimpleReport();
    List<String> verdicts = new ArrayList<>();
    List<String> details = new ArrayList<>();
    for (String id : simple.getSignatureIdList()) {
      SubIndication sub = simple.getSubIndication(id);
      String verdict = simple.getIndication(id).toString().replace('_', '-') + (sub == null ? "" : "/" + sub);
      StringBuilder detail = new StringBuilder(String.valueOf(simple.getSignatureFormat(id)));
      for (XmlSignatureScope scope : simple.getSignatureScopes(id)) {
        detail.append(", scope ").append(scope.getScope());
      }
      for (XmlTimestamp timestamp : simple.getSignatureTimestamps(id)) {
        detail.append(", timestamp ").append(timestamp.getIndication());
        String reason = timestamp.getSubIndication() == null ? "" : "/" + timestamp.getSubIndication();
        detail.append(reason);
        if (timestamp.getIndication() != Indication.PASSED) {
          verdict += ", timestamp " + timestamp.getIndication() + reason;
        }
      }
      verdicts.add(verdict);
      simple.getAdESValidationErrors(id).forEach(message -> detail.append("; ").append(message.getValue()));
      simple.getAdESValidationWarnings(id).forEach(message -> detail.append("; warning: ").append(message.getValue()));
      details.add(detail.toString());
    }
    return new String[] {verdicts.isEmpty() ? "NONE" : String.join(" + ", verdicts), String.join(" + ", details)};
  }

  private static List<File> files(Path folder, String start) {
    File[] found = folder.toFile().listFiles((dir, name) -> name.startsWith(start));
    return found == null ? List.of() : Stream.of(found).filter(File::isFile).sorted().collect(Collectors.toList());
  }

  private static InputStream[] streams(List<File> files) throws Exception {
    InputStream[] out = new InputStream[files.size()];
    for (int i = 0; i < out.length; i++) {
      out[i] = new FileInputStream(files.get(i));
    }
    return out;
  }
}
