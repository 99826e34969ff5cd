//! What tests of an application with Guestlist need: private servers that end with the test.
//!
//! [`PostgresServer`] and [`RedisServer`] start a server of their own on a free port of 127.0.0.1,
//! with its data in a temporary folder. They can be killed and started again. A server ends when its
//! value is dropped, also by a panic; on Linux it ends with the test's process too, however that ends.
//!
//! The programs of the servers must be installed; an [`Error`] names what is missing.

pub mod error;
mod folder;
pub mod port;
pub mod postgres;
pub mod process;
pub mod program;
pub mod redis;

pub use error::Error;
pub use port::free_port;
pub use postgres::PostgresServer;
pub use redis::RedisServer;
