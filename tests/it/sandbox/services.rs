//! What the sandbox decides as insurer, form by form, asked by a foreign
//! client; every answer is valid by its schema in the eyes of xmllint.

use super::Sandbox;
use super::client::{Client, FORM, Flaw, Place, memoire};
use sceau::base::Uuid4;
use serde_json::Value;

const CODE: &str = "90000001";
const EHEALTH: &str = "9000000001";
const SECOND: &str = "90000002";
const ADULT: &str = "1893120105732";
const CHILD: &str = "2016041200186";
const PID: &str = "urn:sceau:forms:pid:2";

fn uuid() -> String {
    Uuid4::random().to_string()
}

/// The text of the first element of this local name.
fn text(xml: &str, name: &str) -> Option<String> {
    let doc = roxmltree::Document::parse(xml).unwrap();
    let mut all = doc.descendants();
    let found = all.find(|n| n.tag_name().name() == name);
    found.map(|n| n.text().unwrap_or_default().to_owned())
}

fn texts(xml: &str, name: &str) -> Vec<String> {
    let doc = roxmltree::Document::parse(xml).unwrap();
    let all = doc.descendants().filter(|n| n.tag_name().name() == name);
    all.map(|n| n.text().unwrap_or_default().to_owned())
        .collect()
}

/// The verdict and the codes of an answer.
fn verdict(xml: &str) -> (String, Vec<String>) {
    (text(xml, "statut").unwrap(), texts(xml, "code"))
}

fn accepted(codes: &[&str]) -> (String, Vec<String>) {
    (
        "accepte".to_owned(),
        codes.iter().map(|c| (*c).to_owned()).collect(),
    )
}

fn refused(codes: &[&str]) -> (String, Vec<String>) {
    (
        "refuse".to_owned(),
        codes.iter().map(|c| (*c).to_owned()).collect(),
    )
}

/// A practitioner at one form: model ids, schema.
struct Desk<'a> {
    client: &'a Client<'a>,
    token: String,
    form: &'static str,
    schema: &'static str,
}

impl Desk<'_> {
    /// Sends a document; the form's part of the answer, which is told again
    /// word for word when asked.
    fn send(&self, operation: &str, document: &str) -> String {
        let model = format!("SCEAU-{}-{operation}-{}", self.form, self.version());
        let answer = self.client.exchange(&self.token, &model, document);
        let answer = self.client.valid(&answer, self.schema);
        let state = self.ask(&text(&answer, "uuidPrestataire").unwrap());
        assert_eq!(text(&state, "connu").as_deref(), Some("true"));
        assert!(state.contains(&answer), "{state}");
        answer
    }

    fn version(&self) -> &str {
        self.schema.split('/').nth(1).unwrap()
    }

    /// Asks about a document; the status answer.
    fn ask(&self, uuid: &str) -> String {
        let (form, version) = self.schema.split_once('/').unwrap();
        let version = version.split('/').next().unwrap();
        let namespace = format!("urn:sceau:forms:{form}:{version}");
        let model = format!("SCEAU-{}-STATUS-{version}", self.form);
        let answer = self.client.ask_form(&self.token, &model, &namespace, uuid);
        self.client.valid(&answer, self.schema)
    }
}

fn entry(sandbox: &Sandbox, uuid: &str) -> Value {
    sandbox.shown(&format!("documents/{uuid}"))
}

fn statuses(sandbox: &Sandbox, uuid: &str) -> Vec<String> {
    let history = entry(sandbox, uuid)["history"].clone();
    let events = history.as_array().unwrap().iter();
    events
        .map(|e| e["status"].as_str().unwrap().to_owned())
        .collect()
}

mod cancellations {
    use super::*;

    fn desk<'a>(client: &'a Client<'a>, code: &str, ehealth: &str) -> Desk<'a> {
        Desk {
            client,
            token: client.token(code, ehealth),
            form: "MEMHON",
            schema: "memoire-honoraires/2/memoire-honoraires.xsd",
        }
    }

