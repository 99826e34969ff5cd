//! A new SQLite file for each test.

use std::path::Path;

use guestlist::Database;

pub async fn file(folder: &Path) -> Database {
    let url = format!("sqlite:{}", folder.join("guestlist.db").display());
    Database::connect(&url, 20)
        .await
        .expect("the file can be created")
}
