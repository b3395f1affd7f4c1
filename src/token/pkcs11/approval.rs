//! Whether a module may be loaded at all. Only configured ones are, by their
//! absolute path; here it is made sure that the file is still the approved one,
//! and that nobody else could have put another in its place.

use crate::base::{digest, hex};
use std::path::Path;

/// Checks a module's file. Errors: what is wrong, in English.
pub(super) fn approve(module: &Path, sha256: Option<&[u8; 32]>) -> Result<(), String> {
    // A relative name would be looked for along the loader's search path.
    if !module.is_absolute() {
        return Err("the module's path is not absolute".into());
    }
    let cannot = |error| format!("{} cannot be read: {error}", module.display());
    // Links are the distributions' way to name a module; their end counts.
    let file = module.canonicalize().map_err(cannot)?;
    unwritable_by_others(&file)?;
    file.parent().map_or(Ok(()), unwritable_by_others)?;
    let Some(approved) = sha256 else {
        return Ok(());
    };
    let found = digest::sha256(&std::fs::read(&file).map_err(cannot)?);
    if found == *approved {
        return Ok(());
    }
    Err(format!(
        "{} is not the approved file: its SHA-256 is {}; if it was updated, put that into module_sha256",
        file.display(),
        hex::encode(&found)
    ))
}

/// Root's or our own, and writable for nobody else.
#[cfg(unix)]
fn unwritable_by_others(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let cannot = |error| format!("{} cannot be read: {error}", path.display());
    let metadata = path.metadata().map_err(cannot)?;
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(format!(
            "{} belongs to user {owner}, neither to root nor to the service",
            path.display()
        ));
    }
    // A group of its own is how package managers leave some folders; the sticky
    // bit keeps others from replacing what is not theirs.
    let (mode, sticky) = (metadata.mode(), 0o1000);
    if mode & 0o002 != 0 && mode & sticky == 0 {
        return Err(format!("{} can be written by everybody", path.display()));
    }
    Ok(())
}

/// Windows: the installer's folder is the administrators'; the hash tells.
#[cfg(not(unix))]
fn unwritable_by_others(_path: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_was_changed_is_refused_and_its_new_digest_named() {
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path().join("module.so");
        std::fs::write(&module, b"approved").unwrap();
        let sha256 = digest::sha256(b"approved");
        approve(&module, Some(&sha256)).unwrap();
        std::fs::write(&module, b"other").unwrap();
        approve(&module, None).unwrap();
        let refused = approve(&module, Some(&sha256)).unwrap_err();
        let named = hex::encode(&digest::sha256(b"other"));
        assert!(refused.contains(&named), "{refused}");
        for path in ["module.so", "/nonexistent/module.so"] {
            assert!(approve(Path::new(path), None).is_err());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_module_that_others_can_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path().join("module.so");
        std::fs::write(&module, b"approved").unwrap();
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(&module, 0o666);
        let refused = approve(&module, None).unwrap_err();
        assert!(refused.ends_with("module.so can be written by everybody"));
        set(&module, 0o644);
        set(folder.path(), 0o777);
        assert!(approve(&module, None).is_err());
        set(folder.path(), 0o1777);
        approve(&module, None).unwrap();
        // A link is as good as what it leads to.
        let link = folder.path().join("link.so");
        std::os::unix::fs::symlink(&module, &link).unwrap();
        set(&module, 0o666);
        assert!(approve(&link, None).is_err());
    }
}