    fn annulation(
        client: &Client<'_>,
        code: &str,
        target: &str,
        replacement: Option<&str>,
    ) -> (String, String) {
        let id = uuid();
        let kind = if replacement.is_some() { 2 } else { 1 };
        let replacement = replacement
            .map(|uuid| format!("<mh:uuidDocumentRemplacant>{uuid}</mh:uuidDocumentRemplacant>"));
        let unsigned = format!(
            "<mh:annulationMemoireHonoraires xmlns:mh=\"{FORM}\"><mh:uuid>{id}</mh:uuid>\
             <mh:codePrestataire>{code}</mh:codePrestataire><mh:uuidDocumentAnnule>{target}\
             </mh:uuidDocumentAnnule>{}<mh:typeAnnulation>{kind}</mh:typeAnnulation>\
             <mh:motif>Essai</mh:motif></mh:annulationMemoireHonoraires>",
            replacement.unwrap_or_default()
        );
        (client.signed(&unsigned, Place::EndOfRoot, Flaw::None), id)
    }

    fn deposit(desk: &Desk<'_>, code: &str) -> (String, String) {
        let id = uuid();
        let answer = desk.send("DEPOT", &desk.client.document(&id, code, Flaw::None));
        assert_eq!(verdict(&answer), accepted(&[]));
        (id, text(&answer, "uuidSecu").unwrap())
    }

    #[test]
    fn a_memoire_is_cancelled_once_by_its_own_practitioner() {
        let scratch = tempfile::tempdir().unwrap();
        let mut sandbox = Sandbox::start(scratch.path());
        let (first, cancelled_by) = {
            let client = Client::new(&sandbox);
            let own = desk(&client, CODE, EHEALTH);
            let cancel = |target: &str| annulation(&client, CODE, target, None).0;
            let (first, secu_id) = deposit(&own, CODE);
            let unknown = own.send("ANNUL", &cancel("SANDBOX-99999999"));
            assert_eq!(verdict(&unknown), refused(&["SBX-030"]));
            let other = desk(&client, SECOND, "9000000002");
            let (foreign, _) = annulation(&client, SECOND, &secu_id, None);
            let foreign = other.send("ANNUL", &foreign);
            assert_eq!(verdict(&foreign), refused(&["SBX-031"]));
            assert_eq!(statuses(&sandbox, &first), ["received"]);

            let (document, id) = annulation(&client, CODE, &secu_id, None);
            let answer = own.send("ANNUL", &document);
            assert_eq!(verdict(&answer), accepted(&[]));
            assert!(answer.contains("annulationMemoireHonorairesRetour"));
            assert_eq!(statuses(&sandbox, &first), ["received", "cancelled"]);
            assert_eq!(entry(&sandbox, &first)["history"][1]["by"], id.as_str());
            assert_eq!(entry(&sandbox, &id)["refers_to"][0], first.as_str());
            let twice = own.send("ANNUL", &cancel(&secu_id));
            assert_eq!(verdict(&twice), refused(&["SBX-032"]));
            (first, id)
        };
        sandbox.kill();
        let restarted = Sandbox::start(scratch.path());
        assert_eq!(statuses(&restarted, &first), ["received", "cancelled"]);
        assert_eq!(entry(&restarted, &cancelled_by)["operation"], "annulation");
    }

