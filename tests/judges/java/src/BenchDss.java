import eu.europa.esig.dss.enumerations.DigestAlgorithm;
import eu.europa.esig.dss.enumerations.SignatureLevel;
import eu.europa.esig.dss.enumerations.SignaturePackaging;
import eu.europa.esig.dss.model.DSSDocument;
import eu.europa.esig.dss.model.InMemoryDocument;
import eu.europa.esig.dss.model.SignatureValue;
import eu.europa.esig.dss.model.ToBeSigned;
import eu.europa.esig.dss.model.x509.CertificateToken;
import eu.europa.esig.dss.pades.PAdESSignatureParameters;
import eu.europa.esig.dss.pades.signature.PAdESService;
import eu.europa.esig.dss.service.crl.OnlineCRLSource;
import eu.europa.esig.dss.service.ocsp.OnlineOCSPSource;
import eu.europa.esig.dss.service.tsp.OnlineTSPSource;
import eu.europa.esig.dss.signature.AbstractSignatureParameters;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.token.DSSPrivateKeyEntry;
import eu.europa.esig.dss.token.Pkcs11SignatureToken;
import eu.europa.esig.dss.token.PrefilledPasswordCallback;
import eu.europa.esig.dss.xades.XAdESSignatureParameters;
import eu.europa.esig.dss.xades.XAdESSignatureParameters.XPathElementPlacement;
import eu.europa.esig.dss.xades.signature.XAdESService;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore.PasswordProtection;
import java.util.List;

/**
 * EU DSS as a signer for {@code make bench}, with a key on the only token of a PKCS#11 module.
 *
 * <p>Arguments: MODULE PIN CA_PEM ROOT_PEM TSA_URL. Reads one order a line, {@code LEVEL FILE} with LEVEL {@code PAdES-B-B}, {@code PAdES-B-LT}
 * or {@code XAdES-B-LT}, signs the file in memory and answers {@code ok N}, the size of what it made in bytes. Session, key and HTTP clients are
 * kept, as a service would.
 */
public final class BenchDss {
  private final Pkcs11SignatureToken token;
  private final DSSPrivateKeyEntry key;
  private final List<CertificateToken> chain;
  private final PAdESService pades;
  private final XAdESService xades;

  private BenchDss(String module, String pin, String ca, String root, String tsa) {
    token = new Pkcs11SignatureToken(module, new PrefilledPasswordCallback(new PasswordProtection(pin.toCharArray())), -1, 0, null);
    key = token.getKeys().get(0);
    chain = List.of(key.getCertificate(), DSSUtils.loadCertificate(new File(ca)), DSSUtils.loadCertificate(new File(root)));
    CommonTrustedCertificateSource anchors = new CommonTrustedCertificateSource();
    anchors.addCertificate(chain.get(2));
    CommonCertificateVerifier verifier = new CommonCertificateVerifier();
    verifier.setTrustedCertSources(anchors);
    verifier.setOcspSource(new OnlineOCSPSource());
    verifier.setCrlSource(new OnlineCRLSource());
    OnlineTSPSource timestamps = new OnlineTSPSource(tsa);
    pades = new PAdESService(verifier);
    pades.setTspSource(timestamps);
    xades = new XAdESService(verifier);
    xades.setTspSource(timestamps);
  }

  public static void main(String[] args) throws Exception {
    BenchDss signer = new BenchDss(args[0], args[1], args[2], args[3], args[4]);
    BufferedReader orders = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = orders.readLine(); line != null; line = orders.readLine()) {
      int blank = line.indexOf(' ');
      System.out.println("ok " + signer.sign(line.substring(0, blank), Path.of(line.substring(blank + 1))).length);
    }
  }

  private byte[] sign(String level, Path path) throws IOException {
    DSSDocument document = new InMemoryDocument(Files.readAllBytes(path), path.getFileName().toString());
    switch (level) {
      case "PAdES-B-B":
        return pdf(document, SignatureLevel.PAdES_BASELINE_B);
      case "PAdES-B-LT":
        return pdf(document, SignatureLevel.PAdES_BASELINE_LT);
      case "XAdES-B-LT":
        return xml(document);
      default:
        throw new IllegalArgumentException(level);
    }
  }

  private byte[] pdf(DSSDocument document, SignatureLevel level) {
    PAdESSignatureParameters parameters = new PAdESSignatureParameters();
    parameters.setSignatureLevel(level);
    common(parameters);
    ToBeSigned toBeSigned = pades.getDataToSign(document, parameters);
    return DSSUtils.toByteArray(pades.signDocument(document, parameters, value(toBeSigned)));
  }

  private byte[] xml(DSSDocument document) {
    XAdESSignatureParameters parameters = new XAdESSignatureParameters();
    parameters.setSignatureLevel(SignatureLevel.XAdES_BASELINE_LT);
    parameters.setSignaturePackaging(SignaturePackaging.ENVELOPED);
    parameters.setXPathLocationString("//*[local-name()='signature']");
    parameters.setXPathElementPlacement(XPathElementPlacement.XPathFirstChildOf);
    common(parameters);
    ToBeSigned toBeSigned = xades.getDataToSign(document, parameters);
    return DSSUtils.toByteArray(xades.signDocument(document, parameters, value(toBeSigned)));
  }

  private void common(AbstractSignatureParameters<?> parameters) {
    parameters.setDigestAlgorithm(DigestAlgorithm.SHA256);
    parameters.setSigningCertificate(chain.get(0));
    parameters.setCertificateChain(chain);
  }

  private SignatureValue value(ToBeSigned toBeSigned) {
    return token.sign(toBeSigned, DigestAlgorithm.SHA256, key);
  }
}
