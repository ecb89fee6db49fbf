"""SaShiMi (preset `sashimi`) in PyTorch (1.13 API), on the CPU. See src/models/sashimi.ts for the network.

Prints one JSON object. Modes: train (convolutions by FFT, as published), generate (recurrent, one sample at a time),
check (the step is the dense pass).
"""
import argparse
import json
import math
import platform
import statistics
import sys

from process import KEEP_MEMORY, import_torch, rates, settle

PARSER = argparse.ArgumentParser(description=__doc__.splitlines()[0])
PARSER.add_argument("mode", choices=("train", "generate", "check"))
PARSER.add_argument("--layers", type=int, default=6)
PARSER.add_argument("--mix", choices=("gelu", "glu"), default="gelu")
PARSER.add_argument("--length", type=int, default=16000, help="samples of a training segment")
PARSER.add_argument("--seconds", type=float, default=20, help="time for all steps; at least three are run")
PARSER.add_argument("--torch-threads", type=int, default=2)
PARSER.add_argument("--blas-threads", type=int, default=1, help="OpenBLAS threads")
PARSER.add_argument("--seed", type=int, default=1)
ARGS = PARSER.parse_args()

settle(OPENBLAS_NUM_THREADS=str(ARGS.blas_threads), **KEEP_MEMORY)
torch = import_torch()
import torch.nn.functional as F
from torch import nn

WIDTH, POOL, MODES, LEVELS = 64, (4, 4), 32, 256


