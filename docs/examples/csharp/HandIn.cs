// Hands a mémoire d'honoraires in and prints its receipt. C# 7, HttpClient; .NET Framework 4.6, Mono, .NET 8.
//
// usage: SCEAU_URL=http://127.0.0.1:7733 SCEAU_TOKEN=sceau_... HandIn.exe memoire.xml memoire.pdf
using System;
using System.IO;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text.RegularExpressions;
using System.Threading.Tasks;

public static class HandIn
{
    static readonly string Url = Environment.GetEnvironmentVariable("SCEAU_URL");
    static readonly string Token = Environment.GetEnvironmentVariable("SCEAU_TOKEN");
    // No proxy: Sceau is on this machine.
    static readonly HttpClient Client =
        new HttpClient(new HttpClientHandler { UseProxy = false }) { Timeout = TimeSpan.FromSeconds(90) };

    sealed class Answer
    {
        public int Status;
        public int? RetryAfter;
        public string Text;
    }

    public static int Main(string[] arguments)
    {
        return Run(arguments[0], arguments[1]).GetAwaiter().GetResult();
    }

    static async Task<int> Run(string xmlFile, string pdfFile)
    {
        // Your program writes a fresh version 4 UUID into each new document.
        var uuid = Guid.NewGuid().ToString();
        var text = new Regex("(<(?:\\w+:)?uuid>)[^<]*").Replace(File.ReadAllText(xmlFile), "${1}" + uuid, 1);
        // On disk before the first request: after a crash the same bytes go out again.
        // (Your program keeps it in its own database and sends it again at its start.)
        var kept = Path.Combine(Path.GetTempPath(), "sceau-" + uuid + ".xml");
        File.WriteAllText(kept, text);
        byte[] xml = File.ReadAllBytes(kept), pdf = File.ReadAllBytes(pdfFile);

        Func<HttpContent> form = () => new MultipartFormDataContent
        {
            { new ByteArrayContent(xml), "\"xml\"", "\"memoire.xml\"" },
            { new ByteArrayContent(pdf), "\"pdf\"", "\"memoire.pdf\"" },
        };
        var answer = await UntilAnswered("/v1/forms/memoire-honoraires/depot", form);
        File.Delete(kept);
        if (answer.Status != 200 && answer.Status != 202) return Refused(answer);
        for (var pause = 1; Field(answer.Text, "is_final") != "true"; pause = Math.Min(pause * 2, 60))
        {
            Console.Error.WriteLine(Field(answer.Text, "state"));
            await Task.Delay(1000 * pause);
            answer = await UntilAnswered("/v1/submissions/" + uuid, null);
            if (answer.Status != 200) return Refused(answer);
        }
        if (Field(answer.Text, "state") != "receipted") return Refused(answer);
        Console.WriteLine(Field(answer.Text, "insurer_id"));
        Console.WriteLine((await UntilAnswered("/v1/submissions/" + uuid + "/receipt", null)).Text);
        return 0;
    }

    // The answer; null when there is none, whatever happened.
    static async Task<Answer> Ask(string path, Func<HttpContent> body)
    {
        var method = body == null ? HttpMethod.Get : HttpMethod.Post;
        using (var request = new HttpRequestMessage(method, Url + path))
        {
            if (body != null) request.Content = body();
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", Token);
            request.Headers.TryAddWithoutValidation("Prefer", "wait=20");
            try
            {
                using (var answer = await Client.SendAsync(request))
                {
                    var after = answer.Headers.RetryAfter?.Delta;
                    return new Answer
                    {
                        Status = (int)answer.StatusCode,
                        RetryAfter = after.HasValue ? (int?)after.Value.TotalSeconds : null,
                        Text = await answer.Content.ReadAsStringAsync(),
                    };
                }
            }
            catch (Exception error) when (error is HttpRequestException || error is TaskCanceledException || error is IOException)
            {
                return null; // refused, reset, closed, timed out
            }
        }
    }

    // Repeats the very same request while nobody knows, or the service asks for it.
    static async Task<Answer> UntilAnswered(string path, Func<HttpContent> body)
    {
        for (var pause = 1; ; pause = Math.Min(pause * 2, 60))
        {
            var answer = await Ask(path, body);
            if (answer != null && answer.Status < 500) return answer;
            await Task.Delay(1000 * (answer?.RetryAfter ?? pause));
        }
    }

    // A 4xx, or a refusal by the insurer: repeating it would change nothing.
    static int Refused(Answer answer)
    {
        Console.Error.WriteLine(answer.Text);
        return 1;
    }

    // Use System.Text.Json or your JSON library here; this one serves for the example only.
    static string Field(string json, string name)
    {
        var found = Regex.Match(json, "\"" + name + "\":\\s*\"?([^\",}]*)");
        return found.Success ? found.Groups[1].Value : null;
    }
}
