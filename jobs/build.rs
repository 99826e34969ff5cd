//! Checks that `jobs/templates` is a folder.
//!
//! In the repository it is a symbolic link to `templates`, which some checkouts on Windows store as a
//! text file. Without this check the compiler would report a missing file for each template.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if !Path::new("templates").is_dir() {
        println!(
            "cargo::error=jobs/templates is not a folder: this checkout replaced the symbolic link to \
             ../templates by a file. Run `git config core.symlinks true` and `git checkout -- jobs`, \
             or copy the folder templates to jobs/templates"
        );
    }
}
