//! Packs that come, change, break and go while the service runs.

use super::language::{CODES, MANIFEST, SCHEMA};
use crate::forms::{PackFaults, Packs};
use std::fs;
use std::path::{Path, PathBuf};

/// A packs folder and a folder for the last good copies.
struct Site {
    scratch: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("packs")).unwrap();
        Self { scratch }
    }

    fn folder(&self) -> PathBuf {
        self.scratch.path().join("packs")
    }

    fn kept(&self) -> PathBuf {
        self.scratch.path().join("state/packs")
    }

    fn open(&self) -> Packs {
        Packs::open(Some(&self.folder()), Some(&self.kept()))
    }

    fn pack(&self, version: &str) -> PathBuf {
        self.folder().join("essai").join(version)
    }

    /// Puts a version of the form there, with `change` made to its manifest.
    fn write(&self, version: &str, change: (&str, &str)) {
        let folder = self.pack(version);
        fs::create_dir_all(&folder).unwrap();
        let manifest = MANIFEST.replace("version = \"1\"", &format!("version = \"{version}\""));
        let changed = manifest.replace(change.0, change.1);
        fs::write(folder.join("essai.xsd"), SCHEMA).unwrap();
        fs::write(folder.join("codes.csv"), CODES).unwrap();
        fs::write(folder.join("pack.toml"), changed).unwrap();
    }

    fn remove(&self, version: &str) {
        fs::remove_dir_all(self.pack(version)).unwrap();
    }
}

const AS_IT_IS: (&str, &str) = ("", "");
const TITLE: (&str, &str) = ("fr = \"Essai\"", "fr = \"Essai refait\"");
const BROKEN: (&str, &str) = ("addressee = ", "adressee = ");

fn offered(packs: &Packs) -> Vec<String> {
    let offered = packs.offered();
    let essais = offered.iter().filter(|pack| pack.form == "essai");
    essais.map(|pack| pack.version.clone()).collect()
}

fn title(packs: &Packs, version: &str) -> String {
    packs.pack("essai", Some(version)).unwrap().title.fr.clone()
}

/// Two looks: one sees the change, the next that it is finished.
fn settle(packs: &Packs) -> bool {
    let first = packs.refresh();
    packs.refresh() || first
}

fn about<'f>(faults: &'f [PackFaults], folder: &Path) -> &'f [String] {
    let found = faults.iter().find(|one| one.folder == folder);
    found.map_or(&[], |one| one.faults.as_slice())
}

#[test]
fn the_packs_compiled_in_have_no_fault() {
    let packs = Packs::open(None, None);
    assert_eq!(packs.faults(), []);
    assert_eq!(
        packs.offered().len(),
        Packs::builtin().unwrap().offered().len()
    );
    assert!(!packs.refresh());
}

#[cfg(unix)]
#[test]
fn a_device_in_a_pack_is_refused_and_not_read() {
    let site = Site::new();
    site.write("1", AS_IT_IS);
    site.write("2", AS_IT_IS);
    let schema = site.pack("2").join("essai.xsd");
    fs::remove_file(&schema).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &schema).unwrap();
    let packs = site.open();
    settle(&packs);
    assert_eq!(offered(&packs), ["1"]);
    let faults = packs.faults();
    let [fault] = about(&faults, &site.pack("2")) else {
        panic!("{faults:?}");
    };
    assert!(fault.contains("not a plain file"), "{fault}");
}

#[test]
fn versions_live_side_by_side() {
    let site = Site::new();
    let packs = site.open();
    assert!(!settle(&packs));
    site.write("9", AS_IT_IS);
    site.write("10", AS_IT_IS);
    assert!(settle(&packs));
    assert_eq!(packs.faults(), []);
    assert_eq!(offered(&packs), ["10", "9"]);
    assert_eq!(packs.pack("essai", None).unwrap().version, "10");
    assert_eq!(packs.pack("essai", Some("9")).unwrap().version, "9");
    assert!(packs.pack("essai", Some("11")).is_none());
    assert!(!settle(&packs), "nothing has changed");
}

#[test]
fn a_pack_being_copied_is_not_half_read() {
    let site = Site::new();
    let packs = site.open();
    site.write("1", AS_IT_IS);
    fs::write(site.pack("1").join("codes.csv"), "A01\n").unwrap();
    assert!(!packs.refresh(), "seen for the first time");
    fs::write(site.pack("1").join("codes.csv"), CODES).unwrap();
    assert!(!packs.refresh(), "still changing");
    assert!(packs.refresh());
    assert_eq!(offered(&packs), ["1"]);
}

