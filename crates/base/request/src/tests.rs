use bq_primitives::{Address, BlockId, Network, account_request_hash};
use bq_signature::KeyPair;

use crate::{Request, RequestError, SignedRequest};

const GENESIS: BlockId = BlockId([7; 32]);

fn key(n: u8) -> KeyPair {
    KeyPair::from_seed(&[n; 32]).unwrap()
}

fn request(wish: &str) -> Request {
    let address = Address { network: Network::Devnet, key_hash: key(1).key_hash() };
    Request { genesis: GENESIS, address, time_ms: 1_764_000_000_123, wish: wish.to_owned() }
}

fn signed(text: &str, by: &KeyPair) -> SignedRequest {
    SignedRequest {
        request: text.to_owned(),
        public_key: hex::encode(by.public_key()),
        signature: hex::encode(by.sign(&account_request_hash(text)).unwrap().as_slice()),
    }
}

fn verified(signed: &SignedRequest) -> Result<Request, RequestError> {
    signed.verified(Network::Devnet, GENESIS)
}

#[test]
fn what_is_signed_is_what_is_read() {
    for wish in ["lock", "token rig-1", "anything that is one line"] {
        let request = request(wish);
        assert_eq!(verified(&signed(&request.to_string(), &key(1))), Ok(request));
    }
}

#[test]
fn only_the_addresss_key_on_this_chain_counts() {
    let request = request("lock");
    let (text, address) = (request.to_string(), request.address.to_string());
    let good = signed(&text, &key(1));
    assert_eq!(verified(&signed(&text, &key(2))), Err(RequestError::Signature(address.clone())), "another key");
    let forged = SignedRequest { request: text.replace("lock", "unlock"), ..good.clone() };
    assert_eq!(verified(&forged), Err(RequestError::Signature(address)), "another text");
    assert_eq!(good.verified(Network::Devnet, BlockId([8; 32])), Err(RequestError::OtherChain));
    assert_eq!(good.verified(Network::Testnet, GENESIS), Err(RequestError::OtherChain));
    for bad in ["", "00", "zz"] {
        let short = SignedRequest { signature: bad.to_owned(), ..good.clone() };
        assert!(matches!(verified(&short), Err(RequestError::Text(_))));
    }
}

#[test]
fn one_request_has_one_text() {
    let text = request("lock").to_string();
    let address = request("lock").address.to_string();
    for bad in [
        String::new(),
        text.replace('\n', "\r\n"),
        format!("{text}\n"),
        text.trim_end().to_owned(),
        text.replace("time ", "time -"),
        text.replace("time ", "time +"),
        text.replace("time ", "time 0"),
        text.replace("genesis ", "genesis  "),
        text.replace(&address, &address.to_uppercase()),
        text.replace("bq request 1", "bq request 2"),
    ] {
        let read = Request::read(&bad);
        assert!(matches!(read, Err(RequestError::Text(_) | RequestError::Address(_))), "{bad}");
    }
    let longest = Request::TEXT_BYTES_MAX - request("").to_string().len();
    assert!(Request::read(&request(&"x".repeat(longest)).to_string()).is_ok());
    let longer = request(&"x".repeat(longest + 1)).to_string();
    assert_eq!(Request::read(&longer), Err(RequestError::Oversized(Request::TEXT_BYTES_MAX + 1)));
}
