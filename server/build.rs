//! A new migration file must reach the binary without an edit elsewhere.

fn main() {
    println!("cargo:rerun-if-changed=../migrations/sqlite");
}
