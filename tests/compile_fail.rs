//! Misuse that the compiler refuses, with the message that it gives.
//!
//! Each sample is compiled with `rustc` against the library that was built for this test, so no
//! dependency is compiled again. Only the part of a message that the library writes, or the code of
//! the error, is compared: the rest changes with the compiler.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{env, fs};

const SAMPLE: &str = "
use guestlist::{Actor, Database, Error, Guestlist, OrganizationId, UserId};

pub mod other_sqlx {
    pub struct PgConnection;
}

#[allow(irrefutable_let_patterns, unused)]
pub async fn sample(
    guestlist: Guestlist,
    database: Database,
    olivia: Actor,
    bob: UserId,
    acme: OrganizationId,
) -> Result<(), Error> {
    let Database::DRIVER(pool) = database else { return Ok(()) };
    let mut other = other_sqlx::PgConnection;
    let mut tx = pool.begin().await?;
    guestlist.CALL.await?;
    Ok(())
}
";

const DRIVER: &str = if cfg!(feature = "sqlite") {
    "Sqlite"
} else {
    "Postgres"
};

const RIGHT: &str = "act(&olivia).in_organization(acme).remove(&mut *tx, &bob)";

/// The library, and a folder for samples.
struct Compiler {
    folder: tempfile::TempDir,
    dependencies: PathBuf,
    library: PathBuf,
}

impl Compiler {
    /// Finds the newest build of the library with which the right sample compiles. Builds with
    /// other features lie beside it.
    fn new() -> Self {
        let program = env::current_exe().expect("the path of this test");
        let dependencies = program.parent().expect("a folder").to_owned();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut problems = Vec::new();
        for library in builds(&dependencies) {
            let compiler = Self {
                folder: tempfile::tempdir_in(folder.path()).expect("a temporary folder"),
                dependencies: dependencies.clone(),
                library,
            };
            match compiler.compile(RIGHT) {
                Ok(()) => return Self { folder, ..compiler },
                Err(problem) => problems.push(problem),
            }
        }
        panic!("no build of the library accepts `{RIGHT}`: {problems:#?}");
    }

    /// Compiles a sample with this call; the error holds what the compiler printed.
    fn compile(&self, call: &str) -> Result<(), String> {
        let sample = self.folder.path().join("sample.rs");
        let text = SAMPLE.replace("DRIVER", DRIVER).replace("CALL", call);
        fs::write(&sample, text).expect("the sample is written");
        let mut external = std::ffi::OsString::from("guestlist=");
        external.push(&self.library);
        let mut search = std::ffi::OsString::from("dependency=");
        search.push(&self.dependencies);
        let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args([
                "--edition",
                "2024",
                "--crate-type",
                "lib",
                "--emit",
                "metadata",
            ])
            .arg("-L")
            .arg(search)
            .arg("--extern")
            .arg(external)
            .arg("--out-dir")
            .arg(self.folder.path())
            .arg(&sample)
            .output()
            .expect("rustc runs");
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Asserts that the compiler refuses the call and that its message holds `says`.
    fn refuses(&self, call: &str, says: &str) {
        let problem = self.compile(call).expect_err(call);
        assert!(
            problem.contains(says),
            "`{call}` is refused with: {problem}"
        );
    }
}

/// The builds of the library beside this test, newest first.
fn builds(dependencies: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dependencies).expect("the folder of dependencies");
    let mut found: Vec<(SystemTime, PathBuf)> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libguestlist-") && name.ends_with(".rlib")
        })
        .map(|path| {
            let modified = path.metadata().and_then(|file| file.modified());
            (modified.expect("the time of a build"), path)
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

#[test]
fn only_a_connection_of_this_sqlx_is_lent() {
    let compiler = Compiler::new();
    for lent in ["&pool", "pool", "&mut tx", "&tx", "&mut other"] {
        let call = format!("act(&olivia).in_organization(acme).remove({lent}, &bob)");
        compiler.refuses(&call, "lend `&mut *tx`, from sqlx 0.9");
    }
}

#[test]
fn actor_organization_and_target_cannot_be_swapped() {
    let compiler = Compiler::new();
    for (call, code) in [
        // An organization acts.
        (
            "act(&acme).in_organization(acme).remove(&mut *tx, &bob)",
            "E0277",
        ),
        // A user stands where the organization belongs.
        (
            "act(&olivia).in_organization(bob).remove(&mut *tx, &bob)",
            "E0308",
        ),
        // An organization or the actor stands where the target belongs.
        (
            "act(&olivia).in_organization(acme).remove(&mut *tx, &acme)",
            "E0308",
        ),
        (
            "act(&olivia).in_organization(acme).remove(&mut *tx, &olivia)",
            "E0308",
        ),
        // Actor and target are swapped.
        (
            "act(&bob).in_organization(acme).remove(&mut *tx, &olivia)",
            "E0277",
        ),
        // Actor and target stand side by side.
        (
            "act(&olivia).in_organization(acme).remove(&mut *tx, &olivia, &bob)",
            "E0061",
        ),
        ("remove(&mut *tx, &olivia, acme, &bob)", "E0599"),
        // User and organization of a check are swapped.
        ("access(&mut *tx, acme, &olivia)", "E0308"),
    ] {
        compiler.refuses(call, &format!("error[{code}]"));
    }
}
