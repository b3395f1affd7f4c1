import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Base64;
import java.util.UUID;
import java.util.regex.Pattern;

/**
 * Hands a mémoire d'honoraires in and prints its receipt. Java 17, no libraries.
 *
 * usage: SCEAU_URL=http://127.0.0.1:7733 SCEAU_TOKEN=sceau_... java HandIn.java memoire.xml memoire.pdf
 */
public class HandIn {
    static final String URL = System.getenv("SCEAU_URL");
    static final String TOKEN = System.getenv("SCEAU_TOKEN");
    // HTTP/1.1: Sceau speaks no other. No proxy: it is on this machine.
    static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(Duration.ofSeconds(5)).build();

    public static void main(String[] arguments) throws Exception {
        String xml = Files.readString(Path.of(arguments[0]));
        byte[] pdf = Files.readAllBytes(Path.of(arguments[1]));
        // Your program writes a fresh version 4 UUID into each new document.
        String uuid = UUID.randomUUID().toString();
        xml = xml.replaceFirst("(<(?:\\w+:)?uuid>)[^<]*", "$1" + uuid);
        String body = "{\"xml\": " + quoted(xml) + ", \"pdf\": \"" + Base64.getEncoder().encodeToString(pdf) + "\"}";
        // On disk before the first request: after a crash the same bytes go out again.
        // (Your program keeps it in its own database and sends it again at its start.)
        Path kept = Files.writeString(Files.createTempFile("sceau-" + uuid, ".json"), body);

        HttpResponse<String> answer = untilAnswered("/v1/forms/memoire-honoraires/depot", body);
        Files.delete(kept);
        if (answer.statusCode() != 200 && answer.statusCode() != 202) {
            refused(answer);
        }
        long pause = 1;
        while (!"true".equals(field(answer.body(), "is_final"))) {
            System.err.println(field(answer.body(), "state"));
            Thread.sleep(1000 * pause);
            pause = Math.min(pause * 2, 60);
            answer = untilAnswered("/v1/submissions/" + uuid, null);
            if (answer.statusCode() != 200) {
                refused(answer);
            }
        }
        if (!"receipted".equals(field(answer.body(), "state"))) {
            refused(answer);
        }
        System.out.println(field(answer.body(), "insurer_id"));
        System.out.println(untilAnswered("/v1/submissions/" + uuid + "/receipt", null).body());
    }

    /** The answer; null when there is none, whatever happened. */
    static HttpResponse<String> ask(String path, String body) throws InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(URL + path)).timeout(Duration.ofSeconds(90))
                .header("Authorization", "Bearer " + TOKEN).header("Prefer", "wait=20");
        if (body != null) {
            request.header("Content-Type", "application/json").POST(BodyPublishers.ofString(body));
        }
        try {
            return CLIENT.send(request.build(), BodyHandlers.ofString());
        } catch (IOException refusedResetClosedOrTimedOut) {
            return null;
        }
    }

    /** Repeats the very same request while nobody knows, or the service asks for it. */
    static HttpResponse<String> untilAnswered(String path, String body) throws InterruptedException {
        for (long pause = 1;; pause = Math.min(pause * 2, 60)) {
            HttpResponse<String> answer = ask(path, body);
            if (answer != null && answer.statusCode() < 500) {
                return answer;
            }
            long wait = pause;
            if (answer != null) {
                wait = answer.headers().firstValueAsLong("Retry-After").orElse(pause);
            }
            Thread.sleep(1000 * wait);
        }
    }

    /** A 4xx, or a refusal by the insurer: repeating it would change nothing. */
    static void refused(HttpResponse<String> answer) {
        System.err.println(answer.body());
        System.exit(1);
    }

    /** Use your JSON library here; this one serves for the example only. */
    static String field(String json, String name) {
        var found = Pattern.compile("\"" + name + "\":\\s*\"?([^\",}]*)").matcher(json);
        return found.find() ? found.group(1) : null;
    }

    static String quoted(String text) {
        var out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        return out.append('"').toString();
    }
}
