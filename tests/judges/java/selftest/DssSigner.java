import eu.europa.esig.dss.enumerations.DigestAlgorithm;
import eu.europa.esig.dss.enumerations.MimeTypeEnum;
import eu.europa.esig.dss.enumerations.SignatureAlgorithm;
import eu.europa.esig.dss.enumerations.SignatureLevel;
import eu.europa.esig.dss.enumerations.SignaturePackaging;
import eu.europa.esig.dss.model.DSSDocument;
import eu.europa.esig.dss.model.InMemoryDocument;
import eu.europa.esig.dss.model.SignatureValue;
import eu.europa.esig.dss.model.ToBeSigned;
import eu.europa.esig.dss.model.x509.CertificateToken;
import eu.europa.esig.dss.pades.PAdESSignatureParameters;
import eu.europa.esig.dss.pades.signature.PAdESService;
import eu.europa.esig.dss.signature.AbstractSignatureParameters;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.spi.x509.revocation.crl.CRLSource;
import eu.europa.esig.dss.spi.x509.revocation.ocsp.OCSPSource;
import eu.europa.esig.dss.spi.x509.tsp.TSPSource;
import eu.europa.esig.dss.xades.XAdESSignatureParameters;
import eu.europa.esig.dss.xades.XAdESSignatureParameters.XPathElementPlacement;
import eu.europa.esig.dss.xades.reference.CanonicalizationTransform;
import eu.europa.esig.dss.xades.reference.DSSReference;
import eu.europa.esig.dss.xades.reference.EnvelopedSignatureTransform;
import eu.europa.esig.dss.xades.signature.XAdESService;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.security.PrivateKey;
import java.security.Signature;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.pdfbox.cos.COSArray;
import org.apache.pdfbox.cos.COSDictionary;
import org.apache.pdfbox.cos.COSName;
import org.apache.pdfbox.pdfwriter.compress.CompressParameters;
import org.apache.pdfbox.pdmodel.PDDocument;
import org.apache.pdfbox.pdmodel.PDPage;
import org.apache.pdfbox.pdmodel.PDResources;
import org.apache.pdfbox.pdmodel.common.PDMetadata;
import org.apache.pdfbox.pdmodel.common.PDRectangle;
import org.apache.pdfbox.pdmodel.common.PDStream;
import org.apache.pdfbox.pdmodel.graphics.color.PDColorSpace;

/** EU DSS as a signer of forms: PAdES-B-B for the PDF, XAdES-B-LT for the XML, in the profile of the standard forms. */
final class DssSigner {
  private final PrivateKey key;
  private final List<CertificateToken> chain;
  private final TSPSource timestamps;
  private final CommonCertificateVerifier verifier = new CommonCertificateVerifier();

  /** `chain`: the signer first, the anchor last. */
  DssSigner(PrivateKey key, List<CertificateToken> chain, OCSPSource ocsp, CRLSource crl, TSPSource timestamps) {
    this.key = key;
    this.chain = chain;
    this.timestamps = timestamps;
    CommonTrustedCertificateSource anchors = new CommonTrustedCertificateSource();
    anchors.addCertificate(chain.get(chain.size() - 1));
    verifier.setTrustedCertSources(anchors);
    verifier.setAIASource(null);
    verifier.setOcspSource(ocsp);
    verifier.setCrlSource(crl);
  }

  byte[] signXml(byte[] xml) throws Exception {
    XAdESSignatureParameters parameters = new XAdESSignatureParameters();
    parameters.setSignatureLevel(SignatureLevel.XAdES_BASELINE_LT);
    parameters.setSignaturePackaging(SignaturePackaging.ENVELOPED);
    parameters.setXPathLocationString("//*[local-name()='signature']");
    parameters.setXPathElementPlacement(XPathElementPlacement.XPathFirstChildOf);
    parameters.setSigningCertificateDigestMethod(DigestAlgorithm.SHA256);
    parameters.getSignatureTimestampParameters().setDigestAlgorithm(DigestAlgorithm.SHA256);
    common(parameters);
    DSSReference whole = new DSSReference();
    whole.setId("r-whole");
    whole.setUri("");
    whole.setContents(new InMemoryDocument(xml, "form.xml", MimeTypeEnum.XML));
    whole.setDigestMethodAlgorithm(DigestAlgorithm.SHA256);
    whole.setTransforms(List.of(new EnvelopedSignatureTransform(), new CanonicalizationTransform("http://www.w3.org/2001/10/xml-exc-c14n#")));
    parameters.setReferences(List.of(whole));
    XAdESService service = new XAdESService(verifier);
    service.setTspSource(timestamps);
    DSSDocument document = new InMemoryDocument(xml, "form.xml", MimeTypeEnum.XML);
    ToBeSigned toBeSigned = service.getDataToSign(document, parameters);
    return timestampDataAmongTheOthers(DSSUtils.toByteArray(service.signDocument(document, parameters, sign(toBeSigned))));
  }