class S4D(nn.Module):
    """A diagonal state space: s = a s + u, y = 2 Re(sum c s) + D u, with u [batch, channels, time]."""

    def __init__(self, channels):
        super().__init__()
        spread = (torch.arange(channels) + 0.5) / channels
        self.dt = nn.Parameter(math.log(0.001) + spread * math.log(100))
        self.decay = nn.Parameter(torch.full((MODES,), math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(MODES))
        self.c = nn.Parameter(torch.randn(channels, MODES, 2) * 0.5**0.5)
        self.d = nn.Parameter(torch.randn(channels))

    def discretised(self):
        a = torch.complex(-self.decay.exp(), self.frequency)
        power = self.dt.exp()[:, None] * a  # [channels, modes]
        return power, torch.view_as_complex(self.c) * (power.exp() - 1) / a

    def forward(self, u):
        time = u.shape[-1]
        power, c = self.discretised()
        # c a^(128 i + j) is a product of [i, modes] and [modes, j]: a power for every sample would take 30 times as long
        rows = torch.exp(power[:, None] * (128 * torch.arange(-(-time // 128)))[:, None]) * c[:, None]
        columns = torch.exp(power[..., None] * torch.arange(128))
        rows = torch.cat((rows.real, -rows.imag), 2)
        kernel = 2 * torch.bmm(rows, torch.cat((columns.real, columns.imag), 1)).flatten(1)[:, :time]
        spectrum = torch.fft.rfft(u, n=2 * time) * torch.fft.rfft(kernel, n=2 * time)
        return torch.fft.irfft(spectrum, n=2 * time)[..., :time] + self.d[:, None] * u


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.ssm = S4D(channels)
        self.mix = nn.Linear(channels, channels * (2 if ARGS.mix == "glu" else 1))
        self.up, self.down = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)

    def mixed(self, y):
        y = self.mix(F.gelu(y))
        return F.glu(y, dim=-1) if ARGS.mix == "glu" else y

    def forward(self, x):  # [batch, time, channels]
        x = x + self.mixed(self.ssm(self.norm1(x).transpose(1, 2)).transpose(1, 2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class SaShiMi(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [WIDTH * 2**i for i in range(len(POOL) + 1)]
        self.embedding = nn.Embedding(LEVELS, WIDTH)
        self.pool = nn.ModuleList(nn.Linear(s * w, 2 * w) for s, w in zip(POOL, widths))
        self.unpool = nn.ModuleList(nn.Linear(2 * w, s * w) for s, w in zip(POOL, widths))
        self.tiers = nn.ModuleList(nn.ModuleList(Block(w) for _ in range(ARGS.layers)) for w in widths)
        self.norm, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, LEVELS)

    def forward(self, codes):  # [batch, time]
        waves = [self.embedding(codes)]
        for steps, pool in zip(POOL, self.pool):
            batch, time, width = waves[-1].shape
            waves.append(pool(waves[-1].reshape(batch, time // steps, steps * width)))
        x = None
        for tier in reversed(range(len(waves))):
            if x is None:
                x = waves[tier]
            else:
                ahead = F.pad(self.unpool[tier](x)[:, :-1], (0, 0, 1, 0))
                x = ahead.reshape(waves[tier].shape) + waves[tier]
            skip = x
            for block in self.tiers[tier]:
                x = block(x)
            x = x + skip
        return self.out(self.norm(x))


class Step(nn.Module):
    """The same network for one sample, scripted. What it remembers is changed in place: lists come in as copies."""

    def __init__(self, model: SaShiMi):
        super().__init__()
        self.widths = [WIDTH, 2 * WIDTH, 4 * WIDTH]
        self.layers = ARGS.layers
        self.glu = ARGS.mix == "glu"
        self.table = model.embedding.weight.detach()
        blocks = [block for tier in model.tiers for block in tier]
        poles = [block.ssm.discretised() for block in blocks]
        self.a = [power.exp().detach() for power, _ in poles]
        self.c = [(2 * c).detach() for _, c in poles]
        self.d = [block.ssm.d.detach() for block in blocks]
        weights = lambda name: [getattr(block, name).weight.detach() for block in blocks]
        biases = lambda name: [getattr(block, name).bias.detach() for block in blocks]
        self.n1w, self.n1b, self.n2w, self.n2b = weights("norm1"), biases("norm1"), weights("norm2"), biases("norm2")
        self.mw, self.mb, self.uw, self.ub = weights("mix"), biases("mix"), weights("up"), biases("up")
        self.dw, self.db = weights("down"), biases("down")
        self.pw, self.pb = [p.weight.detach() for p in model.pool], [p.bias.detach() for p in model.pool]
        self.qw, self.qb = [p.weight.detach() for p in model.unpool], [p.bias.detach() for p in model.unpool]
        self.nw, self.nb = model.norm.weight.detach(), model.norm.bias.detach()
        self.ow, self.ob = model.out.weight.detach(), model.out.bias.detach()

    def blocks(self, tier: int, x: torch.Tensor, states: list[torch.Tensor]) -> torch.Tensor:
        skip = x
        width = [x.shape[0]]
        for i in range(tier * self.layers, (tier + 1) * self.layers):
            u = F.layer_norm(x, width, self.n1w[i], self.n1b[i])
            state = states[i].mul_(self.a[i]).add_(u[:, None])
            y = torch.real((self.c[i] * state).sum(1)) + self.d[i] * u
            y = F.linear(F.gelu(y), self.mw[i], self.mb[i])
            x = x + (F.glu(y, dim=0) if self.glu else y)
            inner = F.gelu(F.linear(F.layer_norm(x, width, self.n2w[i], self.n2b[i]), self.uw[i], self.ub[i]))
            x = x + F.linear(inner, self.dw[i], self.db[i])
        return x + skip

    def forward(
        self, code: int, t: int, states: list[torch.Tensor], folds: list[torch.Tensor], ahead: list[torch.Tensor]
    ) -> torch.Tensor:
        wave = self.table[code]
        x = self.blocks(0, wave + ahead[0][t % 4], states)
        logits = F.linear(F.layer_norm(x, [x.shape[0]], self.nw, self.nb), self.ow, self.ob)
        folds[0][t % 4] = wave
        if t % 4 == 3:
            wave = F.linear(folds[0].flatten(), self.pw[0], self.pb[0])
            k = (t // 4) % 4
            x = self.blocks(1, wave + ahead[1][k], states)
            ahead[0].copy_(F.linear(x, self.qw[0], self.qb[0]).view(4, -1))
            folds[1][k] = wave
            if k == 3:
                wave = F.linear(folds[1].flatten(), self.pw[1], self.pb[1])
                x = self.blocks(2, wave, states)
                ahead[1].copy_(F.linear(x, self.qw[1], self.qb[1]).view(4, -1))
        return logits

    def start(self):
        widths = [width for width in self.widths for _ in range(self.layers)]
        states = [torch.zeros(width, MODES, dtype=torch.complex64) for width in widths]
        return states, [torch.zeros(4, w) for w in self.widths[:2]], [torch.zeros(4, w) for w in self.widths[:2]]


def train(model):
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0)

    def step():
        codes = torch.randint(LEVELS, (1, ARGS.length + 1))
        loss = F.cross_entropy(model(codes[:, :-1])[0], codes[0, 1:])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return rates(ARGS.length, step, ARGS.seconds)


@torch.no_grad()
def generate(model):
    step = torch.jit.script(Step(model).eval())
    states, folds, ahead = Step(model).start()
    code, t = 128, 0

    def block():
        nonlocal code, t
        for _ in range(320):
            logits = step(code, t, states, folds, ahead)
            code = int(torch.multinomial(torch.softmax(logits, 0), 1))
            t += 1

    return rates(320, block, ARGS.seconds)


@torch.no_grad()
def check(model):
    codes = torch.randint(LEVELS, (64,))
    dense = model(codes[None])[0]
    step = torch.jit.script(Step(model))
    states, folds, ahead = Step(model).start()
    stepped = torch.stack([step(int(code), t, states, folds, ahead) for t, code in enumerate(codes)])
    return [float((dense - stepped).abs().max() / dense.abs().max())]


torch.manual_seed(ARGS.seed)
torch.set_num_threads(ARGS.torch_threads)
MODEL = SaShiMi()
found = {"train": train, "generate": generate, "check": check}[ARGS.mode](MODEL)
if ARGS.mode == "check" and found[0] > 1e-4:
    sys.exit(f"sashimi_torch: a step differs from the dense pass by {found[0]:.2g}")
unit = {"train": "targetsPerSecond", "generate": "samplesPerSecond", "check": "difference"}[ARGS.mode]
print(json.dumps({
    "mode": ARGS.mode,
    "parameters": sum(p.numel() for p in MODEL.parameters()),
    unit: {"best": max(found), "median": statistics.median(found), "runs": len(found)},
    "threads": {"torch": ARGS.torch_threads, "blas": ARGS.blas_threads},
    "torch": torch.__version__, "python": platform.python_version(),
}))
