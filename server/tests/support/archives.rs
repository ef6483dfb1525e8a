//! Archives, friendly and hostile.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use zip::write::SimpleFileOptions;

/// A zip with these names and contents, names as they are.
pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in entries {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

pub fn zip_with_symlink(name: &str, target: &str) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.add_symlink(name, target, SimpleFileOptions::default()).unwrap();
    archive.finish().unwrap().into_inner()
}

/// Zeros that unpack to `size` bytes.
pub fn zip_bomb(size: usize) -> Vec<u8> {
    zip(&[("zeros.bin", &vec![0; size])])
}

/// A tar.gz; names are written into the header without a check, as an attacker would.
pub fn tar_gz(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, *content).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

pub fn tar_gz_with_link(name: &str, target: &str, kind: tar::EntryType) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(0o777);
    archive.append_link(&mut header, name, target).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}
