//! The prepared statements of a connection.

use sqlx::PgConnection;

/// Forgets all of them, on both sides, so that `pg_prepared_statements` then lists what a test prepared.
pub(crate) async fn forget(connection: &mut PgConnection) {
    sqlx::raw_sql("DEALLOCATE ALL")
        .execute(&mut *connection)
        .await
        .unwrap();
    sqlx::Connection::clear_cached_statements(connection)
        .await
        .unwrap();
}