    #[test]
    fn a_memoire_is_replaced_and_a_paid_one_is_not_cancelled() {
        let scratch = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(scratch.path());
        let client = Client::new(&sandbox);
        let own = desk(&client, CODE, EHEALTH);
        let (first, secu_id) = deposit(&own, CODE);
        let (itself, _) = annulation(&client, CODE, &secu_id, Some(&first));
        assert_eq!(verdict(&own.send("ANNUL", &itself)), refused(&["SBX-035"]));
        let (second, _) = deposit(&own, CODE);
        let (replaced, id) = annulation(&client, CODE, &secu_id, Some(&second));
        assert_eq!(verdict(&own.send("ANNUL", &replaced)), accepted(&[]));
        assert_eq!(entry(&sandbox, &first)["status"], "replaced");
        let refers = entry(&sandbox, &id)["refers_to"].clone();
        assert_eq!(refers, serde_json::json!([first, second]));
        let (third, secu_id) = deposit(&own, CODE);
        let (awaited, _) = annulation(&client, CODE, &secu_id, Some(&uuid()));
        assert_eq!(
            verdict(&own.send("ANNUL", &awaited)),
            accepted(&["SBX-036"])
        );
        assert_eq!(entry(&sandbox, &third)["status"], "replaced");

        let (paid, secu_id) = deposit(&own, CODE);
        for expected in ["sent", "reimbursement-asked", "paid"] {
            let shown = sandbox.control(&format!("documents/{paid}/advance"), "");
            assert_eq!(shown["status"], expected);
        }
        let url = format!("{}/control/documents/{paid}/advance", sandbox.http);
        let end = super::super::run("curl", &["-sS", "-X", "POST", "-w", "%{http_code}", &url]);
        assert!(super::super::said(&end).ends_with("409"));
        let (late, _) = annulation(&client, CODE, &secu_id, None);
        assert_eq!(verdict(&own.send("ANNUL", &late)), refused(&["SBX-033"]));
    }

    #[test]
    fn a_deposit_is_judged_by_the_rules_engine_and_by_consent() {
        let scratch = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(scratch.path());
        let client = Client::new(&sandbox);
        let own = desk(&client, CODE, EHEALTH);
        let send = |change: fn(String) -> String| {
            let unsigned = change(memoire(&uuid(), CODE));
            let document = client.signed(&unsigned, Place::Wrapper("mh"), Flaw::None);
            verdict(&own.send("DEPOT", &document))
        };
        assert_eq!(send(|x| x.replace("62.60", "62.70")), refused(&["SBX-010"]));
        assert_eq!(send(|x| x.replace("7.51", "7.50")), accepted(&["SBX-012"]));
        assert_eq!(send(|x| x.replace(">C1<", ">X7<")), refused(&["SBX-009"]));
        assert_eq!(send(|x| x.replace(">C1<", ">Y1<")), accepted(&[]));

        let consent = |given: bool| {
            let body = serde_json::json!({ "matricule": ADULT, "given": given });
            sandbox.control("consents", &body.to_string())
        };
        assert_eq!(consent(false)["withheld"], serde_json::json!([ADULT]));
        assert_eq!(send(|x| x), refused(&["SBX-020"]));
        assert_eq!(consent(true)["withheld"], serde_json::json!([]));
        assert_eq!(send(|x| x), accepted(&[]));
    }
}

mod pid {
    use super::*;

    fn desk<'a>(client: &'a Client<'a>, code: &str, ehealth: &str) -> Desk<'a> {
        Desk {
            client,
            token: client.token(code, ehealth),
            form: "PID",
            schema: "pid/2/pid.xsd",
        }
    }

    /// A simulation of acts, one each line: code, and what stands behind it.
    fn simulation(matricule: &str, acts: &[(&str, &str, &str)]) -> (String, String) {
        let id = uuid();
        let lines: String = acts
            .iter()
            .map(|(act, inside, behind)| {
                format!(
                    "<pid:ligne><pid:identifiantExternePrestation>{}\
                     </pid:identifiantExternePrestation>\
                     <pid:dateDebutPrestation>2026-09-14</pid:dateDebutPrestation><pid:acte>\
                     <pid:codeActe>{act}</pid:codeActe>{inside}</pid:acte>\
                     <pid:lieuDePrestation>01</pid:lieuDePrestation>{behind}</pid:ligne>",
                    uuid()
                )
            })
            .collect();
        let document = format!(
            "<pid:simulation xmlns:pid=\"{PID}\"><pid:uuid>{id}</pid:uuid>\
             <pid:identifiantFacturier>{CODE}</pid:identifiantFacturier>\
             <pid:matricule>{matricule}</pid:matricule><pid:idMemoireHonoraires>{}\
             </pid:idMemoireHonoraires><pid:dateEtablissementMemoireHonoraires>2026-09-14\
             </pid:dateEtablissementMemoireHonoraires><pid:lignes>{lines}</pid:lignes>\
             </pid:simulation>",
            uuid()
        );
        (document, id)
    }

