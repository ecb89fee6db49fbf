"""SampleRNN in PyTorch (1.13 API), on the CPU: the peer of our preset `samplernn` in the benchmarks.

Prints one JSON object. Modes: train (streams whose state is carried, AdamW), generate (one sample at a time), check
(one sample at a time gives what the dense pass gives).
"""
import argparse
import json
import math
import platform
import resource
import statistics

from process import import_torch, rates, settle


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--width", type=int, default=1024)
    common.add_argument("--frames", type=int, nargs="+", default=[8, 2, 2], help="samples of a frame, then frames of frames")
    common.add_argument("--seconds", type=float, default=30, help="time for all steps; at least three are run")
    common.add_argument("--seed", type=int, default=1)
    train = modes.add_parser("train", parents=[common])
    train.add_argument("--length", type=int, default=1024, help="samples of back-propagation")
    train.add_argument("--batch", type=int, default=16)
    train.add_argument("--torch-threads", type=int, default=2)
    train.add_argument("--blas-threads", type=int, default=1)
    train.add_argument("--table", choices=("bag", "product"), default="product", help="how the newest samples are looked up")
    generate = modes.add_parser("generate", parents=[common])
    generate.add_argument("--torch-threads", type=int, default=1)
    generate.add_argument("--blas-threads", type=int, default=2)
    check = modes.add_parser("check", parents=[common])
    check.set_defaults(torch_threads=1, blas_threads=1)
    return parser.parse_args()


ARGS = arguments()
# left alone, the two pools fight
settle(OPENBLAS_NUM_THREADS=str(ARGS.blas_threads), OMP_NUM_THREADS=str(ARGS.torch_threads))
torch = import_torch()
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(ARGS.torch_threads)
LEVELS, EMBEDDING = 256, 256


def normalised(inputs, outputs, bias=True):
    return nn.utils.weight_norm(nn.Linear(inputs, outputs, bias=bias))


class Tier(nn.Module):
    def __init__(self, size, parts, width):
        super().__init__()
        self.size, self.parts = size, parts
        self.input = normalised(size, width)
        self.gru = nn.GRU(width, width)
        self.first = nn.Parameter(torch.zeros(width))
        self.up = normalised(width, parts * width)


class SampleRnn(nn.Module):
    def __init__(self, frames, width):
        super().__init__()
        sizes = [math.prod(frames[: i + 1]) for i in range(len(frames))]
        self.frames, self.width, self.lead = frames, width, sizes[-1] - 1
        self.tiers = nn.ModuleList(Tier(n, r, width) for n, r in zip(sizes, frames))
        self.embedding = nn.Embedding(LEVELS, EMBEDDING)
        self.sample = normalised(frames[0] * EMBEDDING, width, bias=False)
        self.hidden = normalised(width, width)
        self.output = normalised(width, LEVELS)

    def tables(self):
        """The first layer of the perceptron over every code: [taps, levels, width]."""
        w = torch._weight_norm(self.sample.weight_v, self.sample.weight_g, 0).view(self.width, self.frames[0], EMBEDDING)
        return torch.einsum("le,wte->tlw", self.embedding.weight, w)

    def forward(self, codes, states, table):
        """codes [batch, lead + time] -> logits [time / r, batch, r, levels] and the states after."""
        batch, time_ = codes.shape[0], codes.shape[1] - self.lead
        x = codes.float() * (4 / LEVELS) - 2
        above, after = None, []
        for tier, state in zip(reversed(self.tiers), reversed(states)):
            n, r = tier.size, tier.parts
            start = self.lead + 1 - n
            h = tier.input(x[:, start : start + time_].reshape(batch, -1, n).transpose(0, 1))  # [frames, batch, width]
            if above is not None:
                h = h + above
            before = tier.first.expand(1, batch, -1).contiguous() if state is None else state
            y, last = tier.gru(h, before)
            after.insert(0, last.detach())
            up = tier.up(y).view(-1, batch, r, self.width)
            above = up if tier is self.tiers[0] else up.transpose(1, 2).reshape(-1, batch, self.width)
        r = self.frames[0]
        taps = torch.stack([codes[:, self.lead - k : self.lead - k + time_] for k in range(r)], -1)
        taps = taps.view(batch, -1, r, r).transpose(0, 1)  # [frames, batch, r, taps]
        if table == "bag":
            rows = taps + LEVELS * torch.arange(r)
            bags = F.embedding_bag(rows.reshape(-1, r), self.tables().reshape(-1, self.width), mode="sum")
            heard = bags.view(above.shape)
        else:
            heard = self.sample(self.embedding(taps).flatten(-2))
        return self.output(F.relu(self.hidden(F.relu(heard + above)))), after


def macs_per_target(frames, width):
    sizes = [math.prod(frames[: i + 1]) for i in range(len(frames))]
    gru = sum(6 * width * width / n for n in sizes)
    up = sum(r * width * width / n for n, r in zip(sizes, frames))
    frame = width * len(sizes)
    return gru + up + frame + width * (width + LEVELS) + frames[0] * EMBEDDING * width


