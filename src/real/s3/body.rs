//! The bytes of a GET as they come from the connection.
//!
//! Frames are passed on as they are, without a copy. Nothing is read ahead: a body that is not polled leaves the bytes
//! in the socket, and TCP makes the sender wait. Dropping it unread closes its connection, which ends the transfer.

use std::future::poll_fn;
use std::pin::Pin;

use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use tokio::runtime::Handle;

use super::failure::chain;
use crate::env::store::{Body, ErrorKind, StoreError};

/// One answer's bytes. Delivers exactly as many as the answer's header promised, or fails.
#[derive(Debug)]
pub struct S3Body {
    /// `None` after the last frame or the first error.
    stream: Option<ByteStream>,
    left_bytes: u64,
    handle: Handle,
}

impl S3Body {
    pub(super) fn new(stream: ByteStream, len_bytes: u64, handle: Handle) -> Self {
        Self { stream: Some(stream), left_bytes: len_bytes, handle }
    }

    /// What the frame is worth, given what was promised.
    fn accept(&mut self, frame: Option<Result<Bytes, StoreError>>) -> Option<Result<Bytes, StoreError>> {
        let answer = match frame {
            Some(Ok(bytes)) => match self.left_bytes.checked_sub(bytes.len() as u64) {
                Some(left) => {
                    self.left_bytes = left;
                    return Some(Ok(bytes));
                }
                None => Err(StoreError::new(ErrorKind::InvalidAnswer, "the body is longer than its header said")),
            },
            Some(Err(error)) => Err(error),
            None if self.left_bytes == 0 => {
                self.stream = None;
                return None;
            }
            None => {
                Err(StoreError::new(ErrorKind::BrokenBody, format!("the body ended {} bytes early", self.left_bytes)))
            }
        };
        self.stream = None;
        Some(answer)
    }
}

impl Body for S3Body {
    async fn next(&mut self) -> Option<Result<Bytes, StoreError>> {
        loop {
            let stream = self.stream.as_mut()?;
            let handle = &self.handle;
            // As `InRuntime` does, but without an allocation a frame.
            let frame = poll_fn(|context| {
                let _entered = handle.enter();
                Pin::new(&mut *stream).poll_next(context)
            })
            .await;
            let frame = frame.map(|frame| frame.map_err(|error| StoreError::new(ErrorKind::BrokenBody, chain(&error))));
            match self.accept(frame) {
                // A frame of nothing says nothing: wait for the next one.
                Some(Ok(bytes)) if bytes.is_empty() => {}
                answer => return answer,
            }
        }
    }
}

impl Drop for S3Body {
    fn drop(&mut self) {
        // hyper may hand the rest of the connection's work to the runtime.
        let _entered = self.handle.enter();
        self.stream = None;
    }
}

#[cfg(test)]
mod tests {
    use super::S3Body;
    use crate::env::store::{Body as _, ErrorKind};
    use aws_smithy_types::byte_stream::ByteStream;

    fn read(promised_bytes: u64) -> (Vec<u8>, Option<ErrorKind>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut body = S3Body::new(ByteStream::from_static(b"four"), promised_bytes, runtime.handle().clone());
        let (mut read, mut failed) = (Vec::new(), None);
        runtime.block_on(async {
            while let Some(frame) = body.next().await {
                match frame {
                    Ok(bytes) => read.extend_from_slice(&bytes),
                    Err(error) => failed = Some(error.kind),
                }
            }
            assert!(body.next().await.is_none(), "nothing comes after the end");
        });
        (read, failed)
    }

    #[test]
    fn a_body_of_the_promised_length_ends_without_an_error() {
        assert_eq!(read(4), (b"four".to_vec(), None));
    }

    #[test]
    fn a_short_body_is_broken() {
        assert_eq!(read(5), (b"four".to_vec(), Some(ErrorKind::BrokenBody)));
    }

    #[test]
    fn a_long_body_is_not_what_was_promised() {
        assert_eq!(read(3), (Vec::new(), Some(ErrorKind::InvalidAnswer)));
    }
}
