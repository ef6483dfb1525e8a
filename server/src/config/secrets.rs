use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use rand::RngCore;

use super::{Secret, parse::Reader};

const LEAST_CHARS: usize = 32;
const PLACEHOLDERS: &[&str] = &["changeme", "change-me", "change_me", "secret", "your-secret", "placeholder", "example", "insecure"];

/// What secrets at rest are sealed with. In development, where only the other secret is set, that one stands in: processes that share it
/// then open what each other sealed.
pub fn resolve_seal(read: &mut Reader, signing: &Secret, production: bool, data_dir: &Path) -> Secret {
    let is_shared = !production && read.optional("SECRET_KEY").is_none() && read.optional("JWT_SECRET_KEY").is_some();
    if is_shared { signing.clone() } else { resolve(read, "SECRET_KEY", production, data_dir) }
}

/// The secret as set, or in development one that was made once and is kept in the data folder.
pub fn resolve(read: &mut Reader, name: &str, production: bool, data_dir: &Path) -> Secret {
    match read.optional(name) {
        Some(value) => {
            if let Some(reason) = find_weakness(&value, production) {
                read.refuse(name, reason);
            }
            Secret::new(value)
        }
        None if production => {
            read.refuse(name, "must be set in production; make one with: openssl rand -hex 32");
            Secret::new("")
        }
        None => keep(&data_dir.join("secrets"), name).map(Secret::new).unwrap_or_else(|error| {
            read.refuse(name, format!("could not be made in {}/secrets: {error}", data_dir.display()));
            Secret::new("")
        }),
    }
}

fn find_weakness(value: &str, production: bool) -> Option<&'static str> {
    let lower = value.to_ascii_lowercase();
    if PLACEHOLDERS.iter().any(|p| lower.contains(p)) {
        Some("still holds a placeholder; make one with: openssl rand -hex 32")
    } else if production && value.chars().count() < LEAST_CHARS {
        Some("must have 32 characters or more; make one with: openssl rand -hex 32")
    } else {
        None
    }
}

/// Reads the kept secret, or makes it. Two processes that start at once agree: the file appears whole or not at all.
fn keep(folder: &Path, name: &str) -> io::Result<String> {
    let path = folder.join(name.to_ascii_lowercase());
    match fs::read_to_string(&path) {
        Ok(kept) if !kept.trim().is_empty() => return Ok(kept.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    let draft = folder.join(format!(".{}.{}", name.to_ascii_lowercase(), std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(hex::encode(bytes).as_bytes())?;
    file.sync_all()?;
    match fs::hard_link(&draft, &path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => fs::remove_file(&draft)?,
    }
    Ok(fs::read_to_string(&path)?.trim().to_owned())
}
