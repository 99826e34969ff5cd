//! Installed programs.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;

/// The file of an installed program: from the `PATH`, else from a folder where distributions put
/// servers, the newest Postgres first.
///
/// # Errors
/// [`Error::NotInstalled`], with the packages that bring the program.
pub fn find(program: &str) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(server_folders())
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| Error::NotInstalled {
            program: program.to_owned(),
            advice: advice(program),
        })
}

fn advice(program: &str) -> &'static str {
    match program {
        "initdb" | "postgres" | "pg_basebackup" | "pg_ctl" => {
            "install the Postgres server (Debian: apt install postgresql; macOS: brew install postgresql@17; Fedora: dnf install postgresql-server), or run bin/setup in a checkout of guestlist"
        }
        "redis-server" => {
            "install the Redis server (Debian: apt install redis-server; macOS: brew install redis; Fedora: dnf install valkey-compat-redis), or run bin/setup in a checkout of guestlist"
        }
        "pgbouncer" => {
            "install PgBouncer (Debian: apt install pgbouncer; macOS: brew install pgbouncer; Fedora: dnf install pgbouncer), or run bin/setup in a checkout of guestlist"
        }
        _ => {
            "install it into a folder of the PATH, or run bin/setup in a checkout of guestlist, which installs what its tests need"
        }
    }
}

fn server_folders() -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from("/usr/sbin")];
    for (parent, start) in [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql"),
        ("/usr/local/opt", "postgresql"),
    ] {
        let mut versions = versions(Path::new(parent), start);
        versions.sort();
        folders.extend(versions.into_iter().rev().map(|(_, folder)| folder));
    }
    folders
}

/// The folders of `parent` whose name starts with `start`, with the version in their name.
fn versions(parent: &Path, start: &str) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.starts_with(start))
        .map(|name| {
            let version = name.trim_start_matches(|c: char| !c.is_ascii_digit());
            let version = version.split('.').next().unwrap_or_default();
            let folder = parent.join(&name).join("bin");
            (version.parse().unwrap_or_default(), folder)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_program_is_named_with_advice() {
        let missing = find("guestlist-no-such-program").expect_err("there is none");
        let told = missing.to_string();
        assert!(told.contains("guestlist-no-such-program is not installed"));
        assert!(told.contains("bin/setup"), "{told}");
        assert!(advice("redis-server").contains("apt install redis-server"));
        assert!(advice("initdb").contains("apt install postgresql"));
    }

    #[test]
    fn newest_version_comes_first() {
        let parent = tempfile::tempdir().expect("a folder");
        for version in ["9.6", "17", "16"] {
            fs::create_dir(parent.path().join(version)).expect("a folder");
        }
        let mut found = versions(parent.path(), "");
        found.sort();
        let found: Vec<u32> = found.into_iter().map(|(version, _)| version).collect();
        assert_eq!(found, [9, 16, 17]);
    }
}