def train(model):
    batch, length = ARGS.batch, ARGS.length
    track = torch.randint(0, LEVELS, (batch, model.lead + 64 * length + 1))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.01, foreach=True)
    states, at = [None] * len(model.tiers), 0

    def step():
        nonlocal states, at
        part = track[:, at : at + model.lead + length + 1]
        at = (at + length) % (64 * length)
        logits, states = model(part[:, :-1], states, ARGS.table)
        r = model.frames[0]
        targets = part[:, model.lead + 1 :].reshape(batch, -1, r).transpose(0, 1)
        loss = F.cross_entropy(logits.reshape(-1, LEVELS), targets.reshape(-1))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    found = rates(batch * length, step, ARGS.seconds)
    return {
        "targetsPerSecond": {"best": max(found), "median": statistics.median(found), "steps": len(found)},
        "gflops": {"run": 6 * macs_per_target(ARGS.frames, ARGS.width) * max(found) / 1e9},
    }


class Stepper:
    """One sample at a time by plain products: module calls would cost more than the arithmetic."""

    def __init__(self, model):
        self.frames, self.lead = model.frames, model.lead
        dense = lambda layer: (layer.weight.detach().contiguous(), layer.bias.detach())
        self.tiers = []
        for tier in model.tiers:
            g = tier.gru
            w, b = dense(tier.up)
            self.tiers.append({
                "size": tier.size,
                "part": tier.size // tier.parts,
                "input": dense(tier.input),
                "w": (g.weight_ih_l0.detach(), g.bias_ih_l0.detach()),
                "u": (g.weight_hh_l0.detach(), g.bias_hh_l0.detach()),
                "up": list(zip(w.chunk(tier.parts), b.chunk(tier.parts))),
                "h": tier.first.detach().clone(),
                "said": None,
            })
        self.tables = model.tables().detach().reshape(-1, model.width)
        self.offsets = LEVELS * torch.arange(self.frames[0])
        self.hidden, self.output = dense(model.hidden), dense(model.output)
        self.codes = torch.full((self.lead + 1,), LEVELS // 2)
        self.t = 0

    def step(self, code):
        """Logits of the sample after `code`."""
        self.codes = torch.cat([self.codes[1:], torch.tensor([code])])
        above = None
        for tier in reversed(self.tiers):
            n = tier["size"]
            if self.t % n == 0:
                w, b = tier["input"]
                x = torch.addmv(b, w, self.codes[-n:].float() * (4 / LEVELS) - 2)
                if above is not None:
                    x += above
                h = tier["h"]
                xr, xz, xn = torch.addmv(tier["w"][1], tier["w"][0], x).chunk(3)
                ur, uz, un = torch.addmv(tier["u"][1], tier["u"][0], h).chunk(3)
                new = torch.tanh(xn + torch.sigmoid(xr + ur) * un)
                tier["h"] = new + torch.sigmoid(xz + uz) * (h - new)
            if self.t % tier["part"] == 0:
                w, b = tier["up"][self.t % n // tier["part"]]
                tier["said"] = torch.addmv(b, w, tier["h"])
            above = tier["said"]
        newest = self.codes[-self.frames[0] :].flip(0) + self.offsets
        h = F.relu(self.tables.index_select(0, newest).sum(0) + above)
        h = F.relu(torch.addmv(self.hidden[1], self.hidden[0], h))
        self.t += 1
        return torch.addmv(self.output[1], self.output[0], h)


def generate(model):
    stepper, code = Stepper(model), LEVELS // 2

    def block():
        nonlocal code
        for _ in range(320):
            code = int(torch.multinomial(F.softmax(stepper.step(code), -1), 1))

    found = rates(320, block, ARGS.seconds)
    return {"samplesPerSecond": {"best": max(found), "median": statistics.median(found), "blocks": len(found)}}


def check(model):
    time_ = 4 * (model.lead + 1)
    codes = torch.randint(0, LEVELS, (1, time_))
    padded = torch.cat([torch.full((1, model.lead), LEVELS // 2), codes], 1)
    worst = 0.0
    for table in ("bag", "product"):
        logits, _ = model(padded, [None] * len(model.tiers), table)
        stepper = Stepper(model)
        steps = torch.stack([stepper.step(int(code)) for code in codes[0]])
        worst = max(worst, float((logits.reshape(time_, LEVELS) - steps).abs().max()))
    return {"largestDifference": worst}


def main():
    torch.manual_seed(ARGS.seed)
    model = SampleRnn(ARGS.frames, ARGS.width)
    if ARGS.mode == "train":
        found = train(model)
    else:
        with torch.inference_mode():
            found = {"generate": generate, "check": check}[ARGS.mode](model)
    found.update({
        "mode": ARGS.mode,
        "parameters": sum(p.numel() for p in model.parameters()),
        "peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "settings": vars(ARGS),
        "torch": torch.__version__,
        "python": platform.python_version(),
    })
    print(json.dumps(found))


main()