#[test]
fn a_withdrawn_version_serves_what_it_has_accepted() {
    let site = Site::new();
    site.write("1", AS_IT_IS);
    site.write("2", AS_IT_IS);
    let packs = site.open();
    site.remove("2");
    assert!(settle(&packs));
    assert_eq!(offered(&packs), ["1"]);
    assert_eq!(packs.pack("essai", None).unwrap().version, "1");
    assert!(packs.offer("essai", Some("2")).is_none());
    assert_eq!(packs.pack("essai", Some("2")).unwrap().version, "2");
    site.write("2", AS_IT_IS);
    assert!(settle(&packs));
    assert_eq!(offered(&packs), ["1", "2"]);
    // One that comes back broken is offered as it was, as after a restart.
    site.remove("2");
    assert!(settle(&packs) && offered(&packs) == ["1"]);
    site.write("2", BROKEN);
    assert!(settle(&packs));
    assert_eq!(offered(&packs), ["1", "2"]);
    assert_eq!(about(&packs.faults(), &site.pack("2")).len(), 2);
}

#[test]
fn a_broken_replacement_keeps_the_old_one() {
    let site = Site::new();
    site.write("1", AS_IT_IS);
    let packs = site.open();
    site.write("1", BROKEN);
    assert!(settle(&packs));
    let faults = packs.faults();
    assert_eq!(
        about(&faults, &site.pack("1")),
        ["addressee: is missing", "adressee: is not a known key"]
    );
    assert_eq!(offered(&packs), ["1"]);
    assert_eq!(title(&packs, "1"), "Essai");
    assert!(!settle(&packs), "the same faults are no news");
    site.write("1", TITLE);
    assert!(settle(&packs));
    assert_eq!(
        (title(&packs, "1").as_str(), packs.faults()),
        ("Essai refait", vec![])
    );
    // What goes away takes its faults with it.
    site.write("1", BROKEN);
    assert!(settle(&packs) && !packs.faults().is_empty());
    site.remove("1");
    assert!(settle(&packs));
    assert_eq!(packs.faults(), []);
}

#[test]
fn a_restart_finds_the_last_good_state() {
    let site = Site::new();
    site.write("1", AS_IT_IS);
    site.write("2", AS_IT_IS);
    drop(site.open());
    site.write("1", BROKEN);
    site.remove("2");
    let packs = site.open();
    // Broken: offered as it was. Gone: for open submissions only.
    assert_eq!(offered(&packs), ["1"]);
    assert_eq!(title(&packs, "2"), "Essai");
    assert_eq!(about(&packs.faults(), &site.pack("1")).len(), 2);
    site.write("1", TITLE);
    assert!(settle(&packs));
    assert_eq!(title(&packs, "1"), "Essai refait");
    drop(packs);
    fs::remove_dir_all(site.folder()).unwrap();
    let packs = site.open();
    assert_eq!(offered(&packs), [] as [&str; 0]);
    assert_eq!(title(&packs, "1"), "Essai refait");
    assert_eq!(about(&packs.faults(), &site.folder()).len(), 1);
}

#[test]
fn a_damaged_copy_is_told_and_no_more() {
    let site = Site::new();
    site.write("1", AS_IT_IS);
    drop(site.open());
    site.remove("1");
    fs::write(site.kept().join("essai@1.json"), "{").unwrap();
    let packs = site.open();
    assert!(packs.pack("essai", Some("1")).is_none());
    assert_eq!(packs.faults().len(), 1);
    // A folder that cannot take a copy costs the copy, not the pack.
    fs::remove_dir_all(site.kept()).unwrap();
    fs::write(site.kept(), "a file").unwrap();
    site.write("1", AS_IT_IS);
    let packs = site.open();
    assert_eq!(offered(&packs), ["1"]);
    assert_eq!(about(&packs.faults(), &site.kept()).len(), 1);
}

#[test]
fn hostile_packs_are_refused_and_nothing_else_happens() {
    let site = Site::new();
    site.write("1", AS_IT_IS);
    for (version, change) in [
        ("2", ("version = \"2\"", "version = \"1\"")),
        ("3", ("\"codes.csv\"", "\"../1/codes.csv\"")),
        ("4", ("\"essai.xsd\"", "\"/etc/passwd\"")),
        ("5", ("\"codes.csv\"", "\"pack.toml/..\"")),
    ] {
        site.write(version, change);
    }
    site.write("6", AS_IT_IS);
    fs::write(site.pack("6").join("pack.toml"), b"\xff\xfe").unwrap();
    site.write("7", AS_IT_IS);
    let deep = "<xs:sequence>".repeat(50_000);
    let bomb = SCHEMA.replace("<xs:sequence>", &deep);
    fs::write(site.pack("7").join("essai.xsd"), bomb).unwrap();
    site.write("71", AS_IT_IS);
    let long = format!("<xs:pattern value=\"{}\"/>", "(".repeat(10_000));
    let wrong = SCHEMA.replace("<xs:maxLength value=\"4\"/>", &long);
    fs::write(site.pack("71").join("essai.xsd"), wrong).unwrap();
    site.write("72", AS_IT_IS);
    let groups: String = (0..12)
        .map(|n| {
            let next = format!("<xs:group ref=\"e:g{}\"/>", n + 1).repeat(10);
            format!("<xs:group name=\"g{n}\"><xs:sequence>{next}</xs:sequence></xs:group>")
        })
        .collect();
    let last = "<xs:group name=\"g12\"><xs:sequence/></xs:group></xs:schema>";
    let many = SCHEMA.replace("</xs:schema>", &format!("{groups}{last}"));
    fs::write(site.pack("72").join("essai.xsd"), many).unwrap();
    site.write("8", AS_IT_IS);
    fs::write(site.pack("8").join("codes.csv"), vec![b'A'; (4 << 20) + 1]).unwrap();
    let packs = site.open();
    assert_eq!(offered(&packs), ["1"]);
    let faults = packs.faults();
    assert_eq!(faults.len(), 9, "{faults:#?}");
    assert!(about(&faults, &site.pack("71"))[0].chars().count() <= 401);
    assert!(about(&faults, &site.pack("72"))[0].contains("more than 2000 parts"));
    // A form that is built in stays the built-in one.
    let own = site.folder().join("memoire-honoraires/2");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("pack.toml"), "format = 1").unwrap();
    assert!(settle(&packs));
    assert!(about(&packs.faults(), &own)[0].contains("built in"));
    assert!(packs.offer("memoire-honoraires", Some("2")).is_some());
}

