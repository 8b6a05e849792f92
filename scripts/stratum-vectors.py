#!/usr/bin/env python3
"""Writes vectors/stratum_shares.json from the written rules of docs/spec/11-stratum.md, and from nothing else.

Conversations of one connection each: jobs, new tips and submits, with the verdict, the credit and the cost of every submit.
SHA-256d is hashed for real; for RandomX and Ethash the file says what hashing gives, since these rules begin where it ends.
"""

import hashlib
import json
import random
import sys

ALGORITHMS = ["sha256d", "randomx", "ethash"]
IDS = {"sha256d": 0, "randomx": 1, "ethash": 2}
VERSION = 0x20000000


def sha256d(data):
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def tagged(tag, data):
    prefix = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(prefix + prefix + data).digest()


def keccak(data, size):
    """Keccak with the padding from before SHA-3."""
    rate = 200 - 2 * size
    state = [[0] * 5 for _ in range(5)]
    data = bytearray(data) + b"\x01" + b"\0" * (-(len(data) + 1) % rate)
    data[-1] |= 0x80
    mask = (1 << 64) - 1
    rotate = lambda value, by: ((value << by) | (value >> (64 - by))) & mask if by else value
    for start in range(0, len(data), rate):
        for lane in range(rate // 8):
            word = int.from_bytes(data[start + 8 * lane:start + 8 * lane + 8], "little")
            state[lane % 5][lane // 5] ^= word
        register = 1
        for _ in range(24):
            columns = [state[x][0] ^ state[x][1] ^ state[x][2] ^ state[x][3] ^ state[x][4] for x in range(5)]
            for x in range(5):
                flip = columns[(x - 1) % 5] ^ rotate(columns[(x + 1) % 5], 1)
                for y in range(5):
                    state[x][y] ^= flip
            x, y, current = 1, 0, state[1][0]
            for step in range(24):
                x, y = y, (2 * x + 3 * y) % 5
                current, state[x][y] = state[x][y], rotate(current, (step + 1) * (step + 2) // 2 % 64)
            for y in range(5):
                row = [state[x][y] for x in range(5)]
                for x in range(5):
                    state[x][y] = row[x] ^ (~row[(x + 1) % 5] & mask & row[(x + 2) % 5])
            for bit in range(7):
                register = (register << 1) ^ ((register >> 7) * 0x71) & 0x1ff
                register %= 256
                if register & 2:
                    state[0][0] ^= 1 << ((1 << bit) - 1)
    return b"".join(state[lane % 5][lane // 5].to_bytes(8, "little") for lane in range(size // 8))


assert keccak(b"", 32).hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


class Template:
    def __init__(self, algorithm, tip, body, network):
        self.algorithm, self.parent, self.body = algorithm, bytes([tip]) * 32, bytes([body]) * 32
        self.height, self.bits, self.target = 70_000, 0x1d00ffff, (2**256 - 1) // network
        header = (1).to_bytes(4, "little") + self.parent + self.body + self.body
        header += (1_800_000_000).to_bytes(8, "little") + self.height.to_bytes(4, "little")
        header += self.bits.to_bytes(4, "little") + bytes([IDS[algorithm], 0, 0, 0])
        self.seal_hash = tagged("BQIP0002/seal", header)

    def json(self):
        return {"parent_id": self.parent.hex(), "tx_root": self.body.hex(), "target": f"{self.target:064x}"}

    def sha256d(self, extranonce, version, ntime, nonce):
        """SPEC 5.3."""
        script = b"\x15\x03" + self.height.to_bytes(3, "little") + b"\x10" + extranonce
        coinbase = bytes.fromhex("0100000001") + bytes(32) + b"\xff" * 4 + script + b"\xff" * 4
        coinbase += b"\x01" + bytes(8) + bytes.fromhex("226a20") + self.seal_hash + bytes(4)
        words = [version.to_bytes(4, "little"), self.parent, sha256d(coinbase)]
        words += [value.to_bytes(4, "little") for value in (ntime, self.bits, nonce)]
        return sha256d(b"".join(words))

    def ethash_final(self, extranonce, nonce, mix):
        work = tagged("BQIP0002/work-ethash", self.seal_hash + extranonce)
        return keccak(keccak(work + nonce.to_bytes(8, "little"), 64) + mix, 32)


def number(algorithm, value):
    return int.from_bytes(value, "big" if algorithm == "ethash" else "little")


def shares_of(algorithm, difficulty):
    """How many values are shares: SPEC 11.3.2."""
    if algorithm == "randomx":
        return (2**64 - 1) // difficulty * 2**192
    return 2**256 // difficulty


class Connection:
    """The judge of SPEC 11.4, one submit at a time."""

    def __init__(self, algorithm, server, connection, first_job, policy):
        self.algorithm, self.server, self.connection, self.first = algorithm, server, connection, first_job
        self.policy, self.jobs, self.count, self.tip = policy, [], 0, None

    def give(self, template, difficulty, ntime):
        job = (self.first + self.count) % 2**32
        head = self.server.to_bytes(2, "big") + (job % 2**16).to_bytes(2, "big") + self.connection.to_bytes(4, "big")
        entry = {"id": job, "template": template, "difficulty": difficulty, "ntime": ntime, "head": head,
                 "x": head + self.count.to_bytes(8, "big"), "credited": set()}
        self.count += 1
        self.jobs = (self.jobs + [entry])[-self.policy["jobs_kept"]:]
        self.tip = template.parent
        return entry

    def judge(self, submit, evaluate):
        """(verdict, credit, strike)."""
        job = next((job for job in self.jobs if job["id"] == submit["job"]), None)
        if job is None:
            return "unknown_job", 0, False
        template, algorithm = job["template"], self.algorithm
        if algorithm == "sha256d":
            if not job["ntime"] <= submit["ntime"] <= job["ntime"] + self.policy["ntime_ahead_secs_max"]:
                return "malformed", 0, False
            key = (submit["extranonce2"], submit["version"], submit["ntime"], submit["nonce"])
        else:
            key = submit["nonce"]
        if key in job["credited"]:
            return "duplicate", 0, False
        is_block = lambda value: number(algorithm, value) <= template.target
        is_share = lambda value: number(algorithm, value) < shares_of(algorithm, job["difficulty"])
        claim = None
        if "result" in submit:
            claim = bytes.fromhex(submit["result"])
        elif "mix" in submit:
            claim = template.ethash_final(job["x"], submit["nonce"], bytes.fromhex(submit["mix"]))
        held = None
        if self.tip != template.parent:
            held = "stale"
        elif claim is not None and not is_block(claim) and not is_share(claim):
            return "low_difficulty", 0, False
        elif len(job["credited"]) >= self.policy["shares_per_job_max"]:
            held = "busy"
        if held and claim is not None and not is_block(claim):
            return held, 0, False
        value, mix = evaluate(job)
        if "result" in submit and bytes.fromhex(submit["result"]) != value:
            return "bad_proof", 0, True
        if "mix" in submit and bytes.fromhex(submit["mix"]) != mix:
            return "bad_proof", 0, True
        if not is_block(value) and not is_share(value):
            return "low_difficulty", 0, algorithm == "ethash" and claim is None
        if held and not is_block(value):
            return held, 0, False
        job["credited"].add(key)
        return ("block" if is_block(value) else "accepted"), job["difficulty"], False


def conversation(dice, algorithm):
    policy = {"jobs_kept": 3, "shares_per_job_max": 4, "ntime_ahead_secs_max": 600}
    line = Connection(algorithm, dice.randrange(2**16), dice.randrange(2**32), dice.randrange(2**32), policy)
    templates = [Template(algorithm, tip, body, 64) for tip in (1, 2) for body in (1, 2)]
    steps, given, sent = [], [], []
    case = {"algorithm": algorithm, "server_id": line.server, "connection": line.connection, "first_job": line.first,
            "policy": policy, "templates": [template.json() for template in templates], "steps": steps}

    def give():
        index, difficulty = dice.randrange(4), dice.choice([1, 2, 3, 7, 16, 64])
        ntime = 1_000 + len(steps)
        job = line.give(templates[index], difficulty, ntime)
        given.append(job)
        told = {"job": job["id"], "template": index, "difficulty": difficulty, "ntime": ntime}
        told |= {"head": job["head"].hex()} if algorithm == "sha256d" else {"extranonce": job["x"].hex()}
        steps.append({"give": told})

    give()
    while len(steps) < 60:
        roll = dice.random()
        if roll < 0.15:
            give()
            continue
        if sent and roll < 0.3:
            submit, value, mix = dice.choice(sent)
            submit = dict(submit, job=dice.choice(given[-4:])["id"])
        else:
            job = dice.choice(given[-4:])
            submit, value, mix = {"job": job["id"]}, dice.randbytes(32), dice.randbytes(32)
            if algorithm == "sha256d":
                ntime = job["ntime"] + dice.choice([0, 0, 0, 1, 2, 600, 601, -1])
                submit |= {"extranonce2": dice.randbytes(8).hex(), "version": VERSION, "ntime": ntime,
                           "nonce": dice.randrange(2**32)}
                # One in sixty-four is a block: look a little for one.
                for _ in range(dice.choice([1, 1, 1, 64])):
                    submit["nonce"] = dice.randrange(2**32)
                    extranonce = job["head"] + bytes.fromhex(submit["extranonce2"])
                    found = job["template"].sha256d(extranonce, VERSION, ntime, submit["nonce"])
                    if number(algorithm, found) <= job["template"].target:
                        break
            elif algorithm == "randomx":
                if dice.random() < 0.4:
                    value = value[:31] + bytes([dice.choice([0, 1, 4, 16])])
                honest = dice.random() < 0.8
                submit |= {"nonce": dice.randrange(2**32),
                           "result": (value if honest else value[:31] + b"\0").hex()}
            else:
                nonce = dice.randrange(2**64)
                submit |= {"nonce": nonce}
                for _ in range(dice.choice([1, 1, 1, 64])):
                    mix = dice.randbytes(32)
                    value = job["template"].ethash_final(job["x"], nonce, mix)
                    if number(algorithm, value) <= job["template"].target:
                        break
                if dice.random() < 0.6:
                    submit |= {"mix": mix.hex()}
                    if dice.random() < 0.2:
                        mix = bytes(32)
        def evaluate(job):
            if algorithm == "sha256d":
                extranonce = job["head"] + bytes.fromhex(submit["extranonce2"])
                return job["template"].sha256d(extranonce, submit["version"], submit["ntime"], submit["nonce"]), bytes(32)
            return value, mix
        verdict, credit, strike = line.judge(submit, evaluate)
        sent.append((submit, value, mix))
        step = {"submit": submit, "verdict": verdict, "credit": credit, "strike": strike}
        known = next((job for job in line.jobs if job["id"] == submit["job"]), None)
        if algorithm != "sha256d":
            step |= {"hash": value.hex(), "hash_mix": mix.hex()}
        elif known and verdict != "malformed":
            step |= {"hash": evaluate(known)[0].hex()}
        steps.append(step)
    return case


def main():
    dice = random.Random(11)
    conversations = [conversation(dice, algorithm) for algorithm in ALGORITHMS for _ in range(8)]
    targets = []
    for algorithm in ALGORITHMS:
        for difficulty in [1, 2, 3, 7, 1000, 2**16, 2**32, 2**32 + 1, 10**12, 2**48 - 1]:
            last = shares_of(algorithm, difficulty) - 1
            targets.append({"algorithm": algorithm, "difficulty": difficulty, "last_share": f"{last:064x}"})
    file = {
        "about": "Jobs, submits, verdicts, credits: made by scripts/stratum-vectors.py from docs/spec/11-stratum.md",
        "share_targets": targets,
        "share_conversations": conversations,
    }
    json.dump(file, sys.stdout, separators=(",", ":"))
    print()


main()
