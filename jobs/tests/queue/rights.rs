//! The rights in Redis: those documented are enough, each is needed, and a missing one is named.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::FutureExt;
use guestlist_jobs::queue::{Concurrency, Lane, Queue, QueueError};
use guestlist_testkit::{RedisServer, free_port};

use crate::fixture::{DRAIN, Runs, dispatches, run, until};

/// The line of the operations guide, as words after the name of the user.
fn documented_rules() -> Vec<String> {
    let guide = include_str!("../../../docs/operations.md");
    let line = guide
        .lines()
        .find_map(|line| line.trim().strip_prefix("ACL SETUSER guestlist "));
    let line = line.expect("the guide has the line");
    line.split(' ').map(str::to_owned).collect()
}

async fn set_rules(server: &RedisServer, rules: &[String]) {
    let mut words = vec!["ACL", "SETUSER", "guestlist"];
    words.extend(rules.iter().map(String::as_str));
    server.words::<()>(&words).await.unwrap();
}

async fn with_rules(server: &RedisServer, rules: &[String]) -> Queue {
    set_rules(server, rules).await;
    let url = format!("redis://guestlist:PASSWORD@127.0.0.1:{}/", server.port());
    Queue::redis(&url.parse().unwrap(), "guestlist-rights")
}

/// Uses everything of a queue: its window, workers, a damaged entry, an early stop and the rate limit.
async fn use_everything(queue: &Queue, id: &guestlist::Ticket) {
    let runs = Runs::default();
    let note = runs.handler();
    queue.push(Lane::Letters, &[*id]).await.unwrap();
    queue.push(Lane::Letters, &dispatches(200)).await.unwrap();
    queue.push(Lane::Urgent, &dispatches(10)).await.unwrap();
    let running = run(queue, Concurrency::ONE, DRAIN, move |lane, dispatch| {
        let noted = note(lane, dispatch);
        async move {
            noted.await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        .boxed()
    });
    until("dispatches run", async || runs.len() > 15).await;
    assert_eq!(running.end().await.abandoned, 0);
    let limiter = queue.rate_limiter("1000".parse().unwrap());
    limiter.reserve_slot().await.unwrap();
    queue.wanted(Lane::Urgent, 500).await.unwrap();
}

/// The commands that were run since the statistics were reset, without those of this test's client.
async fn commands_run(server: &RedisServer) -> BTreeSet<String> {
    let info: String = server.command("INFO commandstats").await.unwrap();
    let names = info
        .lines()
        .filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next());
    let own = [
        "info",
        "acl|log",
        "config|resetstat",
        "auth",
        "client|setinfo",
        "command",
    ];
    names
        .filter(|name| !own.contains(name))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn documented_rights_are_what_the_worker_uses() {
    let server = RedisServer::start().await.unwrap();
    let rules = documented_rules();
    let queue = with_rules(&server, &rules).await;
    let id = dispatches(1)[0];
    // apalis moves a due entry of the schedule, which nothing of ours fills.
    let scheduled = queue.keys().into_iter().map(|(key, _)| key);
    let scheduled = scheduled.filter(|key| key.ends_with("letters:scheduled"));
    for key in scheduled {
        let words = ["ZADD", &key, "1", &id.to_string()];
        server.words::<()>(&words).await.unwrap();
    }
    server.command::<()>("CONFIG RESETSTAT").await.unwrap();
    use_everything(&queue, &id).await;
    let granted = rules.iter().filter_map(|rule| rule.strip_prefix('+'));
    let granted: BTreeSet<String> = granted.map(str::to_owned).collect();
    assert_eq!(commands_run(&server).await, granted);
    queue.answers().await.unwrap();
    let health = queue.check().await.unwrap();
    assert_eq!(health.version, None, "INFO is not granted");
    // The check knows of no more and no fewer.
    server.command::<()>("CONFIG RESETSTAT").await.unwrap();
    queue.answers().await.unwrap();
    assert_eq!(commands_run(&server).await, granted);
}

#[tokio::test]
async fn each_missing_right_is_named() {
    let server = RedisServer::start().await.unwrap();
    let rules = documented_rules();
    let queue = with_rules(&server, &rules).await;
    queue.answers().await.unwrap();
    let rights = rules.iter().filter(|rule| rule.starts_with(['+', '~']));
    let rights: Vec<_> = rights.collect();
    assert!(rights.len() > 30);
    for right in rights {
        let rest: Vec<String> = rules
            .iter()
            .filter(|rule| *rule != right)
            .cloned()
            .collect();
        set_rules(&server, &rest).await;
        let named = right.replace("guestlist-*", "guestlist-rights:*");
        for checked in [queue.answers().await, queue.check().await.map(drop)] {
            match checked {
                Err(QueueError::Rights { missing, .. }) => assert_eq!(missing, [&*named]),
                other => panic!("without {right}: {other:?}"),
            }
        }
    }
    set_rules(&server, &rules).await;
    queue.answers().await.unwrap();
}

#[tokio::test]
async fn groups_of_missing_rights_are_named() {
    let server = RedisServer::start().await.unwrap();
    let rules = documented_rules();
    let queue = with_rules(&server, &rules).await;
    for (change, named) in [
        ("-@scripting", &["+script|load"][..]),
        ("-@dangerous", &[]),
        ("-@hash", &["+hset", "+hmget"]),
        ("-@write", &["+hset", "+rpush", "+zadd", "+set", "+del"]),
        (
            "resetkeys",
            &["~{core:apalis:queues:list}:guestlist-rights:*"],
        ),
    ] {
        let changed: Vec<String> = rules.iter().cloned().chain([change.to_owned()]).collect();
        set_rules(&server, &changed).await;
        match queue.answers().await {
            Ok(()) => assert!(named.is_empty(), "{change}"),
            Err(QueueError::Rights { missing, .. }) => {
                for named in named {
                    assert!(
                        missing.iter().any(|right| right == named),
                        "{change}: {missing:?}"
                    );
                }
                assert!(!named.is_empty(), "{change}: {missing:?}");
            }
            Err(other) => panic!("{change}: {other}"),
        }
    }
}

/// The guide names these beside the line.
#[tokio::test]
async fn another_database_needs_select() {
    let server = RedisServer::start().await.unwrap();
    let mut rules = documented_rules();
    let url = format!("redis://guestlist:PASSWORD@127.0.0.1:{}/1", server.port());
    set_rules(&server, &rules).await;
    let queue = Queue::redis(&url.parse().unwrap(), "guestlist-rights");
    let denied = queue.answers().await.unwrap_err();
    assert!(denied.to_string().contains("select"), "{denied}");
    rules.push("+select".to_owned());
    set_rules(&server, &rules).await;
    queue.answers().await.unwrap();
    use_everything(&queue, &dispatches(1)[0]).await;
}

#[tokio::test]
async fn a_cluster_needs_its_slots() {
    let server = RedisServer::builder().cluster_node(free_port());
    let server = server.start().await.unwrap();
    server
        .command::<()>("CLUSTER ADDSLOTSRANGE 0 16383")
        .await
        .unwrap();
    until("the cluster is up", async || {
        let info: String = server.command("CLUSTER INFO").await.unwrap();
        info.contains("cluster_state:ok")
    })
    .await;
    let mut rules = documented_rules();
    rules.extend(["+cluster|slots".to_owned(), "+ping".to_owned()]);
    set_rules(&server, &rules).await;
    let url = format!(
        "redis+cluster://guestlist:PASSWORD@127.0.0.1:{}",
        server.port()
    );
    let queue = Queue::redis(&url.parse().unwrap(), "guestlist-rights");
    queue.answers().await.unwrap();
    use_everything(&queue, &dispatches(1)[0]).await;
}