/// A link to itself can be listed and not read, by nobody.
#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_read_hides_no_other() {
    let site = Site::new();
    site.write("1", AS_IT_IS);
    site.write("2", AS_IT_IS);
    let unreadable = |path: &Path| std::os::unix::fs::symlink(path, path).unwrap();
    let packs = site.open();
    site.remove("2");
    unreadable(&site.pack("2"));
    let other = site.folder().join("autre");
    unreadable(&other);
    site.write("3", AS_IT_IS);
    assert!(settle(&packs));
    // The new one is taken, and what is not seen is not withdrawn.
    assert_eq!(offered(&packs), ["1", "2", "3"]);
    let faults = packs.faults();
    assert_eq!(faults.len(), 2, "{faults:?}");
    for path in [&site.pack("2"), &other] {
        assert!(about(&faults, path)[0].starts_with("cannot be read: "));
    }
    assert!(!settle(&packs), "no news");
    packs.prune(|_, _| false);
    // So it is after a restart.
    drop(packs);
    let packs = site.open();
    assert_eq!(offered(&packs), ["1", "2", "3"]);
    fs::remove_file(site.pack("2")).unwrap();
    fs::remove_file(&other).unwrap();
    assert!(settle(&packs));
    assert_eq!((offered(&packs).len(), packs.faults()), (2, Vec::new()));
    // Nothing at all can be read.
    fs::rename(site.folder(), site.scratch.path().join("moved")).unwrap();
    unreadable(&site.folder());
    assert!(settle(&packs));
    assert_eq!(offered(&packs), ["1", "3"]);
    assert_eq!(about(&packs.faults(), &site.folder()).len(), 1);
}

/// Of a file that could not be read nothing is known: it is read again although
/// nothing about it has changed.
#[cfg(target_os = "linux")]
#[test]
fn what_could_not_be_read_is_no_verdict() {
    let site = Site::new();
    site.write("1", AS_IT_IS);
    let list = site.pack("1").join("codes.csv");
    fs::remove_file(&list).unwrap();
    // A plain file of no bytes that cannot be read.
    let memory = Path::new("/proc/self/mem");
    std::os::unix::fs::symlink(memory, &list).unwrap();
    let packs = site.open();
    let told = || about(&packs.faults(), &site.pack("1"))[0].clone();
    assert!(told().contains("cannot be read: "), "{}", told());
    let modified = fs::metadata(memory).unwrap().modified().unwrap();
    fs::remove_file(&list).unwrap();
    let empty = fs::File::create(&list).unwrap();
    empty.set_modified(modified).unwrap();
    assert!(settle(&packs));
    assert_eq!(told(), "lists.diagnostics: codes.csv has no code");
    assert!(!settle(&packs));
}

#[test]
fn copies_that_nothing_needs_are_pruned() {
    let site = Site::new();
    for version in ["1", "2", "3"] {
        site.write(version, AS_IT_IS);
    }
    let kept = || {
        let files = fs::read_dir(site.kept()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    let packs = site.open();
    site.remove("2");
    site.remove("3");
    assert!(settle(&packs));
    fs::write(site.kept().join("essai@0.json"), "{").unwrap();
    drop(packs);
    let packs = site.open();
    assert_eq!(packs.faults().len(), 1);
    packs.prune(|form, version| (form, version) == ("essai", "2"));
    assert_eq!(kept(), ["essai@1.json", "essai@2.json"]);
    assert_eq!(packs.faults(), []);
    assert!(packs.pack("essai", Some("2")).is_some());
    assert!(packs.pack("essai", Some("3")).is_none());
    assert_eq!(offered(&packs), ["1"]);
    assert!(packs.pack("memoire-honoraires", Some("2")).is_some());
}