    const ONCE: &str = "<pid:nombre>1</pid:nombre>";

    fn validation(client: &Client<'_>, code: &str, id: &str, flags: [bool; 3]) -> String {
        let [doctor, insured, paid] = flags;
        let unsigned = format!(
            "<pid:validation xmlns:pid=\"{PID}\"><pid:uuid>{}</pid:uuid>\
             <pid:identifiantFacturier>{code}</pid:identifiantFacturier>\
             <pid:identifiantReponseSimulation>{id}</pid:identifiantReponseSimulation>\
             <pid:indicateurValidationMedecin>{doctor}</pid:indicateurValidationMedecin>\
             <pid:indicateurValidationPersonneProtegee>{insured}\
             </pid:indicateurValidationPersonneProtegee>\
             <pid:indicateurAcquittementParticipationPersonnelle>{paid}\
             </pid:indicateurAcquittementParticipationPersonnelle></pid:validation>",
            uuid()
        );
        client.signed(&unsigned, Place::EndOfRoot, Flaw::None)
    }

    fn contestation(client: &Client<'_>, id: &str, code: &str) -> String {
        let unsigned = format!(
            "<pid:contestation xmlns:pid=\"{PID}\"><pid:uuid>{}</pid:uuid>\
             <pid:identifiantFacturier>{CODE}</pid:identifiantFacturier>\
             <pid:identifiantReponseSimulation>{id}</pid:identifiantReponseSimulation>\
             <pid:contestationAnomalie><pid:codeAnomalie>{code}</pid:codeAnomalie>\
             <pid:codeContestation>C01</pid:codeContestation></pid:contestationAnomalie>\
             </pid:contestation>",
            uuid()
        );
        client.signed(&unsigned, Place::EndOfRoot, Flaw::None)
    }

    fn priced(desk: &Desk<'_>, matricule: &str, acts: &[(&str, &str, &str)]) -> (String, String) {
        let (document, uuid) = simulation(matricule, acts);
        (desk.send("SIM", &document), uuid)
    }

    fn simulated(desk: &Desk<'_>, act: &str) -> String {
        let (answer, _) = priced(desk, ADULT, &[(act, ONCE, "")]);
        text(&answer, "identifiantReponseSimulation").unwrap()
    }

