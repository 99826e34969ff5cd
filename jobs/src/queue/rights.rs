//! The rights in Redis that the worker needs, as rules of `ACL SETUSER`.

use std::sync::LazyLock;

use redis::{ErrorKind, RedisError, Script, ServerErrorKind};

use super::{QueueError, keys::QUEUES, store::Store};

static RIGHTS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("rights.lua")));

/// Does on keys of its own what the worker does on those of the queue.
///
/// # Errors
/// [`QueueError::Rights`] names the missing rights. [`QueueError::Redis`]: Redis failed.
pub(super) async fn check(store: &Store) -> Result<(), QueueError> {
    let mut missing = Vec::new();
    // Scripts that are loaded run without this right, but only until Redis is restarted. Other errors
    // repeat below.
    if let Err(error) = RIGHTS.load_async(&mut store.connection()).await
        && is_denied(&error)
    {
        missing.push("+script|load".to_owned());
    }
    let mut script = RIGHTS.prepare_invoke();
    script.key(store.keys().shared("check"));
    for (key, _) in store.keys().all() {
        script.arg(key);
    }
    let ours = format!("~{}", store.keys().shared("*"));
    type Answer = (Vec<String>, Vec<String>);
    let answer: Result<Answer, _> = script.invoke_async(&mut store.connection()).await;
    match answer {
        Ok((commands, keys)) => {
            missing.extend(commands.iter().map(|command| format!("+{command}")));
            let (shared, own): (Vec<_>, Vec<_>) = keys.iter().partition(|key| *key == QUEUES.0);
            missing.extend(shared.first().map(|key| format!("~{key}")));
            missing.extend(own.first().map(|_| ours));
        }
        Err(error) if is_denied(&error) && is_about_keys(&error) => missing.push(ours),
        Err(error) if is_denied(&error) => {
            // A script that is not loaded is loaded, which may be what is denied.
            if missing.is_empty() {
                missing.push("+evalsha".to_owned());
            }
        }
        Err(error) => return Err(store.failed(error)),
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(QueueError::Rights {
        address: store.address().to_owned(),
        missing,
    })
}

/// Returns whether the user lacks the right to a command or to a key.
pub(super) fn is_denied(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
}

/// Returns whether a denied right is that to a key, by the words of Redis.
fn is_about_keys(error: &RedisError) -> bool {
    let detail = error.detail().unwrap_or_default();
    detail.contains("access a key") || detail.contains("access one of the keys")
}
