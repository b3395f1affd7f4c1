//! The words beside the evidence, for whoever opens the archive.

/// `README.txt` of an archive.
pub(super) const README: &str = "\
[fr] Preuves d'un document transmis par Sceau
============================================
manifest.json nomme le document, l'environnement, l'installation et chaque
fichier avec sa taille et son empreinte SHA-256. Contrôle :
    sha256sum request.xml signed.xml ...
request.*      le document tel que le logiciel l'a remis (XML et PDF/A)
signed.*       le document signé (sent.xml : une opération sans signature) ; le XML
               a été envoyé sans sa déclaration XML
timestamp.tst  le jeton d'horodatage (RFC 3161) de la signature XML
validation-*   la vérification selon EN 319 102-1 faite au moment de l'archive,
               en JSON et selon TS 119 102-2
history.json   chaque étape, tentative et appel extérieur, avec sa place dans
               le journal chaîné
checkpoint.*   état signé du journal qui couvre ces étapes, et l'horodatage qui
               l'atteste (s'il y en a déjà un)
answer.xml     la réponse du destinataire dans la forme qu'il a signée ; c'est
               l'accusé de réception
envelope.xml   l'enveloppe SOAP entière de cette réponse, avec sa signature
Les documents et réponses contiennent des données de santé : ne les transmettez
qu'à qui doit les voir.

[de] Nachweise zu einem mit Sceau übermittelten Dokument
========================================================
manifest.json nennt Dokument, Umgebung, Installation und jede Datei mit Größe
und SHA-256. Prüfung:
    sha256sum request.xml signed.xml ...
request.*      das Dokument, wie die Software es übergab (XML und PDF/A)
signed.*       das signierte Dokument (sent.xml: ein Vorgang ohne Signatur); das XML
               wurde ohne XML-Deklaration gesendet
timestamp.tst  der Zeitstempel (RFC 3161) der XML-Signatur
validation-*   die Prüfung nach EN 319 102-1 zum Zeitpunkt des Archivs, als JSON
               und nach TS 119 102-2
history.json   jeder Schritt, Versuch und Aufruf nach außen, mit seinem Platz im
               verketteten Protokoll
checkpoint.*   signierter Stand des Protokolls über diese Schritte, und der
               Zeitstempel, der ihn bezeugt (sofern es ihn schon gibt)
answer.xml     die Antwort des Empfängers in der Form, die er signiert hat: die
               Empfangsbestätigung
envelope.xml   der ganze SOAP-Umschlag dieser Antwort mit seiner Signatur
Dokumente und Antworten enthalten Gesundheitsdaten: geben Sie sie nur an
Personen weiter, die sie sehen dürfen.

[en] Evidence of a document sent with Sceau
===========================================
manifest.json names the document, the environment, the installation and each
file with its size and SHA-256. To check:
    sha256sum request.xml signed.xml ...
request.*      the document as the software handed it in (XML and PDF/A)
signed.*       the signed document (sent.xml: an operation without signature); the XML
               was sent without its XML declaration
timestamp.tst  the RFC 3161 timestamp token of the XML signature
validation-*   the validation by EN 319 102-1 made with the archive, as JSON and
               as XML of TS 119 102-2
history.json   each step, attempt and outside call, with its place in the hash
               chain of the log
checkpoint.*   a signed state of the log over these steps, and the timestamp
               that witnesses it (when there is one already)
answer.xml     the receiver's answer in the form it signed: the receipt
envelope.xml   the whole SOAP envelope of that answer, with its signature
Documents and answers are health data: pass them on only to those who must see
them.

The hash of an entry of history.json is the SHA-256 of these bytes in a row:
    \"sceau audit 1\"; seq and at_ms, 8 bytes each, most significant first; then
    the bytes of previous (hexadecimal in the file), subject, event and
    detail_text, each after its length in 8 bytes.
checkpoint.json shows that such a hash was under the root of its note: the leaf
    is SHA-256(00, hash); each step of path is joined by SHA-256(01, left,
    right) as in RFC 9162, 2.1.3.2. The nonce of checkpoint.tst is the first 16
    bytes of SHA-256(salt, note).
";
