//! Floors: what the same work costs when nothing stands around it. And parts
//! of our own, each alone.

use crate::meter::{self, Cost};
use crate::scene::Scene;
use crate::table::Ratio::{self, Over};
use crate::table::Table;
use crate::token::Raw;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sceau::base::digest;
use sceau::store::rusqlite::Connection;
use sceau::xml::c14n::{Options, canonicalize};
use sceau::xml::{self, gate, xsd};
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};

const TOKENS: &str = "One RSA signature with the same key";
const PARTS: &str = "Parts, each alone, over the document with its PDF";
const FLOORS: &str = "Floors";
pub const BARE_SIGNATURE: &str = "C_Sign in the bare module";
pub const PDF_HASH: &str = "SHA-256 of the PDF";
pub const DOCUMENT_HASH: &str = "SHA-256 of the document";
pub const PDF_BASE64: &str = "base64 of the PDF";
pub const ONE_COMMIT: &str = "one SQLite commit, flushed";
pub const FILES_AND_COMMIT: &str = "two files and one SQLite commit, flushed";
pub const ALL_FLOORS: &str = "all floors of one document (no network)";

/// What the floors need, made once.
pub struct Floors {
    raw: Option<Raw>,
    database: Connection,
    folder: PathBuf,
    schema: xsd::Schema,
    files: usize,
}

impl Floors {
    pub fn new(scene: &Scene, folder: &Path) -> Self {
        let folder = folder.join("floor");
        fs::create_dir(&folder).unwrap();
        let database = Connection::open(folder.join("floor.db")).unwrap();
        // As the store's own, see `store::configure`.
        database
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 CREATE TABLE t (n INTEGER PRIMARY KEY, detail TEXT NOT NULL) STRICT;",
            )
            .unwrap();
        Self {
            raw: scene.hsm.as_ref().map(Raw::open),
            database,
            folder,
            schema: schema(),
            files: 0,
        }
    }

    /// Each floor and each part once. `whole` is the document with its PDF.
    pub fn measure(&mut self, scene: &Scene, table: &mut Table, size: usize, whole: &[u8]) {
        let mut time = |section, name, ratio, work: &mut dyn FnMut()| {
            let ((), cost) = meter::measure(scene.worker, work);
            table.add(size, (section, name, ratio), cost);
        };
        let bare = Over(BARE_SIGNATURE);
        if scene.hsm.is_some() {
            time(
                TOKENS,
                "SoftHSM2 through the worker, verified",
                bare,
                &mut || {
                    scene.sign(&*scene.token, b"bench");
                },
            );
        }
        time(TOKENS, "software key, in this process", bare, &mut || {
            scene.sign(&scene.soft, b"bench");
        });

        let sha = Over(DOCUMENT_HASH);
        time(PARTS, "gate", sha, &mut || {
            gate::check(whole, &gate::Limits::default()).unwrap();
        });
        time(PARTS, "gate and tree", sha, &mut || {
            drop(xml::parse(whole).unwrap())
        });
        let document = xml::parse(whole).unwrap();
        time(PARTS, "XSD", sha, &mut || {
            assert_eq!(self.schema.validate(whole).unwrap(), []);
        });
        time(PARTS, "C14N (exclusive) and SHA-256", sha, &mut || {
            let root = document.root();
            digest::sha256(&canonicalize(
                &document,
                root,
                |_| true,
                &Options::EXCLUSIVE,
            ));
        });

        self.floors(scene, table, size, whole);
    }

    fn floors(&mut self, scene: &Scene, table: &mut Table, size: usize, whole: &[u8]) {
        let pdf = &scene.pdfs[size];
        // What one document cannot do without, added up: each signature and
        // each of the four commits, every body hashed and copied once.
        let mut all = Cost::default();
        let mut time = |name, times: usize, work: &mut dyn FnMut()| {
            let ((), cost) = meter::measure(None, work);
            table.add(size, (FLOORS, name, Ratio::None), cost);
            (0..times).for_each(|_| all = all + cost);
        };
        match &self.raw {
            Some(raw) => time(BARE_SIGNATURE, 2, &mut || raw.sign()),
            None => time("signature with the software key", 2, &mut || {
                scene.sign(&scene.soft, b"bench");
            }),
        }
        time(PDF_HASH, 1, &mut || {
            black_box(digest::sha256(pdf));
        });
        time(DOCUMENT_HASH, 1, &mut || {
            black_box(digest::sha256(whole));
        });
        time(PDF_BASE64, 1, &mut || drop(black_box(STANDARD.encode(pdf))));
        time("copy of the document", 1, &mut || {
            drop(black_box(whole.to_vec()))
        });
        time(ONE_COMMIT, 2, &mut || commit(&self.database));
        let (folder, files, database) = (&self.folder, &mut self.files, &self.database);
        time(FILES_AND_COMMIT, 2, &mut || {
            for body in [pdf, whole] {
                *files += 1;
                let mut file = File::create(folder.join(files.to_string())).unwrap();
                file.write_all(body).unwrap();
                file.sync_all().unwrap();
            }
            File::open(folder).unwrap().sync_all().unwrap();
            commit(database);
        });
        table.add(size, (FLOORS, ALL_FLOORS, Ratio::None), all);
    }
}

fn commit(database: &Connection) {
    let sql = "INSERT INTO t (detail) VALUES (?1)";
    let mut statement = database.prepare_cached(sql).unwrap();
    statement.execute(["x".repeat(500)]).unwrap();
}

/// The schema of the form, compiled apart from its pack.
fn schema() -> xsd::Schema {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("xsd/memoire-honoraires/2");
    let names = fs::read_dir(&folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name());
    let files: Vec<_> = names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".xsd"))
        .map(|name| (name.clone(), fs::read(folder.join(name)).unwrap()))
        .collect();
    xsd::Schema::compile(&files, "memoire-honoraires.xsd").unwrap()
}