    #[test]
    fn a_simulation_is_priced_with_more_lines_than_were_sent() {
        let scratch = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(scratch.path());
        let client = Client::new(&sandbox);
        let own = desk(&client, CODE, EHEALTH);
        let (answer, _) = priced(&own, ADULT, &[("X0", ONCE, ""), ("X9", ONCE, "")]);
        assert_eq!(verdict(&answer), accepted(&[]));
        assert_eq!(texts(&answer, "codeActe"), ["X0", "X9", "X9Z"]);
        assert_eq!(texts(&answer, "partStatutaire"), ["50.78", "57.55", "0.00"]);
        assert_eq!(
            texts(&answer, "participationPersonnelle"),
            ["6.92", "7.85", "0.00"]
        );
        assert_eq!(text(&answer, "sommeTotale").as_deref(), Some("123.10"));
        let total = |name| text(&answer, name).unwrap();
        assert_eq!(total("totalPartStatutaire"), "108.33");
        assert_eq!(total("totalParticipationPersonnelle"), "14.77");

        let asked = "<pid:montantBrut>100.00</pid:montantBrut>";
        let (answer, _) = priced(&own, CHILD, &[("C1", ONCE, asked)]);
        assert_eq!(texts(&answer, "montantOpposable"), ["62.60"]);
        assert_eq!(texts(&answer, "montantNonOpposable"), ["37.40"]);
        assert_eq!(texts(&answer, "participationPersonnelle"), ["37.40"]);
        let wrong = "<pid:suffixeActe>Q</pid:suffixeActe><pid:nombre>2</pid:nombre>";
        let (answer, _) = priced(&own, ADULT, &[("X3", wrong, ""), ("Y1", ONCE, "")]);
        assert_eq!(
            verdict(&answer),
            accepted(&["SBX-003", "SBX-005", "SBX-001"])
        );
        assert_eq!(texts(&answer, "ligne").len(), 5, "{answer}");
        assert_eq!(
            text(&answer, "totalPartStatutaire").as_deref(),
            Some("0.00")
        );
        let (answer, _) = priced(&own, ADULT, &[("Y1", ONCE, asked)]);
        assert_eq!(verdict(&answer), refused(&["SBX-001"]));
        assert_eq!(text(&answer, "identifiantReponseSimulation"), None);
        let (answer, _) = priced(&own, ADULT, &[("C2", ONCE, ""), ("Y1", ONCE, asked)]);
        assert_eq!(verdict(&answer), accepted(&["SBX-001"]));
        assert_eq!(texts(&answer, "type"), ["ligne"]);
        assert_eq!(texts(&answer, "nombre"), ["1", "0"]);
        assert_eq!(
            texts(&answer, "participationPersonnelle"),
            ["6.89", "100.00"]
        );
    }

    #[test]
    fn a_simulation_is_validated_or_contested_once() {
        let scratch = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(scratch.path());
        let client = Client::new(&sandbox);
        let own = desk(&client, CODE, EHEALTH);
        let yes = [true; 3];
        sandbox.scenario("exchange", "refuse", Some("TEST-1"));
        let (answer, _) = priced(&own, ADULT, &[("X0", ONCE, "")]);
        assert_eq!(verdict(&answer), refused(&["TEST-1"]));
        assert_eq!(text(&answer, "identifiantReponseSimulation"), None);
        let never = "SANDBOX-00000001";
        let id = simulated(&own, "X0");
        let validate = |id: &str, flags| own.send("VAL", &validation(&client, CODE, id, flags));
        let contest = |id: &str, code: &str| own.send("CON", &contestation(&client, id, code));
        for unknown in ["SANDBOX-0", never] {
            assert_eq!(verdict(&validate(unknown, yes)), refused(&["SBX-040"]));
        }
        let other = desk(&client, SECOND, "9000000002");
        let foreign = other.send("VAL", &validation(&client, SECOND, &id, yes));
        assert_eq!(verdict(&foreign), refused(&["SBX-041"]));
        let alone = validate(&id, [true, false, true]);
        assert_eq!(verdict(&alone), refused(&["SBX-043"]));
        assert_eq!(text(&alone, "montantPaye"), None);

        let answer = validate(&id, [true, true, false]);
        assert_eq!(verdict(&answer), accepted(&["SBX-044"]));
        assert_eq!(text(&answer, "montantPaye").as_deref(), Some("50.78"));
        assert!(text(&answer, "identifiantInitiationPaiement").is_some());
        assert_eq!(verdict(&validate(&id, yes)), refused(&["SBX-042"]));
        assert_eq!(
            verdict(&contest(&id, "SBX-005")),
            refused(&["SBX-042", "SBX-046"])
        );

        let (answer, uuid) = priced(&own, ADULT, &[("X5", ONCE, "")]);
        assert_eq!(verdict(&answer), accepted(&["SBX-007"]));
        let id = text(&answer, "identifiantReponseSimulation").unwrap();
        // R24: a standard mémoire follows, and the patient claims.
        let answer = contest(&id, "SBX-007");
        assert_eq!(verdict(&answer), accepted(&["SBX-045"]));
        assert!(answer.contains("mémoire d'honoraires standard"), "{answer}");
        assert_eq!(statuses(&sandbox, &uuid), ["received", "contested"]);
        assert_eq!(verdict(&contest(&id, "SBX-007")), refused(&["SBX-042"]));
    }
}

