import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import eu.europa.esig.dss.crl.CRLUtils;
import eu.europa.esig.dss.enumerations.DigestAlgorithm;
import eu.europa.esig.dss.model.TimestampBinary;
import eu.europa.esig.dss.model.x509.CertificateToken;
import eu.europa.esig.dss.spi.CertificateExtensionsUtils;
import eu.europa.esig.dss.spi.DSSRevocationUtils;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.x509.revocation.crl.CRLToken;
import eu.europa.esig.dss.spi.x509.revocation.ocsp.OCSPToken;
import java.io.StringReader;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.PrivateKey;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.cert.ocsp.BasicOCSPResp;
import org.bouncycastle.cert.ocsp.CertificateID;
import org.bouncycastle.cert.ocsp.OCSPReqBuilder;
import org.bouncycastle.cert.ocsp.OCSPResp;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.tsp.TimeStampRequest;
import org.bouncycastle.tsp.TimeStampRequestGenerator;
import org.bouncycastle.tsp.TimeStampResponse;

/**
 * A form signed by EU DSS with a certificate, timestamp and revocation data of the sandbox: a signer that is not Sceau.
 * Usage: SignForm SANDBOX-FOLDER FORM.xml KEY(rsa2048|p256) CASE-FOLDER. The form gets a new UUID and a blank PDF/A.
 */
public final class SignForm {
  private static final HttpClient HTTP = HttpClient.newHttpClient();

  private SignForm() {}

  public static void main(String[] args) throws Exception {
    Matcher authority = Pattern.compile("url = \"((http://127\\.0\\.0\\.1:\\d+)/tsa)\"").matcher(Files.readString(Path.of(args[0], "environment.toml")));
    if (!authority.find()) {
      throw new IllegalArgumentException("no timestamp authority in environment.toml");
    }
    String order = "{\"key\":\"" + args[2] + "\",\"name\":\"Testine Exemple\",\"validity\":\"valid\",\"usage\":\"sign\"}";
    JsonNode identity = new ObjectMapper().readTree(post(authority.group(2) + "/control/identities", "application/json", order.getBytes(StandardCharsets.UTF_8)));
    String url = authority.group(1);
    DssSigner dss = new DssSigner(key(identity.get("key_pem").asText()), chain(identity), SignForm::ocsp, SignForm::crl, (algorithm, digest) -> timestamp(url, algorithm, digest));
    Path dir = Files.createDirectories(Path.of(args[3]));
    byte[] before = DssSigner.blankPdfA();
    byte[] pdf = dss.signPdf(before);
    String form = Files.readString(Path.of(args[1])).replaceFirst("(<(\\w+:)uuid>)[^<]*", "$1" + UUID.randomUUID());
    String slot = "<$1signature></$1signature><$1document>" + Base64.getEncoder().encodeToString(pdf) + "</$1document></$1memoireHonoraires>";
    Files.write(dir.resolve("before.pdf"), before);
    Files.write(dir.resolve("signed.pdf"), pdf);
    Files.write(dir.resolve("signed.xml"), dss.signXml(form.replaceFirst("</(\\w+:)memoireHonoraires>", slot).getBytes(StandardCharsets.UTF_8)));
    Files.writeString(dir.resolve("expect.json"), "{\"xades\":\"XAdES-BASELINE-LT\",\"pades\":\"PAdES-BASELINE-B\",\"verdict\":\"accept\",\"note\":\"made by DSS with the sandbox\"}\n");
  }

  private static PrivateKey key(String pem) throws Exception {
    try (PEMParser parser = new PEMParser(new StringReader(pem))) {
      return new JcaPEMKeyConverter().getPrivateKey((PrivateKeyInfo) parser.readObject());
    }
  }

  private static List<CertificateToken> chain(JsonNode identity) {
    List<CertificateToken> chain = new ArrayList<>();
    Matcher blocks = Pattern.compile("-----BEGIN CERTIFICATE-----(.*?)-----END", Pattern.DOTALL).matcher(identity.get("certificate_pem").asText() + identity.get("chain_pem").asText());
    while (blocks.find()) {
      chain.add(DSSUtils.loadCertificate(Base64.getMimeDecoder().decode(blocks.group(1))));
    }
    return chain;
  }

  private static TimestampBinary timestamp(String url, DigestAlgorithm algorithm, byte[] digest) {
    try {
      TimeStampRequestGenerator generator = new TimeStampRequestGenerator();
      generator.setCertReq(true);
      TimeStampRequest request = generator.generate(new ASN1ObjectIdentifier(algorithm.getOid()), digest, BigInteger.valueOf(System.nanoTime()));
      TimeStampResponse response = new TimeStampResponse(post(url, "application/timestamp-query", request.getEncoded()));
      response.validate(request);
      return new TimestampBinary(response.getTimeStampToken().getEncoded());
    } catch (Exception problem) {
      throw new IllegalStateException("no timestamp from " + url, problem);
    }
  }

  private static OCSPToken ocsp(CertificateToken certificate, CertificateToken issuer) {
    try {
      for (String url : CertificateExtensionsUtils.getOCSPAccessUrls(certificate)) {
        CertificateID id = DSSRevocationUtils.getOCSPCertificateID(certificate, issuer, DigestAlgorithm.SHA1);
        byte[] answer = post(url, "application/ocsp-request", new OCSPReqBuilder().addRequest(id).build().getEncoded());
        BasicOCSPResp basic = (BasicOCSPResp) new OCSPResp(answer).getResponseObject();
        return new OCSPToken(basic, DSSRevocationUtils.getLatestSingleResponse(basic, certificate, issuer), certificate, issuer);
      }
      return null;
    } catch (Exception problem) {
      throw new IllegalStateException("no OCSP answer", problem);
    }
  }

  private static CRLToken crl(CertificateToken certificate, CertificateToken issuer) {
    try {
      for (String url : CertificateExtensionsUtils.getCRLAccessUrls(certificate)) {
        byte[] crl = send(HttpRequest.newBuilder(URI.create(url)).build());
        return new CRLToken(certificate, CRLUtils.buildCRLValidity(CRLUtils.buildCRLBinary(crl), issuer));
      }
      return null;
    } catch (Exception problem) {
      throw new IllegalStateException("no CRL", problem);
    }
  }

  private static byte[] post(String url, String type, byte[] body) throws Exception {
    return send(HttpRequest.newBuilder(URI.create(url)).header("Content-Type", type).POST(HttpRequest.BodyPublishers.ofByteArray(body)).build());
  }

  private static byte[] send(HttpRequest request) throws Exception {
    HttpResponse<byte[]> response = HTTP.send(request, HttpResponse.BodyHandlers.ofByteArray());
    if (response.statusCode() / 100 != 2) {
      throw new IllegalStateException(request.uri() + " answered " + response.statusCode() + ": " + new String(response.body(), StandardCharsets.UTF_8));
    }
    return response.body();
  }
}
