#!/usr/bin/env python3
"""Writes vectors/pool_log.json from the written rules of docs/spec/8-shares-and-rewards.md, and from nothing else.

Logs of events as bytes, with the hash and every balance after each event, and frames of shares with their digests. Window,
distribution, transfers, network fee, postcard and hash chain are computed here a second time.
"""

import hashlib
import json
import sys

ONE = 1 << 60
POOL = b"\xee" * 32
LANES = ["sha256d", "randomx", "ethash"]


def tagged(tag, *parts):
    prefix = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(prefix + prefix + b"".join(parts)).digest()


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def many(items):
    return varint(len(items)) + b"".join(items)


def fields(*values):
    """Numbers as varints, bytes as they are."""
    return b"".join(value if isinstance(value, bytes) else varint(value) for value in values)


def key(miner):
    return bytes([miner]) * 32


def share_bytes(share):
    miner, difficulty, network, height = share
    return (b"\x01\x00" + key(miner) + difficulty.to_bytes(8, "little") + network.to_bytes(16, "little")
            + height.to_bytes(4, "little") + (0).to_bytes(8, "little") + b"\x00" + b"\x02r1")


def frame_digest(shares):
    level = [tagged("BQIP0002/share", share_bytes(share)) for share in shares]
    while len(level) > 1:
        pairs = [level[i:i + 2] for i in range(0, len(level), 2)]
        level = [tagged("BQIP0002/frame-node", *pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return tagged("BQIP0002/frame", len(shares).to_bytes(8, "little"), level[0])


def window(shares, units):
    """8.2: parts by miner, and what no share fills."""
    need, parts = units * ONE, {}
    for position, (miner, difficulty, network, _) in enumerate(reversed(shares)):
        weight = min(ONE, difficulty * ONE // network)
        taken = min(need, weight // 2 if position == 0 else weight)
        need -= taken
        parts[miner] = parts.get(miner, 0) + taken
        if need == 0:
            break
    return parts, need


class Log:
    def __init__(self, name, units, bp):
        self.name, self.units, self.bp = name, units, bp
        self.hash, self.number, self.events = bytes(32), 0, []
        self.balances, self.shares, self.framed, self.accounts = {}, [], 0, {}
        self.blocks, self.coins, self.tip, self.payouts = {}, {}, (b"\x00" * 32, 0), 0
        lane = fields(0, bytes([units]), bp)
        self.tell(fields(0, 3, self.tip[0], POOL, 10, 200))
        self.tell(fields(2, lane * 3, 100_000_000, 3, 4, 2, 10_000, 1000, 6, 50_000))
        self.tell(fields(6, 1, self.tip[0], 0, 0, 0, 0))

    def move(self, amount, plus=(), minus=()):
        for accounts, sign in ((plus, 1), (minus, -1)):
            for account in accounts:
                self.balances[account] = self.balances.get(account, 0) + sign * amount
                assert self.balances[account] >= 0, account

    def tell(self, body):
        data = b"\x01" + body
        self.hash, self.number = tagged("BQIP0002/pool-log", self.hash, data), self.number + 1
        held = {account: amount for account, amount in sorted(self.balances.items()) if amount}
        self.events.append({"event": data.hex(), "hash": self.hash.hex(), "balances": held})

    def share(self, miner, difficulty, network=1000):
        self.shares.append((miner, difficulty, network, 1))

    def frame(self):
        new = self.shares[self.framed:]
        for miner in [share[0] for share in new]:
            if miner not in self.accounts:
                self.accounts[miner] = len(self.accounts) + 1
                self.tell(fields(3, self.accounts[miner], key(miner)))
        self.tell(fields(4, 0, 1, self.framed + 1, len(new), frame_digest(new)))
        self.framed = len(self.shares)

    def block(self, byte, reward):
        """The newest share is a block on the tip: told, then joined."""
        self.frame()
        block, coinbase, height = bytes([byte]) * 32, bytes([byte + 1]) * 32, self.tip[1] + 1
        outputs = many([fields(0, reward)])
        self.tell(fields(5, block, height, 0, coinbase, outputs, 0, 0, self.framed, 7))
        self.blocks[block] = {"height": height, "reward": reward, "coin": (coinbase, 0), "mature": False}
        self.way(1, joined=[block], tip=block)

    def credit(self, block):
        """T10."""
        parts, seed = window(self.shares, self.units)
        reward, name = self.blocks[block]["reward"], f"carry_pending:{block.hex()}"
        carry_in = self.balances.get("carry:sha256d", 0)
        fee = reward * self.bp // 10_000
        net = reward - fee + carry_in
        credits = {self.accounts[miner]: net * part // (self.units * ONE) for miner, part in parts.items()}
        of_seed = net * seed // (self.units * ONE)
        self.move(reward, plus=["chain_immature:sha256d"])
        self.move(carry_in, minus=["carry:sha256d"])
        for account, amount in credits.items():
            self.move(amount, plus=[f"miner_immature:{account}"])
        self.move(of_seed, plus=["seed:sha256d"])
        self.move(fee, plus=["fee_income:sha256d"])
        carry = net - of_seed - sum(credits.values())
        self.move(carry, plus=[name])
        self.blocks[block].update(credits=credits, carry=carry, name=name)

    def mature(self, height):
        """T11."""
        for block in self.blocks.values():
            if "credits" in block and not block["mature"] and height - block["height"] + 1 >= 10:
                block["mature"] = True
                for account, amount in block["credits"].items():
                    self.move(amount, [f"miner_payable:{account}"], [f"miner_immature:{account}"])
                self.move(block["carry"], ["carry:sha256d"], [block["name"]])
                self.move(block["reward"], ["chain_spendable"], ["chain_immature:sha256d"])
                self.coins[block["coin"]] = block["reward"]

    def way(self, blocks, joined=(), tip=None, received=(), spent=()):
        """`blocks` further blocks; what arrives or is spent lies in the first of them."""
        fork, first = self.tip, self.tip[1] + 1
        self.tip = (tip or bytes([0x80 + self.number]) * 32, fork[1] + blocks)
        for height in range(first, self.tip[1] + 1):
            self.mature(height)
            for block in [block for block in joined if self.blocks[block]["height"] == height]:
                self.credit(block)
            self.bury(height, first, received, spent)
        come = [fields(txid, index, amount, first, 0) for txid, index, amount in received]
        gone = [fields(txid, index, by, first, 0) for txid, index, by in spent]
        self.tell(fields(6, 0, *fork, *self.tip, many(list(joined)), many(come), many(gone)))

    def bury(self, height, first, received, spent):
        for txid, index, by in spent if height == first else ():
            if self.open["txid"] == by:
                self.open["confirmed"] = height
        for txid, index, amount in received if height == first else ():
            if not self.payouts or txid != self.open["txid"]:
                self.gift = (height, amount)
        if self.payouts and self.open.get("confirmed") and not self.open.get("final") \
                and height - self.open["confirmed"] + 1 >= 6:
            self.open["final"] = True
            for account, gross in self.open["gross"].items():
                self.move(gross, minus=[f"miner_in_flight:{account}", "chain_in_flight"])
            self.move(self.open["change"], ["chain_spendable"], ["chain_in_flight"])
        gift = getattr(self, "gift", None)
        if gift and height - gift[0] + 1 >= 10:
            self.move(gift[1], plus=["chain_spendable", "gift_income"])
            self.gift = None

    def pay(self):
        """8.5: everybody who is due, out of the fewest coins; then signed, confirmed and buried."""
        gross = {account: self.balances.get(f"miner_payable:{account}", 0) for account in self.accounts.values()}
        gross = {account: amount for account, amount in sorted(gross.items()) if amount >= 100_000_000}
        keys = {account: key(miner) for miner, account in self.accounts.items()}
        inputs, worth = [], 0
        for coin in sorted(self.coins, key=lambda coin: (-self.coins[coin], coin)):
            if worth < sum(gross.values()):
                inputs.append(coin)
                worth += self.coins[coin]
        change = worth - sum(gross.values())
        count = len(gross) + (change > 0)
        base = 8 + 1 + 36 * len(inputs) + 1 + 40 * count
        fee = -(-(4 * base + 384 * len(inputs)) * 1000 // 1000)
        each, odd = divmod(fee, len(gross))
        fees = {account: each + (position < odd) for position, account in enumerate(gross)}
        outputs = [(amount - fees[account], keys[account]) for account, amount in gross.items()]
        outputs += [(change, POOL)] if change else []
        data = (1).to_bytes(4, "little") + bytes([len(inputs)])
        data += b"".join(txid + index.to_bytes(4, "little") for txid, index in inputs)
        data += bytes([len(outputs)]) + b"".join(amount.to_bytes(8, "little") + to for amount, to in outputs)
        txid = tagged("BQIP0002/tx", data + bytes(4))
        payees = [fields(account, amount, fees[account], amount - fees[account]) for account, amount in gross.items()]
        spends = [fields(*coin, self.coins[coin]) for coin in inputs]
        for account, amount in gross.items():
            self.move(amount, [f"miner_in_flight:{account}"], [f"miner_payable:{account}"])
        self.move(worth, ["chain_in_flight"], ["chain_spendable"])
        self.payouts += 1
        self.open = {"txid": txid, "gross": gross, "change": change}
        self.tell(fields(7, 0, self.payouts, 0, many(payees), fee, many(spends), change, fee, txid, 1_000_000))
        self.tell(fields(7, 1, self.payouts, b"\x5a" * 32))
        come = [(txid, len(gross), change)] if change else []
        self.way(1, received=come, spent=[(*coin, txid) for coin in inputs])
        self.way(4)
        self.way(1)

    def case(self):
        return {"name": self.name, "shares": [share_bytes(share).hex() for share in self.shares], "events": self.events}


def edge(name, units, bp, shares, expected):
    """A window and what it pays: worked by hand."""
    log = Log(name, units, bp)
    for share in shares:
        log.share(*share)
    log.block(0x11, 5_000_000_000)
    for account, amount in expected.items():
        assert log.balances[account] == amount, (account, log.balances[account])
    return log.case()


def life():
    log = Log("a block, its residue, a payout, a gift", 2, 100)
    for miner, difficulty in ((1, 500), (2, 250), (2, 100)):
        log.share(miner, difficulty)
    log.block(0x11, 5_000_000_000)
    log.share(1, 1000)
    log.share(3, 777)
    log.block(0x21, 1_000_000_007)
    log.way(9)
    log.share(2, 333)
    log.block(0x31, 1_000_000_000)
    log.pay()
    log.way(1, received=[(b"\x61" * 32, 1, 70_000)])
    log.way(8)
    log.way(1)
    return log.case()


def main():
    miners = {"A": 1, "B": 2, "C": 3}
    named = lambda *shares: [(miners[name], *rest) for name, *rest in shares]
    immature = lambda a, b, **rest: {"miner_immature:1": a, "miner_immature:2": b, **rest}
    logs = [
        edge("the edge of a window", 1, 200, named(("A", 600), ("B", 500), ("A", 300), ("C", 100)),
             immature(2_205_000_000, 2_450_000_000, **{"miner_immature:3": 244_999_999})),
        edge("a young pool", 2, 100, named(("A", 500), ("B", 250), ("B", 100)),
             immature(1_237_500_000, 742_499_999, **{"seed:sha256d": 2_970_000_000})),
        edge("the difficulty moves inside the window", 1, 0,
             named(*[("A", 250)] * 4, *[("B", 250, 2000)] * 4), immature(2_812_500_000, 2_187_500_000)),
        life(),
    ]
    frames = []
    for count in (1, 2, 3, 5, 8, 13, 255, 256):
        shares = [(number % 7 + 1, 1 + number * 1_000_003, 10**6 + number, number) for number in range(count)]
        frames.append({"shares": [share_bytes(share).hex() for share in shares], "digest": frame_digest(shares).hex()})
    about = "Logs and frames of a pool: made by scripts/pool-vectors.py from docs/spec/8-shares-and-rewards.md"
    with open(sys.argv[1] if len(sys.argv) > 1 else "vectors/pool_log.json", "w") as file:
        json.dump({"about": about, "pool_frames": frames, "pool_logs": logs}, file, separators=(",", ":"))
        file.write("\n")


main()
