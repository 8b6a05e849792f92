use bq_primitives::{Block, BlockId, Height, NetworkDifficulty};

use super::{Answer, json};
use crate::{
    BlockHeaderShape, BlockShape, BlockchainInfo, DifficultyShape, RpcServices,
    args::Args,
    fault::{Code, Fault},
    shapes::{bits_by_name, by_name},
};

pub(super) fn get_blockchain_info(services: &RpcServices, _: &mut Args) -> Answer {
    let (node, tip) = (&services.node, services.node.tip());
    let headers = services.sync.as_ref().map_or(tip.height, |sync| sync.best_header().height);
    json(BlockchainInfo {
        chain: node.network().name().to_owned(),
        genesishash: node.genesis_id().to_string(),
        blocks: tip.height.0,
        headers: headers.0,
        bestblockhash: tip.id.to_string(),
        time: tip.time.0,
        chainwork: tip.chain_work.to_string(),
        coinbasematurity: node.coinbase_maturity(),
        nextbits: bits_by_name(&tip.next_bits),
    })
}

pub(super) fn get_block_count(services: &RpcServices, _: &mut Args) -> Answer {
    json(services.node.tip().height.0)
}

pub(super) fn get_best_block_hash(services: &RpcServices, _: &mut Args) -> Answer {
    json(services.node.tip().id.to_string())
}

pub(super) fn get_block_hash(services: &RpcServices, args: &mut Args) -> Answer {
    let height = Height(args.value("height")?);
    let id = services.node.block_id_at(height)?;
    // Bitcoin answers -8 here, as the height is the parameter that is out of range.
    let id = id.ok_or_else(|| Fault::parameter("height", format!("{height} is above the tip")))?;
    json(id.to_string())
}

pub(super) fn get_block_header(services: &RpcServices, args: &mut Args) -> Answer {
    let id: BlockId = args.hash("blockhash")?;
    let summary = services.node.block_summary(&id)?.ok_or_else(|| no_block(&id))?;
    json(BlockHeaderShape::from(&summary))
}

pub(super) fn get_block(services: &RpcServices, args: &mut Args) -> Answer {
    let id: BlockId = args.hash("blockhash")?;
    let verbosity = args.optional::<u32>("verbosity")?.unwrap_or(1);
    let block = services.node.block(&id)?.ok_or_else(|| no_block(&id))?;
    if verbosity == 0 {
        return json(hex::encode(block.to_bytes()));
    }
    if verbosity > 2 {
        return Err(Fault::parameter("verbosity", "0, 1 or 2"));
    }
    let summary = services.node.block_summary(&id)?.ok_or_else(|| no_block(&id))?;
    json(BlockShape::new(services.node.network(), &block, &summary, verbosity == 2))
}

pub(super) fn get_difficulty(services: &RpcServices, args: &mut Args) -> Answer {
    if args.optional("verbose")?.unwrap_or(false) {
        return json(services.node.difficulty()?);
    }
    json(difficulty(services))
}

/// Expected hashes for the next block.
pub(super) fn difficulty(services: &RpcServices) -> DifficultyShape {
    let bits = services.node.tip().next_bits;
    // Bits that the node computed always decode.
    let known = bits.iter().filter_map(|(algorithm, bits)| Some((*algorithm, bits.decode().ok()?)));
    by_name(known.map(|(algorithm, target)| (algorithm, NetworkDifficulty::of_target(target).to_string())))
}

pub(super) fn submit_block(services: &RpcServices, args: &mut Args) -> Answer {
    let bytes = args.hex("hexdata", Block::ENCODED_BYTES_MAX)?;
    let block = Block::from_bytes(&bytes).map_err(|error| Fault::new(Code::Deserialization, error.to_string()))?;
    json(services.node.submit_block(block)?.to_string())
}

fn no_block(id: &BlockId) -> Fault {
    Fault::not_found(format!("block {id} is not known"))
}
