use proptest::prelude::*;

use super::log::Log;
use crate::{Answer, MessageError, Question, Standing, read_message, write_message};

#[test]
fn questions_and_answers_come_back_as_they_were() {
    let (log, planned) = Log::with_payout();
    let questions = [
        Question::Hello(crate::Hello { network: bq_primitives::Network::Regtest, genesis: super::log::GENESIS }),
        Question::Follow(log.after(log.heads[0])),
        Question::Adopt(crate::Adoption { from: log.state.head(), state: log.state.to_bytes().unwrap() }),
        Question::Sign(Box::new(log.asked(&planned))),
    ];
    for question in questions {
        let bytes = write_message(&question).unwrap();
        assert_eq!(read_message::<Question>(&bytes), Ok(question));
        let mut more = bytes.clone();
        more.push(0);
        assert!(read_message::<Question>(&more).is_err());
        for end in 0..bytes.len().min(200) {
            assert!(read_message::<Question>(&bytes[..end]).is_err());
        }
    }
    let told = log.state.head();
    let standing = Standing { key: super::log::POOL, commitment_key: [5; 32], told, adopts: false };
    for answer in [
        Answer::Standing(standing),
        Answer::Signed(vec![1, 2, 3]),
        Answer::Refused { name: "day_cap".to_owned(), reason: "tomorrow".to_owned() },
    ] {
        assert_eq!(read_message::<Answer>(&write_message(&answer).unwrap()), Ok(answer));
    }
    assert_eq!(read_message::<Answer>(&[]), Err(MessageError::Empty));
    assert_eq!(read_message::<Answer>(&[2, 0]), Err(MessageError::Version(2)));
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut with_version = vec![1];
        with_version.extend(&bytes);
        drop(read_message::<Question>(&with_version));
        drop(read_message::<Answer>(&with_version));
    }
}
