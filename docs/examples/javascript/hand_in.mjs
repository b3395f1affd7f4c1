// Hands a mémoire d'honoraires in and prints its receipt. Node.js 20, no packages.
//
// usage: SCEAU_URL=http://127.0.0.1:7733 SCEAU_TOKEN=sceau_... node hand_in.mjs memoire.xml memoire.pdf
import { randomUUID } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const { SCEAU_URL, SCEAU_TOKEN } = process.env;

/** The answer with its body read; undefined when there is none, whatever happened. */
async function ask(path, body) {
  try {
    const answer = await fetch(SCEAU_URL + path, {
      method: body ? "POST" : "GET",
      body,
      headers: { authorization: `Bearer ${SCEAU_TOKEN}`, "content-type": "application/json", prefer: "wait=20" },
      signal: AbortSignal.timeout(90_000),
    });
    return { status: answer.status, headers: answer.headers, text: await answer.text() };
  } catch {
    return undefined; // refused, reset, closed, timed out
  }
}

/** Repeats the very same request while nobody knows, or the service asks for it. */
async function untilAnswered(path, body) {
  for (let pause = 1; ; pause = Math.min(pause * 2, 60)) {
    const answer = await ask(path, body);
    if (answer && answer.status < 500) return answer;
    const askedFor = Number.parseInt(answer?.headers.get("retry-after") ?? "", 10);
    await sleep(1000 * (Number.isNaN(askedFor) ? pause : askedFor));
  }
}

/** A 4xx: repeating it would change nothing. */
function refused(answer) {
  const problem = JSON.parse(answer.text);
  console.error(problem.doctor.fr); // for the doctor
  console.error(problem.code, problem.detail, problem.remedy); // for the log
  for (const fault of problem.faults ?? []) console.error("-", fault.code, fault.pointer?.xpath, fault.message);
  process.exit(1);
}

const [, , xmlFile, pdfFile] = process.argv;
// Your program writes a fresh version 4 UUID into each new document.
const uuid = randomUUID();
const xml = (await readFile(xmlFile, "utf8")).replace(/(<(?:\w+:)?uuid>)[^<]*/, `$1${uuid}`);
const pdf = (await readFile(pdfFile)).toString("base64");
const body = JSON.stringify({ xml, pdf });
// On disk before the first request: after a crash the same bytes go out again.
// (Your program keeps it in its own database and sends it again at its start.)
const kept = join(tmpdir(), `sceau-${uuid}.json`);
await writeFile(kept, body);

let answer = await untilAnswered("/v1/forms/memoire-honoraires/depot", body);
await rm(kept);
if (![200, 202].includes(answer.status)) refused(answer);
let submission = JSON.parse(answer.text);
for (let pause = 1; !submission.is_final; pause = Math.min(pause * 2, 60)) {
  console.error(submission.state, submission.waiting?.text ?? "");
  await sleep(1000 * pause);
  answer = await untilAnswered(`/v1/submissions/${uuid}`);
  if (answer.status !== 200) refused(answer);
  submission = JSON.parse(answer.text);
}
if (submission.state !== "receipted") {
  console.error(JSON.stringify(submission, null, 2));
  process.exit(1);
}
console.log(submission.insurer_id);
console.log((await untilAnswered(`/v1/submissions/${uuid}/receipt`)).text);