mod papers {
    use super::*;

    const ECIT: &str = "urn:sceau:forms:ecit:1";
    const EORD: &str = "urn:sceau:forms:eordonnance:1";

    fn desk<'a>(client: &'a Client<'a>, form: &'static str, schema: &'static str) -> Desk<'a> {
        Desk {
            client,
            token: client.token(CODE, EHEALTH),
            form,
            schema,
        }
    }

    /// The two people on both forms; `p` is the prefix.
    fn people(p: &str, doctor: &str, qualification: &str) -> String {
        format!(
            "<{p}:{doctor}><{p}:codePrestataire>{CODE}</{p}:codePrestataire>\
             <{p}:nom>Exemple</{p}:nom><{p}:prenom>Testine</{p}:prenom>{qualification}\
             <{p}:adresse><{p}:rue>rue de l'Essai</{p}:rue></{p}:adresse></{p}:{doctor}>\
             <{p}:patient><{p}:matricule>{ADULT}</{p}:matricule><{p}:nom>Modèle</{p}:nom>\
             <{p}:prenom>Patient</{p}:prenom></{p}:patient>"
        )
    }

    fn certificate(client: &Client<'_>, uuid: &str, period: &str) -> String {
        let unsigned = format!(
            "<ecit:certificatIncapacite xmlns:ecit=\"{ECIT}\"><ecit:uuid>{uuid}</ecit:uuid>\
             <ecit:dateEtablissement>2026-09-14</ecit:dateEtablissement>{}<ecit:incapacite>\
             <ecit:dateConstat>2026-09-14</ecit:dateConstat>{period}<ecit:cause>maladie\
             </ecit:cause><ecit:sortiesAutorisees>true</ecit:sortiesAutorisees>\
             <ecit:codeDiagnostic>TEST-A1</ecit:codeDiagnostic></ecit:incapacite>\
             </ecit:certificatIncapacite>",
            people("ecit", "medecin", "")
        );
        client.signed(&unsigned, Place::Wrapper("ecit"), Flaw::None)
    }

    fn period(kind: &str, earlier: &str, until: &str) -> String {
        let earlier = match earlier {
            "" => String::new(),
            id => format!(
                "<ecit:identifiantCertificatPrecedent>{id}\
                 </ecit:identifiantCertificatPrecedent>"
            ),
        };
        format!(
            "<ecit:{kind}>{earlier}<ecit:dateDebut>2026-09-14</ecit:dateDebut><ecit:dateFin>\
             {until}</ecit:dateFin></ecit:{kind}>"
        )
    }

    fn annulation(client: &Client<'_>, p: &str, namespace: &str, what: &str, id: &str) -> String {
        let unsigned = format!(
            "<{p}:annulation{what} xmlns:{p}=\"{namespace}\"><{p}:uuid>{}</{p}:uuid>\
             <{p}:codePrestataire>{CODE}</{p}:codePrestataire><{p}:identifiant{what}>{id}\
             </{p}:identifiant{what}><{p}:dateAnnulation>2026-09-14</{p}:dateAnnulation>\
             <{p}:motif>Essai</{p}:motif></{p}:annulation{what}>",
            uuid()
        );
        client.signed(&unsigned, Place::EndOfRoot, Flaw::None)
    }

