#![no_main]
//! What a signer and its pool are sent: bytes that can be read are those that would be written, or shorter; and whatever a pool tells, nothing
//! is signed that was not planned.

use bq_pool_machine::LogHead;
use bq_primitives::{Amount, BlockId, KeyHash, Network};
use bq_signer::{
    Answer, Identity, KeptCopy, Limits, LogCopy, Question, Record, Signer, check_signed, read_message, write_message,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    match kind % 4 {
        0 => ask(bytes),
        1 => {
            if let Ok(answer) = read_message::<Answer>(bytes) {
                assert_eq!(read_message(&write_message(&answer).unwrap()), Ok(answer.clone()));
                if let Answer::Signed(signed) = answer {
                    let none = bq_primitives::Transaction::coinbase(bq_primitives::Height(1), Vec::new(), Vec::new());
                    let _ = check_signed(&signed, &none, &BlockId([0; 32]), &[], KeyHash([0; 32]));
                }
            }
        }
        2 => {
            let _ = Record::from_bytes(bytes);
        }
        _ => {
            let _ = LogCopy::read(&KeptCopy { from: LogHead::default(), state: bytes.to_vec() });
        }
    }
});

fn ask(bytes: &[u8]) {
    let Ok(question) = read_message::<Question>(bytes) else { return };
    assert_eq!(read_message(&write_message(&question).unwrap()), Ok(question.clone()));
    let identity =
        Identity { network: Network::Regtest, genesis: BlockId([0; 32]), key: KeyHash([0; 32]), commitment_key: [0; 32] };
    let limits = Limits { payout_max: Amount::MAX, day_max: Amount::MAX };
    let mut signer = Signer::new(identity, limits, true, LogCopy::default(), Record::default());
    match question {
        Question::Hello(hello) => drop(signer.hello(&hello)),
        Question::Follow(follow) => drop(signer.follow(&follow)),
        Question::Adopt(adoption) => drop(signer.adopt(&adoption)),
        Question::Sign(asked) => assert!(signer.judge(&asked, 0).is_err(), "it was told nothing"),
    }
}
