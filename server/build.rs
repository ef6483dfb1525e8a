//! The release binary embeds `dist/`. A build made before that folder exists must not stay without it.

fn main() {
    println!("cargo:rerun-if-changed=../dist/asset-manifest.json");
}
