//! The id of this worker process.

use std::sync::LazyLock;

use uuid::Uuid;

/// Returns the id of this process in the records of its work. It is unique, unlike a process id, which
/// is often the same in every container.
pub(crate) fn worker_id() -> &'static str {
    static ID: LazyLock<String> = LazyLock::new(|| Uuid::now_v7().to_string());
    &ID
}
