//! Records in bulk, straight into the database of a service that does not run:
//! copies of one that went the whole way, each with a UUID, a digest, an
//! insurer's id and audit entries of its own, chained as the service chains
//! them. Its bodies are the sealed ones of the first, without those between
//! 4 and 16 KiB, which would take 20 GB; for each body that would be in a file
//! of its own there is an empty file in the folder.

use crate::service::code;
use sceau::audit;
use sceau::base::clock::{SystemClock, unix_ms};
use sceau::base::{Uuid4, random};
use sceau::store::rusqlite::{Connection, Transaction, params};
use std::fs::File;
use std::path::Path;

/// Records in one transaction.
const CHUNK: usize = 20_000;
/// Largest sealed body that is copied into a record, in bytes.
const BODY_BYTES_MAX: usize = 4 << 10;

pub struct Records {
    connection: Connection,
    template: Uuid4,
    insert: String,
    history: Vec<(String, serde_json::Value)>,
}

impl Records {
    /// Copies of `template` in the store of a state folder.
    pub fn open(state: &Path, template: Uuid4) -> Self {
        let connection = Connection::open(state.join("sceau.db")).unwrap();
        connection
            .execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000;")
            .unwrap();
        let history = audit::about(&connection, &template.to_string()).unwrap();
        let history = history.into_iter().map(|e| (e.event, e.detail)).collect();
        let insert = insert(&connection);
        Self {
            connection,
            template,
            insert,
            history,
        }
    }

    /// Adds `count` records of `practitioners`; `bodies` is where files stand.
    pub fn add(&mut self, count: usize, practitioners: usize, bodies: &Path) {
        let files = self.files();
        // In the order of their key, as many at once as can be.
        let mut uuids: Vec<Uuid4> = (0..count).map(|_| Uuid4::random()).collect();
        uuids.sort();
        for (number, chunk) in uuids.chunks(CHUNK).enumerate() {
            let tx = self.connection.transaction().unwrap();
            for (place, uuid) in chunk.iter().enumerate() {
                let number = number * CHUNK + place;
                let sender = code(number % practitioners);
                record(&tx, &self.insert, (*uuid, self.template), &sender, number);
                let now = SystemClock::shared().now();
                for (event, detail) in &self.history {
                    audit::append(&tx, now, &uuid.to_string(), event, detail).unwrap();
                }
                for file in 0..files {
                    File::create(bodies.join(format!("{uuid}.file.{file}"))).unwrap();
                }
            }
            tx.commit().unwrap();
        }
    }

    /// Bodies of the template that stand in files.
    fn files(&self) -> usize {
        let count = "SELECT count(*) FROM body WHERE uuid = ?1 AND sealed IS NULL";
        let uuid = self.template.to_string();
        let files: i64 = self
            .connection
            .query_row(count, [uuid], |r| r.get(0))
            .unwrap();
        files as usize
    }

    /// Makes `first` due before all others, and those of `later` in a day.
    pub fn order(&self, first: Uuid4, later: &[Uuid4]) {
        let due = "UPDATE submission SET due_ms = ?2, lease_ms = NULL WHERE uuid = ?1";
        let tomorrow = unix_ms(SystemClock::shared().now()) + 86_400_000;
        let all = later
            .iter()
            .map(|uuid| (uuid, tomorrow))
            .chain([(&first, 1)]);
        for (uuid, ms) in all {
            let uuid = uuid.to_string();
            self.connection.execute(due, params![uuid, ms]).unwrap();
        }
    }
}

/// Copies the row whatever columns there are.
fn insert(connection: &Connection) -> String {
    let mut columns = connection
        .prepare("SELECT name FROM pragma_table_info('submission')")
        .unwrap();
    let columns = columns
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap();
    let values = columns.map(|column| match column.unwrap().as_str() {
        "uuid" => "?1".to_owned(),
        "request_sha256" => "?3".to_owned(),
        "code_prestataire" => "?4".to_owned(),
        // As on rows of before it was written: it binds the UUID.
        "identity" => "NULL".to_owned(),
        "insurer_id" => "iif(insurer_id IS NULL, NULL, ?5)".to_owned(),
        name @ ("received_ms" | "updated_ms") => format!("{name} - ?6"),
        name => name.to_owned(),
    });
    let values: Vec<String> = values.collect();
    let values = values.join(", ");
    format!("INSERT INTO submission SELECT {values} FROM submission WHERE uuid = ?2")
}

fn record(
    tx: &Transaction<'_>,
    insert: &str,
    (uuid, template): (Uuid4, Uuid4),
    sender: &str,
    number: usize,
) {
    let (uuid, template) = (uuid.to_string(), template.to_string());
    let (sha256, insurer_id) = (random::bytes::<32>(), format!("GROWTH-{uuid}"));
    // Older than all that is handed in while it is measured.
    let older = 3_600_000 + number as i64;
    let values = params![uuid, template, sha256, sender, insurer_id, older];
    tx.prepare_cached(insert).unwrap().execute(values).unwrap();
    let bodies = "INSERT INTO body SELECT ?1, kind, name, sealed, wrapped_key, sha256, bytes \
                  FROM body WHERE uuid = ?2 AND (sealed IS NULL OR length(sealed) <= ?3)";
    let values = params![uuid, template, BODY_BYTES_MAX as i64];
    tx.prepare_cached(bodies).unwrap().execute(values).unwrap();
}
