use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Version of the encoding, its first byte.
const VERSION: u8 = 1;

/// Bytes that are no document of the kind asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// There are none.
    #[error("a file of no bytes")]
    Empty,
    /// A newer software wrote them.
    #[error("version {0} is not known, this software knows {VERSION}")]
    Version(u8),
    /// They cannot be read: cut short, or never such a file.
    #[error("it cannot be read: {0}")]
    Content(String),
    /// They can be read, and are not what a writer makes of it.
    #[error("it is not in its canonical encoding")]
    NotCanonical,
}

/// What is kept in a file or sent: one content, one byte string (SPEC 8.10.8).
pub trait Document: Serialize + de::DeserializeOwned {
    /// A version byte, then postcard.
    ///
    /// # Errors
    /// None in practice: every document can be written.
    fn to_bytes(&self) -> Result<Vec<u8>, DocumentError> {
        postcard::to_extend(self, vec![VERSION]).map_err(|error| DocumentError::Content(error.to_string()))
    }

    /// Reads a document. What is allocated meanwhile grows with the bytes that were read, never with what they say of those to come:
    /// at most some fifty times as much, for one byte may stand for an empty item of a list. Whoever reads strangers' files bounds
    /// their size first.
    ///
    /// # Errors
    /// [`DocumentError`].
    fn from_bytes(bytes: &[u8]) -> Result<Self, DocumentError> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => {
                let content =
                    postcard::from_bytes::<Self>(rest).map_err(|error| DocumentError::Content(error.to_string()))?;
                if content.to_bytes()? == bytes { Ok(content) } else { Err(DocumentError::NotCanonical) }
            }
            Some((version, _)) => Err(DocumentError::Version(*version)),
            None => Err(DocumentError::Empty),
        }
    }
}

/// A byte string inside a document: kept as it was written, since what binds it is a hash of these very bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(BytesVisitor)
    }
}

struct BytesVisitor;

impl de::Visitor<'_> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes(bytes.to_vec()))
    }
}

/// Reads a list without believing the count before it: serde would set aside up to a mebibyte for each, and lists lie in lists.
pub(crate) fn grown<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(GrownVisitor(std::marker::PhantomData))
}

struct GrownVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> de::Visitor<'de> for GrownVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}
