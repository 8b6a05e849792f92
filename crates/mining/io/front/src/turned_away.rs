//! What is said to those for whom there is no place (SPEC 11.12.5): one line, where the dialect has words before a login, and nobody waits for it to
//! be read.

use std::io::{Read as _, Write as _};

use bq_primitives::Algorithm;
use serde_json::json;
use tokio::net::TcpStream;

use crate::port::Port;

/// Room for what came before the answer: a socket that is closed with something unread tells its peer so, who then may not hear the answer.
const UNREAD_BYTES: usize = 2048;

/// The reason in words, if it is that all is full: whoever misbehaved is told nothing.
pub(crate) fn words(refused: &str) -> Option<&'static str> {
    match refused {
        "server_full" => Some("the server is full: all places are taken by miners; try again later"),
        "peer_full" => Some("the server takes no more connections from your network address"),
        "subnet_full" => Some("the server takes no more connections from your network"),
        _ => None,
    }
}

/// Tells a client of a plaintext port of V1 why it was turned away, if there are words for it.
pub(crate) fn tell(stream: TcpStream, port: Port, refused: &str) {
    let (Some(words), Port::V1(algorithm) | Port::Scheme(_, algorithm)) = (words(refused), port) else { return };
    // Its readiness is not known yet, and is not waited for: a fresh socket takes a line.
    let Ok(mut stream) = stream.into_std() else { return };
    let _unread = stream.read(&mut [0; UNREAD_BYTES]);
    let _gone = stream.write(&line(algorithm, words));
}

fn line(algorithm: Algorithm, words: &str) -> Vec<u8> {
    let line = match algorithm {
        Algorithm::Sha256d => json!({ "id": null, "method": "client.show_message", "params": [words] }),
        Algorithm::RandomX | Algorithm::Ethash => {
            json!({ "id": null, "jsonrpc": "2.0", "result": null, "error": { "code": -1, "message": words } })
        }
    };
    format!("{line}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_finds_all_full_is_told() {
        assert!(["server_full", "peer_full", "subnet_full"].iter().all(|refused| words(refused).is_some()));
        assert_eq!(["denied", "banned", "too_fast", "in_debt", "no_extranonce"].map(words), [None; 5]);
        for algorithm in Algorithm::ALL {
            let line = line(algorithm, "full");
            assert!(line.ends_with(b"\n") && line.len() < UNREAD_BYTES);
        }
    }
}
