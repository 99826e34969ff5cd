//! The command `guestlist work`: the worker as a process that stops on a signal.

use guestlist_jobs::config::Config;
use guestlist_jobs::endpoint::Endpoint;
use guestlist_jobs::work;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::failure::{Done, Status};

/// Runs the worker until SIGTERM or SIGINT, or, with `until_idle`, until no message is due.
///
/// The first signal lets running jobs finish. A second one ends the process at once; the jobs that it
/// interrupts are run again when their leases end.
pub(crate) async fn run(config: &Config, until_idle: bool, endpoint: Option<Endpoint>) -> Done {
    let stop = CancellationToken::new();
    let signals = tokio::spawn(stop_by_signal(stop.clone())?);
    let drained = work::run(config, until_idle, endpoint, stop).await;
    signals.abort();
    match drained?.abandoned {
        0 => info!("stopped"),
        jobs => warn!(
            jobs,
            "stopped; {jobs} jobs were interrupted and will be done again"
        ),
    }
    Ok(Status::Done)
}

/// Installs the signal handlers at once, so that no signal is missed.
fn stop_by_signal(
    stop: CancellationToken,
) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    Ok(async move {
        next(&mut terminate, &mut interrupt).await;
        info!("stopping; running jobs are finished, and a second signal ends the process at once");
        stop.cancel();
        next(&mut terminate, &mut interrupt).await;
        warn!("ended at once; interrupted jobs will be run again");
        std::process::exit(1);
    })
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
