//! `tungstenite PORT`: tokio-tungstenite on one current-thread runtime, in the form that costs it least: the stream combinator flushes
//! only when the source has nothing more ready. Two clients of one path are joined.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

type Waiting = Arc<Mutex<HashMap<String, WebSocketStream<TcpStream>>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).expect("a port");
    let waiting = Waiting::default();
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    loop {
        if let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, waiting.clone()));
        }
    }
}

async fn serve(socket: TcpStream, waiting: Waiting) {
    let _ = socket.set_nodelay(true);
    let mut path = String::new();
    #[expect(clippy::result_large_err, reason = "the form that the crate calls")]
    let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        path = request.uri().path().to_owned();
        Ok(response)
    };
    let Ok(near) = accept_hdr_async(socket, note).await else { return };
    let far = {
        let mut waiting = waiting.lock().expect("nobody panics with it");
        match waiting.remove(&path) {
            Some(far) => far,
            None => {
                waiting.insert(path, near);
                return;
            }
        }
    };
    let (near_out, near_in) = near.split();
    let (far_out, far_in) = far.split();
    tokio::spawn(near_in.forward(far_out));
    let _ = far_in.forward(near_out).await;
}
