import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.Set;
import javax.xml.parsers.DocumentBuilder;
import javax.xml.parsers.DocumentBuilderFactory;
import org.apache.xml.security.Init;
import org.apache.xml.security.c14n.Canonicalizer;
import org.apache.xml.security.utils.XMLUtils;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NamedNodeMap;
import org.w3c.dom.Node;

/**
 * Canonicalizes exclusively with Apache Santuario. A line is: document in hexadecimal, comments (0 or 1), prefix list
 * with blanks, apex (0 or 1), separated by tabs; the answer is the canonical form in hexadecimal, in a line of its own. The node set is the
 * one of tests/fixtures/c14n/libxml2.py.
 */
public final class Santuario {
    public static void main(String[] arguments) throws Exception {
        Init.init();
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        DocumentBuilder builder = factory.newDocumentBuilder();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        StringBuilder out = new StringBuilder();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] fields = line.split("\t", -1);
            byte[] xml = HexFormat.of().parseHex(fields[0]);
            Document document = builder.parse(new ByteArrayInputStream(xml));
            out.append(canonical(document, fields[1].equals("1"), fields[2], fields[3].equals("1"))).append('\n');
        }
        System.out.print(out);
    }

    private static String canonical(Document document, boolean comments, String prefixes, boolean apex) throws Exception {
        Canonicalizer canonicalizer = Canonicalizer.getInstance(
                comments ? Canonicalizer.ALGO_ID_C14N_EXCL_WITH_COMMENTS : Canonicalizer.ALGO_ID_C14N_EXCL_OMIT_COMMENTS);
        Node top = apex ? find(document, "apex") : document;
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        if (hides(top)) {
            // Namespaces stand in the set at every element they are in scope of.
            XMLUtils.circumventBug2650(document);
            Set<Node> shown = new HashSet<>();
            boolean visible = true;
            for (Node above = top.getParentNode(); above != null; above = above.getParentNode()) {
                visible &= !"hole".equals(above.getLocalName());
            }
            if (visible) {
                collect(top, shown);
            }
            if (!shown.isEmpty()) { // Santuario takes the document from a node of the set
                canonicalizer.canonicalizeXPathNodeSet(shown, prefixes, out);
            }
        } else {
            canonicalizer.canonicalizeSubtree(top, prefixes, out);
        }
        return HexFormat.of().formatHex(out.toByteArray());
    }

    private static boolean hides(Node node) {
        for (Node above = node; above != null; above = above.getParentNode()) {
            if ("hole".equals(above.getLocalName()) || "gap".equals(above.getLocalName())) {
                return true;
            }
        }
        return hidesBelow(node);
    }

    private static boolean hidesBelow(Node node) {
        for (Node child = node.getFirstChild(); child != null; child = child.getNextSibling()) {
            if ("hole".equals(child.getLocalName()) || "gap".equals(child.getLocalName()) || hidesBelow(child)) {
                return true;
            }
        }
        return false;
    }

    private static void collect(Node node, Set<Node> shown) {
        if ("hole".equals(node.getLocalName())) {
            return;
        }
        if (!"gap".equals(node.getLocalName())) {
            shown.add(node);
            NamedNodeMap attributes = node.getAttributes();
            for (int i = 0; attributes != null && i < attributes.getLength(); i++) {
                shown.add(attributes.item(i));
            }
        }
        for (Node child = node.getFirstChild(); child != null; child = child.getNextSibling()) {
            collect(child, shown);
        }
    }

    private static Element find(Node node, String attribute) {
        if (node instanceof Element element && element.hasAttribute(attribute)) {
            return element;
        }
        for (Node child = node.getFirstChild(); child != null; child = child.getNextSibling()) {
            Element found = find(child, attribute);
            if (found != null) {
                return found;
            }
        }
        return null;
    }
}
