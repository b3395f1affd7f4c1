//! Replays the seeds of `fuzz/` and every input that once made a target fail.

#[path = "../../fuzz/src/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

#[test]
fn seeds_and_old_finds_pass_every_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut replayed = 0;
    for (name, target) in targets::TARGETS {
        for folder in ["seeds", "finds"] {
            let Ok(files) = fs::read_dir(root.join(folder).join(name)) else {
                continue;
            };
            for file in files {
                let path = file.unwrap().path();
                eprintln!("{}", path.display());
                target(&fs::read(&path).unwrap());
                replayed += 1;
            }
        }
        // Targets without seeds of their own are at least run.
        target(b"");
    }
    assert!(replayed > 10, "{replayed} inputs");
}

#[test]
fn the_script_runs_every_target() {
    let script = include_str!("../../fuzz/run.sh");
    let names: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    assert!(script.contains(&format!("set -- {}\n", names.join(" "))));
}
