//! A new schema for each test, on the server that `bin/test` starts.

use guestlist::Database;
use sqlx::Connection as _;

pub async fn schema() -> Database {
    at(&schema_url().await).await
}

pub async fn at(url: &str) -> Database {
    Database::connect(url, 20)
        .await
        .expect("the schema can be used")
}

/// Creates a schema and returns the URL that selects it.
pub async fn schema_url() -> String {
    let server = std::env::var("GUESTLIST_TEST_POSTGRES")
        .expect("GUESTLIST_TEST_POSTGRES: run the tests by bin/test");
    let schema = format!("test_{}", uuid::Uuid::now_v7().simple());
    let mut admin = sqlx::PgConnection::connect(&server)
        .await
        .expect("the server answers");
    let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
    sqlx::query(create)
        .execute(&mut admin)
        .await
        .expect("a schema can be created");
    let separator = if server.contains('?') { '&' } else { '?' };
    format!("{server}{separator}options=-c%20search_path%3D{schema}")
}
