use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use jsonrpsee::core::BoxError;
use tokio::time::{Sleep, sleep};

/// A request's body that must be there in time: a connection that sends half of one would keep its place for ever.
pub(crate) struct TimedBody<B> {
    body: Pin<Box<B>>,
    late: Pin<Box<Sleep>>,
}

impl<B> TimedBody<B> {
    pub(crate) fn new(body: B, patience: Duration) -> Self {
        Self { body: Box::pin(body), late: Box::pin(sleep(patience)) }
    }
}

impl<B: Body<Error: Into<BoxError>>> Body for TimedBody<B> {
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Poll::Ready(frame) = self.body.as_mut().poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.late.as_mut().poll(context));
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::poll_fn};

    use super::*;

    /// Its sender says nothing more.
    struct Half;

    impl Body for Half {
        type Data = &'static [u8];
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn half_a_body_is_waited_for_and_then_no_more() {
        let mut body = Box::pin(TimedBody::new(Half, Duration::from_millis(20)));
        let frame = poll_fn(|context| body.as_mut().poll_frame(context)).await;
        let error = frame.expect("an end").expect_err("which is no good one");
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        assert_eq!(kind, Some(io::ErrorKind::TimedOut));
    }
}
