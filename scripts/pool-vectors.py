#!/usr/bin/env python3
"""Writes vectors/pool_log.json and pool_proofs.json from the written rules of docs/spec/8-shares-and-rewards.md, and from nothing else.

Logs of events as bytes, with the hash and every balance after each event, and frames of shares with their digests. Window,
distribution, transfers, network fee, postcard and hash chain are computed here a second time. Proofs (8.10): of shares, of
liabilities, statements, and exports of accounts, good ones and bad ones with the place that is wrong.
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
    """8.6.5: one that its lane's window does not pay says behind it what does."""
    miner, difficulty, network, height, *pay = share
    return (bytes([2 if pay else 1]) + b"".join(map(pay_bytes, pay)) + b"\x00" + key(miner) + difficulty.to_bytes(8, "little") + network.to_bytes(16, "little")
            + height.to_bytes(4, "little") + (0).to_bytes(8, "little") + b"\x00" + b"\x02r1")


def pay_bytes(pay):
    name, *price = pay
    words = [value.to_bytes(8, "little") for value in price[:-1]] + [fee.to_bytes(2, "little") for fee in price[-1:]]
    return bytes([["pps", "fpps", "solo", "tides"].index(name) + 1]) + b"".join(words)


def frame_digest(shares):
    level = [tagged("BQIP0002/share", share_bytes(share)) for share in shares]
    while len(level) > 1:
        pairs = [level[i:i + 2] for i in range(0, len(level), 2)]
        level = [tagged("BQIP0002/frame-node", *pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return tagged("BQIP0002/frame", len(shares).to_bytes(8, "little"), level[0])


def weight_of(share):
    return min(ONE, share[1] * ONE // share[2])


def window(shares, length, worth=weight_of, halves=True, pay=()):
    """8.2: parts by miner, and what no share fills, in the unit of `length`; of shares that are paid so."""
    need, parts = length, {}
    for position, share in enumerate(reversed(shares)):
        miner, paid = share[0], share[4:]
        if tuple(name for name, *_ in paid) != pay:
            continue
        taken = min(need, worth(share) // 2 if position == 0 and halves else worth(share))
        need -= taken
        parts[miner] = parts.get(miner, 0) + taken
        if need == 0:
            break
    return parts, need


class Log:
    def __init__(self, name, units, bp, direct=()):
        self.name, self.units, self.bp, self.direct, self.carried = name, units, bp, direct, {}
        self.hash, self.number, self.events = bytes(32), 0, []
        self.balances, self.shares, self.framed, self.accounts = {}, [], 0, {}
        self.blocks, self.coins, self.tip, self.payouts = {}, {}, (b"\x00" * 32, 0), 0
        lane = fields(1, bytes([units]), *direct, bp) if direct else fields(0, bytes([units]), bp)
        self.tell(fields(0, 3, self.tip[0], POOL, 10, 200))
        self.tell(fields(2, lane * 3, 100_000_000, 3, 4, 2, 10_000, 1000, 6, 50_000))
        self.tell(fields(6, 1, self.tip[0], 0, 0, 0, 0))

    def move(self, amount, plus=(), minus=()):
        for accounts, sign in ((plus, 1), (minus, -1)):
            for account in accounts:
                self.balances[account] = self.balances.get(account, 0) + sign * amount
                assert self.balances[account] >= 0, account

    def tell(self, body, **more):
        data = b"\x01" + body
        self.hash, self.number = tagged("BQIP0002/pool-log", self.hash, data), self.number + 1
        held = {account: amount for account, amount in sorted(self.balances.items()) if amount}
        self.events.append({"event": data.hex(), "hash": self.hash.hex(), "balances": held, **more})

    def share(self, miner, difficulty, network=1000, pay=None):
        self.shares.append((miner, difficulty, network, 1) + ((pay,) if pay else ()))

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
        length, bp = self.units * ONE, self.bp
        parts, seed = window(self.shares, length)
        self.split(block, parts, seed, length, bp)

    def split(self, block, parts, seed, length, bp):
        """8.3."""
        reward, name = self.blocks[block]["reward"], f"carry_pending:{block.hex()}"
        carry_in = self.balances.get("carry:sha256d", 0)
        fee = reward * bp // 10_000
        net = reward - fee + carry_in
        credits = {self.accounts[miner]: net * part // length for miner, part in parts.items()}
        of_seed = net * seed // length
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


class Schemes(Log):
    """8.9: PPS, FPPS, solo and TIDES beside the window."""

    PPS, FPPS, SOLO, TIDES, LENGTH, SUBSIDY = 9_000, 8_500, 75, 200, 3, 5_000_000_000

    def __init__(self, name):
        super().__init__(name, 2, 5_000)
        self.accruals, self.settled, self.terms_of_fees = {}, 1, {}
        self.tell(fields(10, 0, 1, self.PPS, 1, self.FPPS, 1, self.SOLO, 1, bytes([self.LENGTH]), self.TIDES, 50, 100))

    def template(self, height, fees):
        self.terms_of_fees[height] = min(fees, self.SUBSIDY // 10)
        self.tell(fields(11, 0, height, fees, self.SUBSIDY))

    def price(self, name, height):
        if name == "pps":
            return (name, self.SUBSIDY, self.PPS)
        terms = [term for at, term in self.terms_of_fees.items() if height - 144 <= at < height]
        return (name, self.SUBSIDY, sum(terms) // len(terms) if terms else 0, self.FPPS)

    def credit(self, block):
        own, reward = self.shares[-1], self.blocks[block]["reward"]
        pay = own[4] if len(own) > 4 else ("window",)
        if pay[0] == "window":
            super().credit(block)
        elif pay[0] == "solo":
            fee, account = reward * self.SOLO // 10_000, self.accounts[own[0]]
            self.move(reward, ["chain_immature:sha256d"])
            self.move(fee, ["fee_income:sha256d"])
            self.move(reward - fee, [f"miner_immature:{account}"])
            self.blocks[block].update(credits={account: reward - fee}, carry=0, name="none")
        elif pay[0] == "tides":
            length = self.LENGTH * own[2]
            parts, seed = window(self.shares, length, lambda share: share[1], True, ("tides",))
            self.split(block, parts, seed, length, self.TIDES)
        else:
            most = self.SUBSIDY + (self.SUBSIDY // 10 if pay[0] == "fpps" else 0)
            self.move(reward, ["chain_immature:sha256d"])
            self.move(min(reward, most), ["pps_immature"])
            self.move(reward - min(reward, most), ["fee_income:sha256d"])
            self.blocks[block].update(credits={}, carry=0, name="none", income=min(reward, most))

    def mature(self, height):
        ready = [block for block in self.blocks.values() if not block["mature"] and height - block["height"] + 1 >= 10]
        super().mature(height)
        for block in ready:
            self.move(block.get("income", 0), ["pps_reserve"], ["pps_immature"])

    def fund(self, amount):
        self.move(amount, ["pps_reserve"], ["fee_income:sha256d"])
        self.tell(fields(8, 12, amount, many([b"a"]), many([b"b"]), 7))

    def begin(self):
        self.tell(fields(11, 1))

    def settle(self):
        """T20 of every share that is paid for itself and was not settled."""
        for share in self.shares[self.settled - 1:self.framed]:
            if len(share) > 4 and share[4][0] in ("pps", "fpps"):
                _, *block, bp = share[4]
                value = weight_of(share) * (sum(block) - sum(block) * bp // 10_000)
                self.accruals[share[0]] = self.accruals.get(share[0], 0) + value
        self.settled = self.framed + 1
        for account, miner in sorted((self.accounts[miner], miner) for miner in self.accruals):
            credit = min(self.accruals[miner] // ONE, self.balances.get("pps_reserve", 0))
            self.accruals[miner] -= credit * ONE
            self.move(credit, [f"miner_payable:{account}"], ["pps_reserve"])
        self.tell(fields(11, 3, 0, self.settled))


def schemes():
    log = Schemes("shares and blocks that every scheme pays")
    log.template(1, 0)
    for byte in (0x11, 0x21, 0x91):
        log.share(1, 700)
        log.share(2, 300)
        log.block(byte, 5_000_000_000)
    log.way(10)
    log.fund(7_500_000_000)
    log.template(12, 123_456_789)
    log.template(13, 4_000_000_000)
    log.begin()
    for miner, name, difficulty in ((3, "pps", 333), (4, "fpps", 77), (3, "pps", 1), (5, "tides", 450), (1, None, 250), (4, "fpps", 999)):
        log.share(miner, difficulty, 1009, log.price(name, 14) if name in ("pps", "fpps") else (name,) if name else None)
    log.frame()
    log.settle()
    log.share(6, 7, 1009, ("solo",))
    log.block(0x31, 5_100_000_001)
    log.share(3, 13, 1009, log.price("pps", 14))
    log.block(0x41, 5_900_000_000)
    log.share(4, 17, 1009, log.price("fpps", 14))
    log.block(0x51, 5_900_000_000)
    log.settle()
    log.share(5, 800, 2003, ("tides",))
    log.share(7, 600, 2003, ("tides",))
    log.block(0x61, 5_000_000_019)
    log.share(1, 500, 2003)
    log.block(0x71, 5_000_000_019)
    log.way(12)
    log.settled == log.framed + 1 or log.settle()
    return log.case()


class Direct(Log):
    """8.8: coinbases that pay their window. The plan is made where the log stands, and the block is found on it."""

    def plan(self, reward):
        """8.8.3: outputs to accounts in their order, and what is the pool's own."""
        least, most = self.direct
        length = self.units * ONE
        parts, _ = window(self.shares[:self.framed], length, halves=False)
        net = reward - reward * self.bp // 10_000 + self.balances.get("carry:sha256d", 0)
        sums = {self.accounts[miner]: net * part // length for miner, part in parts.items()}
        balances = {account: self.balances.get(f"miner_carried:{account}", 0) for account in self.accounts.values()}
        for account, balance in balances.items():
            sums[account] = sums.get(account, 0) + balance
        waiting = sorted((since, account) for account, since in self.carried.items() if balances[account] >= least)
        turn = [account for _, account in waiting]
        turn += [account for _, account in sorted((-sums[account], account) for account in sums if account not in turn)]
        paid, left = [], reward
        for account in turn:
            part = min(sums[account], left)
            if sums[account] >= least and part >= least and len(paid) < most:
                paid.append((account, part))
                left -= part
        return sorted(paid, key=lambda output: (-output[1], output[0])), left

    def direct_block(self, byte, reward):
        """A block on the tip whose coinbase pays as planned; its own share counts in later ones."""
        paid, own = self.plan(reward)
        newest, miner_sum = self.framed, sum(amount for _, amount in paid)
        self.share(1, 100)
        self.frame()
        block, coinbase, height = bytes([byte]) * 32, bytes([byte + 1]) * 32, self.tip[1] + 1
        mine = many([fields(len(paid), own)]) if own else many([])
        outputs = many([fields(index, account, amount) for index, (account, amount) in enumerate(paid)])
        at = lambda share: fields(1, 0, share) if share else fields(0)
        told = fields(5, block, height, 0, coinbase, mine, 4, at(self.framed), at(newest), miner_sum, outputs, 7)
        plan = {"lane": "sha256d", "newest": newest, "reward": reward, "outputs": paid, "own": own}
        self.tell(told, coinbase=plan)
        self.blocks[block] = {"height": height, "reward": reward, "coin": (coinbase, len(paid)), "mature": False,
                              "newest": newest, "paid": paid, "own": own}
        self.way(1, joined=[block], tip=block)

    def credit(self, block):
        """T10 of the window that its coinbase pays, then T15."""
        of, length = self.blocks[block], self.units * ONE
        parts, seed = window(self.shares[:of["newest"]], length, halves=False)
        self.split(block, parts, seed, length, self.bp)
        left = dict(of["credits"])
        for account, amount in of["paid"]:
            credit = min(left.get(account, 0), amount)
            left[account] = left.get(account, 0) - credit
            self.move(credit, minus=[f"miner_immature:{account}", "chain_immature:sha256d"])
            self.move(amount - credit, minus=[f"miner_carried:{account}", "chain_immature:sha256d"])
        of["credits"] = left

    def mature(self, height):
        """T11: what the coinbase did not pay is carried."""
        for block in self.blocks.values():
            if "credits" in block and not block["mature"] and height - block["height"] + 1 >= 10:
                block["mature"] = True
                for account, amount in block["credits"].items():
                    self.move(amount, [f"miner_carried:{account}"], [f"miner_immature:{account}"])
                self.move(block["carry"], ["carry:sha256d"], [block["name"]])
                self.move(block["own"], ["chain_spendable"], ["chain_immature:sha256d"])

    def tell(self, body, **more):
        super().tell(body, **more)
        for account in self.accounts.values():
            is_enough = self.balances.get(f"miner_carried:{account}", 0) >= self.direct[0]
            if not is_enough:
                self.carried.pop(account, None)
            elif account not in self.carried:
                self.carried[account] = self.number


def direct():
    log = Direct("blocks whose coinbases pay their window", 2, 150, (400_000_000, 2))
    for miner, difficulty in ((1, 800), (2, 500), (3, 450), (4, 40), (5, 100)):
        log.share(miner, difficulty)
    log.frame()
    log.direct_block(0x11, 5_000_000_000)
    log.way(9)
    log.direct_block(0x21, 5_000_000_003)
    log.way(9)
    log.share(2, 1000)
    log.frame()
    log.direct_block(0x31, 1_000_000_007)
    log.direct_block(0x41, 5_000_000_000)
    log.way(11)
    return log.case()


def path_of(level, index, node):
    """What stands beside the way from a leaf to the top, and the top."""
    path = []
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        pairs = [level[i:i + 2] for i in range(0, len(level), 2)]
        level, index = [node(*pair) if len(pair) == 2 else pair[0] for pair in pairs], index // 2
    return path, level[0]


def share_proof(shares, index):
    leaves = [tagged("BQIP0002/share", share_bytes(share)) for share in shares]
    path, _ = path_of(leaves, index, lambda left, right: tagged("BQIP0002/frame-node", left, right))
    return share_bytes(shares[index]), index, len(shares), path


def share_proofs():
    for count in (1, 2, 3, 5, 6, 13, 255, 256):
        shares = [(number % 7 + 1, 1 + number * 1_000_003, 10**6 + number, number) for number in range(count)]
        digest = frame_digest(shares).hex()
        for index in sorted({0, count // 3, count // 2, count - 1}):
            share, _, _, path = share_proof(shares, index)
            yield {"share": share.hex(), "index": index, "count": count, "path": [one.hex() for one in path], "digest": digest}


def sum_leaf(name, balance, salt):
    return hashlib.sha256(b"\0" + name + balance.to_bytes(8, "big") + salt).digest(), balance


def sum_node(left, right):
    text = b"\1" + b"".join(digest + total.to_bytes(8, "big") for digest, total in (left, right))
    return hashlib.sha256(text).digest(), left[1] + right[1]


def padded(leaves):
    size = 1
    while size < len(leaves):
        size *= 2
    return leaves + [(bytes(32), 0)] * (size - len(leaves))


def sum_tree(secret, epoch, balances):
    """8.10.6."""
    derive = lambda name, key: tagged("BQIP0002/liability-" + name, secret, epoch.to_bytes(8, "little"), key)
    accounts = sorted(balances, key=lambda key: derive("order", key))
    salts = {key: derive("salt", key)[:16] for key in accounts}
    name = lambda key: tagged("BQIP0002/liability-name", salts[key], epoch.to_bytes(8, "little"), key)
    leaves = padded([sum_leaf(name(key), balances[key], salts[key]) for key in accounts])
    proofs = []
    for index, account in enumerate(accounts):
        path, root = path_of(leaves, index, sum_node)
        path = [{"hash": digest.hex(), "sum": total} for digest, total in path]
        proofs.append({"account": account.hex(), "balance": balances[account], "salt": salts[account].hex(), "index": index,
                       "path": path})
    root = path_of(leaves, 0, sum_node)[1]
    case = {"secret": secret.hex(), "epoch": epoch, "root": root[0].hex(), "sum": root[1], "depth": len(leaves).bit_length() - 1,
            "proofs": proofs}
    genesis, number, head = bytes([0x99]) * 32, 40 + epoch, bytes([epoch % 251]) * 32
    case["statement"] = {"genesis": genesis.hex(), "pool": POOL.hex(), "number": number, "hash": head.hex(), "signed": tagged(
        "BQIP0002/pool-statement", genesis, POOL, epoch.to_bytes(8, "little"), bytes([case["depth"]]), root[0],
        root[1].to_bytes(8, "little"), number.to_bytes(8, "little"), head).hex()}
    return case


def sum_trees():
    leaves = [sum_leaf(name, balance, bytes(16)) for name, balance in
              ((b"A", 2_475_000_000), (b"B", 1_484_999_999), (b"C", 990_000_000))]
    example = "f02dab6d93aafd009f33af8e9d05d8ac8455d563336b380bff83b356abbee187", 4_949_999_999
    root = path_of(padded(leaves), 0, sum_node)[1]
    assert (root[0].hex(), root[1]) == example
    for epoch, count in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (2**40, 33)):
        yield sum_tree(b"\x42" * 32, epoch, {key(miner): miner * 1_000_003 % 5_000_000_000 for miner in range(1, count + 1)})


def block(height, number, digest, others, to=POOL, tag=b"/bq/"):
    """Header and seal, coinbase, and the path from one to the other."""
    data = tag + number.to_bytes(8, "little") + digest + b"\x5e" * 16
    base = lambda inputs, outputs: ((1).to_bytes(4, "little") + b"\x01" + inputs + b"\x01" + outputs[0].to_bytes(8, "little")
                                    + outputs[1] + bytes(4))
    coinbase = base(bytes(32) + height.to_bytes(4, "little"), (5_000_000_000, to)) + bytes([len(data)]) + data
    rest = [base(b"\x07" * 32 + index.to_bytes(4, "little"), (1, key(9))) for index in range(others)]
    leaves = [tagged("BQIP0002/leaf", tagged("BQIP0002/tx", one)) for one in [coinbase] + rest]
    path, root = path_of(leaves, 0, lambda left, right: tagged("BQIP0002/node", left, right))
    header = ((1).to_bytes(4, "little") + bytes([height]) * 32 + root + bytes(32) + (1_700_000_000 + height).to_bytes(8, "little")
              + height.to_bytes(4, "little") + (0x207FFFFF).to_bytes(4, "little") + bytes([height % 3]) + bytes(3))
    seal = bytes([height]) * (28, 20, 56)[height % 3]
    return {"sealed": header + seal, "coinbase": coinbase, "path": path, "id": tagged("BQIP0002/block", header, seal)}


def export_bytes(export):
    """8.10.8."""
    text = lambda data: varint(len(data)) + data
    share = lambda proof: text(proof[0]) + varint(proof[1]) + varint(proof[2]) + many(proof[3])
    frame = lambda one: varint(one["event"]) + many([share(proof) for proof in one["shares"]])
    run = lambda one: (varint(one["first"]) + one["before"] + many([text(event) for event in one["events"]])
                       + text(one["block"]["sealed"]) + text(one["block"]["coinbase"]) + many(one["block"]["path"])
                       + many([frame(frame_) for frame_ in one["frames"]]))
    terms = b"\0" if export["terms"] is None else b"\1" + export["terms"]
    return (b"\x01\x03" + export["genesis"] + export["key"] + text(export["tag"]) + export["account"] + terms
            + many([run(one) for one in export["runs"]]))


class Told:
    """A log with the blocks that name its heads, from which exports are cut."""

    def __init__(self):
        self.log, self.frames, self.blocks = Log("", 2, 100), {}, []

    def frame(self, *miners):
        for place, miner in enumerate(miners):
            self.log.share(miner, 100 + 7 * place + len(self.log.shares), 10_000)
        self.log.frame()
        self.frames[self.log.number] = self.log.shares[-len(miners):]

    def block(self, others):
        self.blocks.append((self.log.number, block(len(self.blocks) + 1, self.log.number, self.log.hash, others)))

    def export(self, miner, terms=None):
        runs, since = [], 0
        for last, found in self.blocks:
            mine = [event for event, shares in self.frames.items()
                    if since < event <= last and any(share[0] == miner for share in shares)]
            since = last
            if mine:
                runs.append(self.run(miner, 1 if terms and not runs else mine[0], last, found, mine))
        return {"genesis": bytes(32), "key": POOL, "tag": b"/bq/", "account": key(miner), "terms": terms, "runs": runs}

    def run(self, miner, first, last, found, mine):
        events = [bytes.fromhex(event["event"]) for event in self.log.events[first - 1:last]]
        before = bytes.fromhex(self.log.events[first - 2]["hash"]) if first > 1 else bytes(32)
        proofs = lambda shares: [share_proof(shares, place) for place, share in enumerate(shares) if share[0] == miner]
        frames = [{"event": event, "shares": proofs(self.frames[event])} for event in mine]
        return {"first": first, "before": before, "events": events, "block": found, "frames": frames}

    def case(self, name, export, **expected):
        chain = [bytes(32).hex()] + [found["id"].hex() for _, found in self.blocks]
        return {"name": name, "export": export_bytes(export).hex(), "chain": chain, **expected}

    def good(self, name, miner, terms=None):
        shares = [share for frame in self.frames.values() for share in frame if share[0] == miner]
        weight = sum(min(ONE, difficulty * ONE // network) for _, difficulty, network, _ in shares)
        export = self.export(miner, terms)
        return self.case(name, export, shares=len(shares), weight=str(weight), runs=len(export["runs"]))


def account_exports():
    told = Told()
    told.frame(1, 2, 1, 3)
    told.frame(1)
    told.block(0)
    told.frame(2, 2)
    told.frame(3, 1, 1, 2, 1)
    told.frame(1)
    told.frame(1, 1)
    told.block(5)
    told.frame(*[1 + place % 2 for place in range(21)])
    told.block(2)
    terms = bytes.fromhex(told.log.events[1]["event"])[2:]
    yield told.good("an account in every frame but one", 1)
    yield told.good("from the first event on, with the terms", 2, terms)
    yield told.good("somebody with few shares", 3)
    yield from (told.case(name, export, fault=fault) for name, fault, export in wrong_exports(told, terms))


def wrong_exports(told, terms):
    """Each with the place that is wrong, as a reader is told it."""

    def changed(change):
        export = told.export(1)
        change(export, export["runs"][1])
        return export

    def swap_runs(export, _):
        export["runs"][1:] = export["runs"][:0:-1]

    def shorten(_, run):
        run["events"].pop()
        run["frames"].pop()

    good = told.export(1)["runs"][1]
    first, head, frame = good["first"], good["first"] + len(good["events"]) - 1, good["frames"][0]["event"]
    digest, proof = bytes.fromhex(told.log.events[head - 1]["hash"]), good["frames"][0]["shares"][0]
    of_block = f"the coinbase after events {first} to {head}: "

    def other_block(others=5, **wrong):
        return changed(lambda _, run: run.update(block=block(2, head, digest, others, **wrong)))

    def other_share(share):
        return changed(lambda _, run: run["frames"][0]["shares"].__setitem__(0, share))

    yield "an event is missing", f"event {first + 1}: ", changed(lambda _, run: run["events"].pop(1))
    yield "the last event is missing", f"events {first} to {head - 1} do not lead", changed(shorten)
    yield "two runs change places", f"run 2 begins with event {first}, ", changed(swap_runs)
    yield "a share with another difficulty", f"frame {frame}: share 1: ", other_share(harder(proof))
    yield "a share in another place", f"frame {frame}: share 0: ", other_share((proof[0], 0, *proof[2:]))
    yield "somebody else's share", f"frame {frame}: share 0 is of key {key(3).hex()}", other_share(
        share_proof(told.frames[frame], 0))
    yield "a block of another pool", of_block + "it pays nothing", other_block(to=key(0xDD))
    yield "a block with another tag", of_block + "its data", other_block(tag=b"/qb/")
    yield "a block off the chain", "block ", other_block(6)
    yield "another chain", "an export of a chain that begins with", changed(lambda export, _: export.update(genesis=b"\x01" * 32))
    yield "terms that no event tells", "the terms are not", changed(lambda export, _: export.update(terms=terms))


def harder(proof):
    """The same proof for a share with a flipped bit in its difficulty."""
    share, index, count, path = proof
    return share[:34] + bytes([share[34] ^ 1]) + share[35:], index, count, path


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
        schemes(),
        direct(),
    ]
    frames = []
    for count in (1, 2, 3, 5, 8, 13, 255, 256):
        shares = [(number % 7 + 1, 1 + number * 1_000_003, 10**6 + number, number) for number in range(count)]
        frames.append({"shares": [share_bytes(share).hex() for share in shares], "digest": frame_digest(shares).hex()})
    about = "Logs and frames of a pool: made by scripts/pool-vectors.py from docs/spec/8-shares-and-rewards.md"
    folder = sys.argv[1] if len(sys.argv) > 1 else "vectors"
    write(f"{folder}/pool_log.json", {"about": about, "pool_frames": frames, "pool_logs": logs})
    about = "Proofs of a pool: made by scripts/pool-vectors.py from docs/spec/8-shares-and-rewards.md 8.10"
    proofs = {"share_proofs": list(share_proofs()), "sum_trees": list(sum_trees()), "account_exports": list(account_exports())}
    write(f"{folder}/pool_proofs.json", {"about": about, **proofs})


def write(path, content):
    with open(path, "w") as file:
        json.dump(content, file, separators=(",", ":"))
        file.write("\n")


main()
