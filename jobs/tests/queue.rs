//! The queue on real servers: progress, its window, and every failure of Redis.
#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "queue/conformance.rs"]
mod conformance;
#[path = "queue/damage.rs"]
mod damage;
#[path = "queue/fixture.rs"]
mod fixture;
#[path = "queue/order.rs"]
mod order;
#[path = "queue/outages.rs"]
mod outages;
#[path = "queue/rate.rs"]
mod rate;
#[path = "queue/relay.rs"]
mod relay;
#[path = "queue/rights.rs"]
mod rights;
#[path = "queue/tls.rs"]
mod tls;
#[path = "queue/topologies.rs"]
mod topologies;
