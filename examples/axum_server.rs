//! A scheduler inside an axum server: requests schedule tasks and look at them, and both end together, the server first.
//!
//! `cargo run --example axum_server`. The example is its own visitor and ends by itself; in a program,
//! `tokio::signal::ctrl_c()` takes the place of the channel.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;

use axum::Router;
use axum::extract::{self, Path};
use axum::http::StatusCode;
use axum::routing::post;
use azoth_scheduler::prelude::*;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Tells the visitor that a receipt is on its way.
type Started = mpsc::Sender<()>;

/// Takes a while, as mail does.
#[task_handler]
async fn send_receipt(order: String, started: State<Started>) -> anyhow::Result<String> {
    started.send(())?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    println!("  the receipt of order {order} was sent");
    Ok(order)
}

/// `POST /orders/17`: accepted once the task is durable. The order's number is the task's id, so a browser that repeats
/// its request sends no second receipt.
async fn accept(
    extract::State(scheduler): extract::State<Scheduler>,
    Path(order): Path<String>,
) -> std::result::Result<StatusCode, Refusal> {
    let receipt = SendReceipt::request(format!("receipt-{order}"), &order)?.immediate();
    let outcome = scheduler.schedule_task(receipt.on_conflict(OnConflict::Keep).build()?).await?;
    Ok(if outcome.is_created() { StatusCode::ACCEPTED } else { StatusCode::OK })
}

/// `GET /orders/17`: where the receipt stands.
async fn look(
    extract::State(scheduler): extract::State<Scheduler>,
    Path(order): Path<String>,
) -> std::result::Result<String, Refusal> {
    let task = scheduler.get_task(format!("receipt-{order}")).await?;
    Ok(task.map_or_else(|| "unknown".to_owned(), |task| task.phase.to_string()))
}

/// What a visitor is told of an error: a hint, and no detail of ours.
struct Refusal(SchedulerError);

impl<E: Into<SchedulerError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl axum::response::IntoResponse for Refusal {
    fn into_response(self) -> axum::response::Response {
        match self.0 {
            SchedulerError::InvalidTask(_) | SchedulerError::Name(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
        .into_response()
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (sender, started) = mpsc::channel();
    let scheduler = Scheduler::builder(SqliteStore::open(folder.path().join("shop.db"))?)
        .with_state::<Started>(sender)
        .with_task_handler(SendReceipt)
        .with_shutdown_grace(Duration::from_secs(10))
        .build()?;
    let tasks = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.run().await }
    });

    let orders = post(accept).get(look);
    let app = Router::new().route("/orders/{order}", orders).with_state(scheduler.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, (stop, stopped)) = (listener.local_addr()?, oneshot::channel());
    let visitor = tokio::task::spawn_blocking(move || visit(address, &started, stop));

    // First the server: no further order comes in, and those that came are answered. Then the scheduler: what runs may
    // end within the grace, and what does not is given back for the next start.
    axum::serve(listener, app).with_graceful_shutdown(async { stopped.await.unwrap_or(()) }).await?;
    println!("the server has ended");
    scheduler.shutdown().await;
    tasks.await??;
    println!("the scheduler has ended");
    visitor.await??;

    let receipt = scheduler.get_task("receipt-17").await?;
    assert_eq!(receipt.map(|task| task.phase), Some(PhaseKind::Finished), "it ended within the grace");
    anyhow::ensure!(scheduler.verify().await?.is_sound(), "the log is damaged");
    Ok(())
}

/// Orders twice, looks, and has the server stopped while the receipt is on its way.
fn visit(address: SocketAddr, started: &mpsc::Receiver<()>, stop: oneshot::Sender<()>) -> anyhow::Result<()> {
    assert!(ask(address, "POST /orders/17")?.starts_with("HTTP/1.1 202"));
    started.recv()?;
    assert!(ask(address, "POST /orders/17")?.starts_with("HTTP/1.1 200"), "the same order again");
    assert!(ask(address, "GET /orders/17")?.ends_with("running"));
    assert!(ask(address, "GET /orders/18")?.ends_with("unknown"));
    let _ = stop.send(());
    Ok(())
}

fn ask(address: SocketAddr, what: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "{what} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    println!("{what}: {}", answer.lines().next().unwrap_or_default());
    Ok(answer)
}
