use super::*;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// `in` and `sent` of a drop folder.
fn folders(root: &Path) -> (Folder, Folder) {
    let root = Folder::root(root).unwrap();
    (root.made("in").unwrap(), root.made("sent").unwrap())
}

/// Puts a whole file in one step, as careful programs do.
fn put(path: &Path, text: &str) {
    let half = path.with_extension("half");
    fs::write(&half, text).unwrap();
    fs::rename(half, path).unwrap();
}

#[test]
fn a_name_that_is_used_again_at_once_loses_nothing() {
    const DOCUMENTS: usize = 500;
    let scratch = tempfile::tempdir().unwrap();
    let (dropped, sent) = folders(scratch.path());
    let at = |name: &str| scratch.path().join(name);
    let over = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..DOCUMENTS {
                while at("in/a.xml").exists() {
                    std::hint::spin_loop();
                }
                put(&at("in/a.pdf"), &format!("pdf {number}"));
                put(&at("in/a.xml"), &format!("xml {number}"));
            }
            over.store(true, Ordering::Release);
        });
        let mut taken = 0;
        loop {
            let is_over = over.load(Ordering::Acquire);
            match Files::look(&dropped, "a").unwrap() {
                Some(files) => {
                    let new = format!("n{taken}");
                    files.shift(&dropped, "a", &sent, &new).unwrap();
                    taken += usize::from(at(&format!("sent/{new}.xml")).exists());
                }
                None if is_over => return taken,
                None => {}
            }
        }
    });
    assert_eq!(taken, DOCUMENTS);
    for number in 0..DOCUMENTS {
        for kind in ["xml", "pdf"] {
            let kept = at(&format!("sent/n{number}.{kind}"));
            let kept = fs::read_to_string(&kept).unwrap_or_default();
            assert_eq!(kept, format!("{kind} {number}"));
        }
    }
    assert_eq!(dropped.names().unwrap(), [""; 0]);
}

#[test]
fn what_was_written_anew_is_neither_moved_nor_removed() {
    let scratch = tempfile::tempdir().unwrap();
    let (dropped, sent) = folders(scratch.path());
    let at = |name: &str| scratch.path().join(name);
    put(&at("in/a.xml"), "old");
    let old = dropped.print("a.xml").unwrap().unwrap();
    put(&at("in/a.xml"), "new");
    assert!(!dropped.link("a.xml", old, &sent, "a.xml").unwrap());
    assert!(!dropped.shift("a.xml", old, &sent, "a.xml").unwrap());
    assert!(!dropped.withdraw("a.xml", old).unwrap());
    assert_eq!(fs::read_to_string(at("in/a.xml")).unwrap(), "new");
    assert_eq!(fs::read_dir(at("in")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(at("sent")).unwrap().count(), 0);

    // Killed between: it has its name back, or a number where that is in use.
    let hidden = ".a.xml.0123456789abcdef.taken";
    for (name, text) in [("a.xml", "third"), ("a.2.xml", "fourth")] {
        fs::rename(at("in/a.xml"), at("in").join(hidden)).unwrap();
        put(&at("in/a.xml"), text);
        dropped.show_all().unwrap();
        assert_eq!(fs::read_to_string(at("in/a.xml")).unwrap(), text, "{name}");
    }
    assert_eq!(fs::read_to_string(at("in/a.2.xml")).unwrap(), "new");
    assert_eq!(fs::read_to_string(at("in/a.3.xml")).unwrap(), "third");
    fs::rename(at("in/a.xml"), at("in").join(hidden)).unwrap();
    dropped.show_all().unwrap();
    assert_eq!(dropped.names().unwrap(), ["a.2.xml", "a.3.xml", "a.xml"]);
}

#[test]
fn nothing_that_lies_there_is_written_over() {
    let scratch = tempfile::tempdir().unwrap();
    let (dropped, sent) = folders(scratch.path());
    let at = |name: &str| scratch.path().join(name);
    let name = || {
        let files = Files::look(&dropped, "a").unwrap().unwrap();
        let is_free = |new: &str| files.fit(&dropped, "a", &sent, new);
        free("a", "mark", is_free).unwrap()
    };
    put(&at("in/a.xml"), "same");
    assert_eq!(name(), "a");
    put(&at("sent/a.xml"), "same");
    assert_eq!(name(), "a");
    put(&at("in/a.pdf"), "paper");
    assert_eq!(name(), "a");
    put(&at("sent/a.pdf"), "other");
    assert_eq!(name(), "a.mark");
    put(&at("sent/a.mark.xml"), "as long as");
    assert_eq!(name(), "a.mark.2");
    put(&at("sent/a.mark.2.xml"), "SAME");
    assert_eq!(name(), "a.mark.3");
    // Its PDF would seem to be this one's.
    fs::remove_file(at("in/a.pdf")).unwrap();
    put(&at("sent/a.mark.3.pdf"), "paper");
    assert_eq!(name(), "a.mark.4");
}