  /**
   * DSS keeps the validation data of the timestamp authority apart, in xades141:TimeStampValidationData. The standard forms want them
   * in CertificateValues and RevocationValues. These properties are unsigned, so they may be moved.
   */
  private static byte[] timestampDataAmongTheOthers(byte[] signed) {
    String xml = new String(signed, StandardCharsets.UTF_8);
    Matcher apart = Pattern.compile("<xades141:TimeStampValidationData.*?</xades141:TimeStampValidationData>", Pattern.DOTALL).matcher(xml);
    if (!apart.find()) {
      return signed;
    }
    String data = apart.group();
    String joined = xml.substring(0, apart.start()) + xml.substring(apart.end());
    for (String[] list : new String[][] {{"CertificateValues", "EncapsulatedX509Certificate"}, {"OCSPValues", "EncapsulatedOCSPValue"}}) {
      Matcher items = Pattern.compile("<xades:" + list[1] + ">.*?</xades:" + list[1] + ">", Pattern.DOTALL).matcher(data);
      String all = items.results().map(MatchResult::group).collect(Collectors.joining());
      joined = joined.replace("</xades:" + list[0] + ">", all + "</xades:" + list[0] + ">");
    }
    return joined.getBytes(StandardCharsets.UTF_8);
  }

  byte[] signPdf(byte[] pdf) throws Exception {
    PAdESSignatureParameters parameters = new PAdESSignatureParameters();
    parameters.setSignatureLevel(SignatureLevel.PAdES_BASELINE_B);
    common(parameters);
    PAdESService service = new PAdESService(verifier);
    DSSDocument document = new InMemoryDocument(pdf, "form.pdf");
    ToBeSigned toBeSigned = service.getDataToSign(document, parameters);
    return DSSUtils.toByteArray(service.signDocument(document, parameters, sign(toBeSigned)));
  }

  private void common(AbstractSignatureParameters<?> parameters) {
    parameters.setDigestAlgorithm(DigestAlgorithm.SHA256);
    parameters.setSigningCertificate(chain.get(0));
    parameters.setCertificateChain(chain);
  }

  private SignatureValue sign(ToBeSigned toBeSigned) throws Exception {
    boolean ec = key.getAlgorithm().startsWith("EC");
    Signature signature = Signature.getInstance(ec ? "SHA256withECDSA" : "SHA256withRSA");
    signature.initSign(key);
    signature.update(toBeSigned.getBytes());
    return new SignatureValue(ec ? SignatureAlgorithm.ECDSA_SHA256 : SignatureAlgorithm.RSA_SHA256, signature.sign());
  }

  /** One A4 page with a calibrated grey square: no font and no output intent needed, so it is PDF/A-2b as it stands. */
  static byte[] blankPdfA() throws Exception {
    try (PDDocument pdf = new PDDocument(); ByteArrayOutputStream out = new ByteArrayOutputStream()) {
      pdf.setVersion(1.7f);
      PDPage page = new PDPage(PDRectangle.A4);
      pdf.addPage(page);
      COSArray white = new COSArray();
      white.setFloatArray(new float[] {0.9505f, 1f, 1.089f});
      COSDictionary calibration = new COSDictionary();
      calibration.setItem(COSName.WHITE_POINT, white);
      COSArray space = new COSArray();
      space.add(COSName.CALGRAY);
      space.add(calibration);
      page.setResources(new PDResources());
      page.getResources().put(COSName.getPDFName("Grey"), PDColorSpace.create(space));
      byte[] square = "/Grey cs 0.5 sc 100 100 200 200 re f\n".getBytes(StandardCharsets.US_ASCII);
      page.setContents(new PDStream(pdf, new ByteArrayInputStream(square)));
      String xmp = "<?xpacket begin=\"\uFEFF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?><x:xmpmeta xmlns:x=\"adobe:ns:meta/\">"
          + "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"><rdf:Description rdf:about=\"\""
          + " xmlns:pdfaid=\"http://www.aiim.org/pdfa/ns/id/\"><pdfaid:part>2</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>"
          + "</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"w\"?>";
      PDMetadata metadata = new PDMetadata(pdf);
      metadata.importXMPMetadata(xmp.getBytes(StandardCharsets.UTF_8));
      pdf.getDocumentCatalog().setMetadata(metadata);
      pdf.save(out, CompressParameters.NO_COMPRESSION); // a classic cross-reference table, which strict readers prefer
      return out.toByteArray();
    }
  }
}