    #[test]
    fn certificates_are_taken_prolonged_and_cancelled() {
        let scratch = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(scratch.path());
        let client = Client::new(&sandbox);
        let own = desk(&client, "ECIT", "ecit/1/certificat-incapacite.xsd");
        let id = uuid();
        let send = |id: &str, period: &str| own.send("DEPOT", &certificate(&client, id, period));
        let answer = send(&id, &period("initial", "", "2026-09-18"));
        assert_eq!(verdict(&answer), accepted(&[]));
        let secu_id = text(&answer, "uuidSecu").unwrap();
        let longest = send(&uuid(), &period("initial", "", "2027-03-12"));
        assert_eq!(verdict(&longest), accepted(&[]));
        let long = send(&uuid(), &period("initial", "", "2027-03-13"));
        assert_eq!(verdict(&long), refused(&["SBX-050"]));

        let next = uuid();
        let prolonged = send(&next, &period("prolongation", &secu_id, "2026-09-25"));
        assert_eq!(verdict(&prolonged), accepted(&[]));
        assert_eq!(entry(&sandbox, &next)["refers_to"][0], id.as_str());
        let stray = send(&uuid(), &period("prolongation", "SANDBOX-0", "2026-09-25"));
        assert_eq!(verdict(&stray), accepted(&["SBX-051"]));
        let cancel = || annulation(&client, "ecit", ECIT, "Certificat", &secu_id);
        assert_eq!(verdict(&own.send("ANNUL", &cancel())), accepted(&[]));
        assert_eq!(
            verdict(&own.send("ANNUL", &cancel())),
            refused(&["SBX-032"])
        );
        assert_eq!(entry(&sandbox, &id)["status"], "cancelled");
        let late = send(&uuid(), &period("prolongation", &secu_id, "2026-09-25"));
        assert_eq!(verdict(&late), refused(&["SBX-052"]));
    }

    fn prescription(client: &Client<'_>, medicines: &[&str]) -> String {
        let medicines = medicines.iter().enumerate();
        let medicines: String = medicines
            .map(|(n, rest)| {
                format!(
                    "<eo:medicament><eo:numeroLigne>{}</eo:numeroLigne>\
                     <eo:denomination>Testamol {rest}</eo:medicament>",
                    n + 1
                )
            })
            .collect();
        let unsigned = format!(
            "<eo:ordonnance xmlns:eo=\"{EORD}\"><eo:uuid>{}</eo:uuid>\
             <eo:dateEtablissement>2026-09-14</eo:dateEtablissement>{}<eo:medicaments>{medicines}\
             </eo:medicaments></eo:ordonnance>",
            uuid(),
            people(
                "eo",
                "prescripteur",
                "<eo:qualification>Généraliste</eo:qualification>"
            )
        );
        client.signed(&unsigned, Place::Wrapper("eo"), Flaw::None)
    }

    #[test]
    fn prescriptions_are_taken_and_cancelled() {
        let scratch = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(scratch.path());
        let client = Client::new(&sandbox);
        let own = desk(&client, "EORD", "eordonnance/1/ordonnance.xsd");
        let send = |medicines: &[&str]| own.send("DEPOT", &prescription(&client, medicines));
        let tail = "</eo:denomination><eo:forme>CP</eo:forme><eo:dosage>500 mg</eo:dosage>\
                    <eo:quantite>1</eo:quantite><eo:posologie>Essai</eo:posologie>";
        let (first, second) = (format!("A{tail}"), format!("B{tail}"));
        let answer = send(&[&first, &second]);
        assert_eq!(verdict(&answer), accepted(&[]));
        let secu_id = text(&answer, "uuidSecu").unwrap();
        let twice = send(&[&first, &second, &first]);
        assert_eq!(verdict(&twice), refused(&["SBX-061"]));
        assert_eq!(text(&twice, "ligne").as_deref(), Some("3"));
        let narcotic = format!(
            "A{tail}<eo:renouvellements>1</eo:renouvellements><eo:stupefiant>true</eo:stupefiant>\
             <eo:numeroSouche>T1</eo:numeroSouche>"
        );
        assert_eq!(verdict(&send(&[&narcotic])), refused(&["SBX-060"]));
        let cancel = annulation(&client, "eo", EORD, "Ordonnance", &secu_id);
        let answer = own.send("ANNUL", &cancel);
        assert_eq!(verdict(&answer), accepted(&[]));
        assert!(answer.contains("annulationOrdonnanceRetour"), "{answer}");
        let state = own.ask(&uuid());
        assert_eq!(text(&state, "connu").as_deref(), Some("false"));
    }
}
