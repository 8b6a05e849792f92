use bq_primitives::{BlockId, Network, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Witness};
use serde::{Deserialize, Serialize};

use crate::{Request, RequestError};

/// A request and who signed it, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRequest {
    /// The request's lines.
    pub request: String,
    /// The public key, hex.
    pub public_key: String,
    /// The signature, hex.
    pub signature: String,
}

impl SignedRequest {
    /// Reads the request and makes sure that the key of its address signed it, on this chain.
    ///
    /// # Errors
    /// [`RequestError`]; the signature is looked at last.
    pub fn verified(&self, network: Network, genesis: BlockId) -> Result<Request, RequestError> {
        let (request, proof) = self.unverified(network, genesis)?;
        request.check_signature(&proof.public_key, &proof.signature)?;
        Ok(request)
    }

    /// Reads the request and the proof, which is by the key of its address if it is by any: all that costs nothing. [`Request::check_signature`] is left.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn unverified(&self, network: Network, genesis: BlockId) -> Result<(Request, Witness), RequestError> {
        let request = Request::read(&self.request)?;
        request.check_chain(network, genesis)?;
        let proof = self.proof()?;
        request.check_key(&proof.public_key)?;
        Ok((request, proof))
    }

    /// Public key and signature in bytes.
    ///
    /// # Errors
    /// [`RequestError::Text`]: one of them is not the hex of as many bytes.
    pub fn proof(&self) -> Result<Witness, RequestError> {
        let (mut public_key, mut signature) = (Box::new([0; PUBLIC_KEY_BYTES]), Box::new([0; SIGNATURE_BYTES]));
        hex::decode_to_slice(&self.public_key, public_key.as_mut_slice())
            .map_err(|_| RequestError::Text("public_key is 1,952 bytes of hex"))?;
        hex::decode_to_slice(&self.signature, signature.as_mut_slice())
            .map_err(|_| RequestError::Text("signature is 3,309 bytes of hex"))?;
        Ok(Witness { public_key, signature })
    }
}
