//! The closed list of faults that are ordinary states. `docs/conditions.md`
//! prints it; a test compares the two.

use serde::Serialize;

/// One kind of fault.
#[derive(Debug, Serialize)]
pub struct Kind {
    /// Stable name.
    pub name: &'static str,
    /// Whose fault it is, as in a submission's `waiting.class`: `ours`,
    /// `token`, `network`, `tsa`, `ocsp`, `receiver` or `account`.
    pub class: &'static str,
    /// What it is about, see [`super::Scope`].
    pub about: &'static str,
    /// What happened: fr, de, en.
    pub cause: [&'static str; 3],
    /// What is to be done, and what happens by itself: fr, de, en.
    pub next_step: [&'static str; 3],
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

macro_rules! kinds {
    ($($ident:ident = $name:literal $class:literal $about:literal, [$fr:literal, $de:literal, $en:literal], [$next_fr:literal, $next_de:literal, $next_en:literal];)*) => {
        $(#[doc = $en] pub static $ident: Kind = Kind {
            name: $name, class: $class, about: $about,
            cause: [$fr, $de, $en], next_step: [$next_fr, $next_de, $next_en],
        };)*
        /// Every kind there is.
        pub static KINDS: &[&Kind] = &[$(&$ident),*];
    };
}

kinds! {
    NO_TOKEN = "no-token" "ours" "installation",
        ["Aucune carte ni clé de signature n'est configurée.", "Es ist keine Karte und kein Signaturschlüssel eingerichtet.", "No card and no signing key is set up."],
        ["Ajoutez une table [[token]] à la configuration et redémarrez Sceau. Les documents attendent.", "Ergänzen Sie die Konfiguration um eine Tabelle [[token]] und starten Sie Sceau neu. Die Dokumente warten.", "Add a [[token]] table to the configuration and restart Sceau. Documents wait."];
    TOKEN_ABSENT = "token-absent" "token" "token",
        ["La carte n'est pas dans le lecteur.", "Die Karte steckt nicht im Leser.", "The card is not in the reader."],
        ["Insérez la carte. Les documents attendent et repartent d'eux-mêmes après le code PIN.", "Stecken Sie die Karte ein. Die Dokumente warten und gehen nach der PIN von selbst weiter.", "Insert the card. Documents wait and go on by themselves after the PIN."];
    TOKEN_PULLED = "token-pulled" "token" "token",
        ["La carte a été retirée alors qu'elle était déverrouillée.", "Die Karte wurde entriegelt aus dem Leser gezogen.", "The card was pulled while it was unlocked."],
        ["Réinsérez la carte et entrez le code PIN. Aucune signature n'est perdue ni faite deux fois.", "Stecken Sie die Karte wieder ein und geben Sie die PIN ein. Keine Signatur geht verloren oder entsteht doppelt.", "Insert the card again and enter the PIN. No signature is lost or stored twice."];
    TOKEN_WRONG = "token-wrong" "token" "token",
        ["Une autre carte que celle configurée est dans le lecteur.", "Im Leser steckt eine andere Karte als die eingerichtete.", "Another card than the configured one is in the reader."],
        ["Insérez la carte attendue. Les documents attendent et repartent d'eux-mêmes après le code PIN.", "Stecken Sie die erwartete Karte ein. Die Dokumente warten und gehen nach der PIN von selbst weiter.", "Insert the card that is expected. Documents wait and go on by themselves after the PIN."];
    PIN_NEEDED = "pin-needed" "token" "token",
        ["La carte attend le code PIN.", "Die Karte wartet auf die PIN.", "The card waits for the PIN."],
        ["Entrez le code PIN avec « sceau unlock » ; chaque essai compte.", "Geben Sie die PIN mit „sceau unlock“ ein; jeder Versuch zählt.", "Enter the PIN with `sceau unlock`; every try counts."];
    PIN_BLOCKED = "pin-blocked" "token" "token",
        ["Le code PIN de la carte est bloqué.", "Die PIN der Karte ist gesperrt.", "The card's PIN is blocked."],
        ["Débloquez-le avec le PUK ou auprès de l'émetteur de la carte. Les documents attendent.", "Entsperren Sie sie mit der PUK oder beim Herausgeber der Karte. Die Dokumente warten.", "Unblock it with the PUK or at the card's issuer. Documents wait."];
    MODULE_CRASHED = "module-crashed" "token" "token",
        ["Le pilote de la carte s'est arrêté.", "Der Treiber der Karte ist abgestürzt.", "The card's driver crashed."],
        ["Sceau le redémarre lui-même. Si cela se répète, rebranchez le lecteur ou mettez le pilote à jour.", "Sceau startet ihn selbst neu. Wiederholt es sich, stecken Sie den Leser neu an oder erneuern Sie den Treiber.", "Sceau restarts it by itself. If it happens again, plug the reader in anew or update the driver."];
    MODULE_HUNG = "module-hung" "token" "token",
        ["Le pilote de la carte ne répond plus.", "Der Treiber der Karte antwortet nicht mehr.", "The card's driver does not answer any more."],
        ["Sceau l'a arrêté et le redémarre. Si cela se répète, rebranchez le lecteur ou mettez le pilote à jour.", "Sceau hat ihn beendet und startet ihn neu. Wiederholt es sich, stecken Sie den Leser neu an oder erneuern Sie den Treiber.", "Sceau ended it and restarts it. If it happens again, plug the reader in anew or update the driver."];
    TOKEN_UNUSABLE = "token-unusable" "token" "token",
        ["La carte ou son pilote ne peut pas être utilisé.", "Die Karte oder ihr Treiber ist nicht verwendbar.", "The card or its driver cannot be used."],
        ["Le détail nomme la cause : corrigez la configuration ou installez le pilote. Sceau réessaie de lui-même.", "Die Einzelheit nennt die Ursache: berichtigen Sie die Konfiguration oder installieren Sie den Treiber. Sceau versucht es von selbst wieder.", "The detail names the cause: correct the configuration or install the driver. Sceau tries again by itself."];
    TOKEN_REFUSES = "token-refuses" "token" "signer",
        ["La carte refuse de signer, ou sa signature est fausse.", "Die Karte verweigert die Signatur, oder ihre Signatur ist falsch.", "The card refuses to sign, or its signature is wrong."],
        ["Le détail nomme la cause ; adressez-vous à votre administrateur. Sceau réessaie de lui-même.", "Die Einzelheit nennt die Ursache; wenden Sie sich an Ihren Administrator. Sceau versucht es von selbst wieder.", "The detail names the cause; ask your administrator. Sceau tries again by itself."];
    CERTIFICATE_MISSING = "certificate-missing" "token" "signer",
        ["Aucune carte présente n'a le certificat de signature de cette personne, ou plusieurs en ont un.", "Keine vorhandene Karte hat das Signaturzertifikat dieser Person, oder mehrere haben eines.", "No card that is there has the signing certificate of this person, or several have one."],
        ["Insérez la carte de cette personne, ou nommez son certificat dans la configuration.", "Stecken Sie die Karte dieser Person ein, oder nennen Sie ihr Zertifikat in der Konfiguration.", "Insert the card of this person, or name its certificate in the configuration."];
    CERTIFICATE_EXPIRED = "certificate-expired" "ours" "signer",
        ["Le certificat de signature n'est pas valable à cette date.", "Das Signaturzertifikat ist an diesem Tag nicht gültig.", "The signing certificate is not valid on this day."],
        ["Vérifiez la date de l'ordinateur, ou procurez-vous un nouveau certificat.", "Prüfen Sie das Datum des Computers, oder besorgen Sie ein neues Zertifikat.", "Check this computer's date, or get a new certificate."];
    CERTIFICATE_REVOKED = "certificate-revoked" "ours" "signer",
        ["Un certificat de la signature est révoqué.", "Ein Zertifikat der Signatur ist gesperrt.", "A certificate of the signature is revoked."],
        ["Ces documents ne partiront pas ainsi : procurez-vous un nouveau certificat et refaites-les.", "Diese Dokumente gehen so nicht hinaus: besorgen Sie ein neues Zertifikat und erstellen Sie sie neu.", "These documents will not leave like this: get a new certificate and make them anew."];
    CERTIFICATE_NOT_TRUSTED = "certificate-not-trusted" "ours" "signer",
        ["Le certificat de signature ne mène à aucune autorité reconnue.", "Das Signaturzertifikat führt zu keiner anerkannten Stelle.", "The signing certificate leads to no accepted authority."],
        ["Ajoutez le certificat de l'autorité à [trust] anchors, ou utilisez une autre carte.", "Ergänzen Sie das Zertifikat der Stelle unter [trust] anchors, oder nehmen Sie eine andere Karte.", "Add the authority's certificate to [trust] anchors, or use another card."];
    NO_TIMESTAMP_AUTHORITY = "no-timestamp-authority" "ours" "installation",
        ["Aucun service d'horodatage n'est configuré.", "Es ist kein Zeitstempeldienst eingerichtet.", "No timestamp authority is set up."],
        ["Ajoutez une table [[trust.timestamp_authority]] et redémarrez Sceau. Les documents signés attendent.", "Ergänzen Sie eine Tabelle [[trust.timestamp_authority]] und starten Sie Sceau neu. Signierte Dokumente warten.", "Add a [[trust.timestamp_authority]] table and restart Sceau. Signed documents wait."];
    TSA_DOWN = "tsa-down" "tsa" "authority",
        ["Le service d'horodatage ne répond pas ou refuse.", "Der Zeitstempeldienst antwortet nicht oder lehnt ab.", "The timestamp authority does not answer, or refuses."],
        ["Attendez : Sceau réessaie de lui-même, et les documents signés gardent leur place. Vérifiez la connexion Internet.", "Warten Sie: Sceau versucht es von selbst wieder, signierte Dokumente behalten ihren Platz. Prüfen Sie die Internetverbindung.", "Wait: Sceau tries again by itself, and signed documents keep their place. Check the internet connection."];
    TSA_LYING = "tsa-lying" "tsa" "authority",
        ["La réponse du service d'horodatage n'est pas digne de confiance.", "Der Antwort des Zeitstempeldienstes ist nicht zu trauen.", "The timestamp authority's answer is not to be trusted."],
        ["Aucun horodatage douteux n'est utilisé. Prévenez votre administrateur : l'adresse ou l'autorité configurée est peut-être fausse.", "Kein zweifelhafter Zeitstempel wird verwendet. Verständigen Sie Ihren Administrator: Adresse oder Stelle ist vielleicht falsch eingerichtet.", "No doubtful timestamp is used. Tell your administrator: the address or the authority set up may be wrong."];
    STAMP_OVERDUE = "stamp-overdue" "tsa" "installation",
        ["Des documents signés attendent leur horodatage au-delà du délai configuré.", "Signierte Dokumente warten länger als die eingestellte Frist auf ihren Zeitstempel.", "Signed documents wait for their timestamp beyond the configured time."],
        ["Rien n'est perdu et rien ne part sans horodatage. Rétablissez le service d'horodatage ; informez les médecins concernés.", "Nichts ist verloren, und nichts geht ohne Zeitstempel hinaus. Stellen Sie den Zeitstempeldienst wieder her; unterrichten Sie die betroffenen Ärzte.", "Nothing is lost and nothing leaves unstamped. Bring the timestamp authority back; inform the doctors concerned."];
    OCSP_DOWN = "ocsp-down" "ocsp" "signer",
        ["L'état du certificat ne peut pas être vérifié : OCSP et listes de révocation sont injoignables.", "Der Zustand des Zertifikats ist nicht prüfbar: OCSP und Sperrlisten sind nicht erreichbar.", "The certificate's state cannot be checked: OCSP and revocation lists cannot be reached."],
        ["Attendez : Sceau réessaie de lui-même. Vérifiez la connexion Internet.", "Warten Sie: Sceau versucht es von selbst wieder. Prüfen Sie die Internetverbindung.", "Wait: Sceau tries again by itself. Check the internet connection."];
    REVOCATION_LATE = "revocation-late" "ocsp" "signer",
        ["Les données de révocation publiées sont plus anciennes que l'horodatage.", "Die veröffentlichten Sperrdaten sind älter als der Zeitstempel.", "The published revocation data are older than the timestamp."],
        ["Attendez la prochaine publication de l'autorité ; Sceau réessaie de lui-même.", "Warten Sie auf die nächste Veröffentlichung der Stelle; Sceau versucht es von selbst wieder.", "Wait for the authority's next publication; Sceau tries again by itself."];
    CLOCK_WRONG = "clock-wrong" "ours" "installation",
        ["L'horloge de cet ordinateur n'est pas à l'heure.", "Die Uhr dieses Computers geht falsch.", "This computer's clock is wrong."],
        ["Réglez l'horloge et activez la synchronisation de l'heure. Les documents attendent et repartent d'eux-mêmes.", "Stellen Sie die Uhr und schalten Sie die Zeitsynchronisierung ein. Die Dokumente warten und gehen von selbst weiter.", "Set the clock and turn time synchronisation on. Documents wait and go on by themselves."];
    NO_INSURER = "no-insurer" "ours" "installation",
        ["Aucune adresse d'assureur n'est configurée.", "Es ist keine Adresse eines Versicherers eingerichtet.", "No insurer's address is set up."],
        ["Configurez [mysecu] et redémarrez Sceau. Les documents sont signés et attendent.", "Richten Sie [mysecu] ein und starten Sie Sceau neu. Die Dokumente werden signiert und warten.", "Set [mysecu] up and restart Sceau. Documents are signed and wait."];
    INSURER_UNREACHABLE = "insurer-unreachable" "network" "insurer",
        ["L'assureur ne peut pas être joint.", "Der Versicherer ist nicht erreichbar.", "The insurer cannot be reached."],
        ["Vérifiez la connexion Internet. Les documents attendent ; Sceau réessaie et ne transmet rien deux fois.", "Prüfen Sie die Internetverbindung. Die Dokumente warten; Sceau versucht es wieder und übermittelt nichts doppelt.", "Check the internet connection. Documents wait; Sceau tries again and sends nothing twice."];
    INSURER_DOWN = "insurer-down" "receiver" "insurer",
        ["Le service de l'assureur est en panne ou en maintenance.", "Der Dienst des Versicherers ist gestört oder in Wartung.", "The insurer's service is down or under maintenance."],
        ["Attendez : Sceau réessaie de lui-même et ne transmet rien deux fois.", "Warten Sie: Sceau versucht es von selbst wieder und übermittelt nichts doppelt.", "Wait: Sceau tries again by itself and sends nothing twice."];
    INSURER_ANSWER_WRONG = "insurer-answer-wrong" "receiver" "insurer",
        ["La réponse de l'assureur est illisible ou pas digne de confiance.", "Die Antwort des Versicherers ist unlesbar oder nicht vertrauenswürdig.", "The insurer's answer is unreadable or not to be trusted."],
        ["Sceau n'y croit pas et redemande. Prévenez votre administrateur : une mise à jour ou un certificat manque peut-être.", "Sceau glaubt ihr nicht und fragt wieder. Verständigen Sie Ihren Administrator: vielleicht fehlt eine Aktualisierung oder ein Zertifikat.", "Sceau does not believe it and asks again. Tell your administrator: an update or a certificate may be missing."];
    ACCOUNT_BLOCKED = "account-blocked" "account" "practitioner",
        ["L'assureur a bloqué le compte de ce code prestataire.", "Der Versicherer hat das Konto dieses Leistungserbringer-Codes gesperrt.", "The insurer has blocked the account of this provider code."],
        ["Adressez-vous à l'assureur. Sceau réessaie toutes les heures ; rien n'est perdu.", "Wenden Sie sich an den Versicherer. Sceau versucht es jede Stunde wieder; nichts geht verloren.", "Turn to the insurer. Sceau tries again every hour; nothing is lost."];
    ACCOUNT_UNKNOWN = "account-unknown" "account" "practitioner",
        ["L'assureur ne connaît pas ce code prestataire.", "Der Versicherer kennt diesen Leistungserbringer-Code nicht.", "The insurer does not know this provider code."],
        ["Vérifiez le code et l'inscription auprès de l'assureur. Sceau réessaie toutes les heures.", "Prüfen Sie Code und Anmeldung beim Versicherer. Sceau versucht es jede Stunde wieder.", "Check the code and the registration with the insurer. Sceau tries again every hour."];
    SESSION_EXPIRED = "session-expired" "ours" "practitioner",
        ["L'assureur n'accepte plus le jeton de la session, même renouvelé.", "Der Versicherer nimmt das Sitzungstoken nicht mehr an, auch kein erneuertes.", "The insurer does not take the session's token any more, not even a renewed one."],
        ["Sceau se connecte de nouveau de lui-même. Si cela dure, vérifiez l'horloge et le certificat de transport.", "Sceau meldet sich von selbst neu an. Dauert es an, prüfen Sie Uhr und Transportzertifikat.", "Sceau logs on anew by itself. If it lasts, check the clock and the transport certificate."];
    ACCESS_REFUSED = "access-refused" "ours" "practitioner",
        ["L'assureur refuse l'accès à ce cabinet.", "Der Versicherer verweigert dieser Praxis den Zugang.", "The insurer refuses access to this practice."],
        ["Vérifiez le certificat de transport, l'identifiant eHealth et l'environnement. Sceau réessaie de lui-même.", "Prüfen Sie Transportzertifikat, eHealth-Kennung und Umgebung. Sceau versucht es von selbst wieder.", "Check the transport certificate, the eHealth ID and the environment. Sceau tries again by itself."];
    CONFIGURATION_WRONG = "configuration-wrong" "ours" "practitioner",
        ["Un document accepté ne correspond plus à la configuration ou à ses formulaires.", "Ein angenommenes Dokument passt nicht mehr zur Konfiguration oder zu den Formularen.", "An accepted document does not fit the configuration or the forms any more."],
        ["Le détail nomme ce qui manque : rétablissez-le. Le document attend et repart de lui-même.", "Die Einzelheit nennt, was fehlt: stellen Sie es wieder her. Das Dokument wartet und geht von selbst weiter.", "The detail names what is missing: bring it back. The document waits and goes on by itself."];
    DOCUMENT_STUCK = "document-stuck" "ours" "practitioner",
        ["Un document accepté ne peut pas être mené plus loin.", "Ein angenommenes Dokument kommt nicht weiter.", "An accepted document cannot be brought further."],
        ["Le détail et le journal nomment la cause ; prévenez votre administrateur. Le document reste conservé.", "Einzelheit und Protokoll nennen die Ursache; verständigen Sie Ihren Administrator. Das Dokument bleibt erhalten.", "The detail and the log name the cause; tell your administrator. The document is kept."];
    DOCUMENT_DAMAGED = "document-damaged" "ours" "practitioner",
        ["Un document conservé ne peut pas être relu ; il n'est pas transmis.", "Ein gespeichertes Dokument ist nicht mehr lesbar; es wird nicht übermittelt.", "A stored document cannot be read back; it is not sent."],
        ["Vérifiez le disque et restaurez une sauvegarde. Prévenez le médecin.", "Prüfen Sie den Datenträger und spielen Sie eine Sicherung ein. Verständigen Sie den Arzt.", "Check the disk and restore a backup. Tell the doctor."];
    VERDICT_UNKNOWN = "verdict-unknown" "receiver" "practitioner",
        ["On ne sait pas si l'assureur a un document, et il ne le dit pas.", "Ob der Versicherer ein Dokument hat, ist nicht bekannt, und er sagt es nicht.", "Whether the insurer has a document is not known, and it does not say."],
        ["Demandez à l'assureur avec l'UUID du document, puis dites-le avec « sceau settle ». Sceau ne le transmet pas à l'aveugle.", "Fragen Sie den Versicherer mit der UUID des Dokuments und geben Sie es mit „sceau settle“ ein. Sceau übermittelt es nicht blind.", "Ask the insurer with the document's UUID, then say so with `sceau settle`. Sceau does not send it blindly."];
    DISK_FULL = "disk-full" "ours" "installation",
        ["Le disque est plein.", "Der Datenträger ist voll.", "The disk is full."],
        ["Libérez de la place. Les documents acceptés partent ; de nouveaux ne sont acceptés que lorsqu'il y a de la place.", "Schaffen Sie Platz. Angenommene Dokumente gehen hinaus; neue werden erst angenommen, wenn Platz ist.", "Make room. Accepted documents leave; new ones are accepted only when there is room."];
    STORE_STOPPED = "store-stopped" "ours" "installation",
        ["Le disque a signalé une erreur ; plus rien n'est accepté ni transmis.", "Der Datenträger meldete einen Fehler; es wird nichts angenommen und nichts übermittelt.", "The disk reported an error; nothing is accepted and nothing is sent."],
        ["Vérifiez le disque. Sceau contrôle la base et reprend de lui-même ; ce qui est accepté reste là.", "Prüfen Sie den Datenträger. Sceau prüft die Datenbank und arbeitet von selbst weiter; Angenommenes bleibt erhalten.", "Check the disk. Sceau checks the database and goes on by itself; what was accepted is still there."];
    STORE_DAMAGED = "store-damaged" "ours" "installation",
        ["La base de données est endommagée ; elle n'est plus que lue.", "Die Datenbank ist beschädigt; sie wird nur noch gelesen.", "The database is damaged; it is read only."],
        ["Restaurez une sauvegarde avec « sceau restore ». Rien n'est accepté ni transmis d'ici là.", "Spielen Sie mit „sceau restore“ eine Sicherung ein. Bis dahin wird nichts angenommen und nichts übermittelt.", "Restore a backup with `sceau restore`. Until then nothing is accepted and nothing is sent."];
    BACKUP_FAILING = "backup-failing" "ours" "installation",
        ["La sauvegarde du jour n'a pas pu être faite.", "Die Sicherung des Tages konnte nicht gemacht werden.", "The day's backup could not be made."],
        ["Le détail nomme la cause, souvent le manque de place ; vérifiez store.backup_folder. Sceau réessaie toutes les heures ; les sauvegardes précédentes restent là.", "Die Einzelheit nennt die Ursache, oft fehlt Platz; prüfen Sie store.backup_folder. Sceau versucht es jede Stunde wieder; frühere Sicherungen bleiben erhalten.", "The detail names the cause, often a lack of room; check store.backup_folder. Sceau tries again every hour; earlier backups are kept."];
}
