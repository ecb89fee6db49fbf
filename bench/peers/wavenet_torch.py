"""WaveNet (preset `wavenet`, 4.24M parameters) in PyTorch (1.13 API), on the CPU. See src/models/wavenet.ts for the network.

Prints one JSON object. Modes: train (a segment at a time, a target at every sample), generate (one sample at a time, with what
its layers remember), check (the step is the dense pass, in both forms of it).
"""
import argparse
import json
import platform
import statistics
import sys

from process import KEEP_MEMORY, import_torch, rates, settle

PARSER = argparse.ArgumentParser(description=__doc__.splitlines()[0])
PARSER.add_argument("mode", choices=("train", "generate", "check"))
PARSER.add_argument("--form", choices=("conv", "gemm"), default="gemm", help="how training multiplies: Conv1d, or products of rows")
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

STACKS, LAYERS, CHANNELS, SKIP, END, EMBEDDING, LEVELS = 4, 10, 64, 1024, 512, 256, 256
DILATIONS = [2**i for _ in range(STACKS) for i in range(LAYERS)]


def weight(outputs, inputs):
    return nn.Parameter(torch.randn(outputs, inputs) * inputs**-0.5)


class WaveNet(nn.Module):
    """Linear layers without a nonlinearity between them are one here: the table with the first convolution, the skip
    connections side by side, the last layer with the decoder."""

    def __init__(self):
        super().__init__()
        self.embedding, self.start = weight(LEVELS, EMBEDDING), weight(CHANNELS, EMBEDDING)
        # both taps side by side, the older first; no biases but at the end
        self.gate = nn.ParameterList(weight(2 * CHANNELS, 2 * CHANNELS) for _ in DILATIONS)
        self.residual = nn.ParameterList(weight(CHANNELS, CHANNELS) for _ in DILATIONS)
        self.skip = weight(SKIP, CHANNELS * len(DILATIONS))
        self.end, self.end_bias = weight(END, SKIP), nn.Parameter(torch.zeros(END))
        self.out, self.out_bias = weight(LEVELS, END), nn.Parameter(torch.zeros(LEVELS))
        self.decoder, self.decoder_bias = weight(LEVELS, LEVELS), nn.Parameter(torch.zeros(LEVELS))

    def table(self):
        return self.embedding @ self.start.t()

    def last(self):
        return self.decoder @ self.out, self.decoder @ self.out_bias + self.decoder_bias

    def forward(self, codes):  # [time] -> [time, levels]
        return self.rows(codes) if ARGS.form == "gemm" else self.maps(codes)

    def rows(self, codes):
        h, gates = F.embedding(codes, self.table()), []  # [time, channels]
        for i, dilation in enumerate(DILATIONS):
            past = F.pad(h, (0, 0, dilation, 0))[: len(codes)]
            both = torch.mm(torch.cat((past, h), 1), self.gate[i].t())
            gates.append(torch.tanh(both[:, :CHANNELS]) * torch.sigmoid(both[:, CHANNELS:]))
            if i < len(DILATIONS) - 1:
                h = torch.addmm(h, gates[-1], self.residual[i].t())
        total = F.relu(torch.mm(torch.cat(gates, 1), self.skip.t()))
        inner = F.relu(torch.addmm(self.end_bias, total, self.end.t()))
        w, b = self.last()
        return torch.addmm(b, inner, w.t())

    def maps(self, codes):
        h, gates = F.embedding(codes, self.table()).t()[None], []  # [1, channels, time]
        for i, dilation in enumerate(DILATIONS):
            taps = self.gate[i].view(2 * CHANNELS, 2, CHANNELS).transpose(1, 2)
            both = F.conv1d(F.pad(h, (dilation, 0)), taps, dilation=dilation)
            gates.append(torch.tanh(both[:, :CHANNELS]) * torch.sigmoid(both[:, CHANNELS:]))
            if i < len(DILATIONS) - 1:
                h = h + F.conv1d(gates[-1], self.residual[i][..., None])
        total = F.relu(F.conv1d(torch.cat(gates, 1), self.skip[..., None]))
        inner = F.relu(F.conv1d(total, self.end[..., None], self.end_bias))
        w, b = self.last()
        return F.conv1d(inner, w[..., None], b)[0].t()


class Step(nn.Module):
    """The same network for one sample, scripted. A layer's queue holds as many columns as its dilation."""

    def __init__(self, model: WaveNet):
        super().__init__()
        self.dilations = DILATIONS
        self.table = model.table().detach()
        self.gate, self.residual = [w.detach() for w in model.gate], [w.detach() for w in model.residual]
        self.skip, self.end, self.end_bias = model.skip.detach(), model.end.detach(), model.end_bias.detach()
        w, b = model.last()
        self.out, self.out_bias = w.detach(), b.detach()
        self.channels = CHANNELS

    def forward(self, code: int, t: int, queues: list[torch.Tensor]) -> torch.Tensor:
        h = self.table[code]
        gates: list[torch.Tensor] = []
        for i, dilation in enumerate(self.dilations):
            column = queues[i][t % dilation]
            both = torch.mv(self.gate[i], torch.cat((column, h)))
            column.copy_(h)
            gates.append(torch.tanh(both[: self.channels]) * torch.sigmoid(both[self.channels :]))
            h = torch.addmv(h, self.residual[i], gates[-1])
        total = torch.relu(torch.mv(self.skip, torch.cat(gates)))
        inner = torch.relu(torch.addmv(self.end_bias, self.end, total))
        return torch.addmv(self.out_bias, self.out, inner)


def queues():
    return [torch.zeros(dilation, CHANNELS) for dilation in DILATIONS]


def train(model):
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, foreach=True)

    def step():
        codes = torch.randint(LEVELS, (ARGS.length + 1,))
        loss = F.cross_entropy(model(codes[:-1]), codes[1:])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return rates(ARGS.length, step, ARGS.seconds)


@torch.no_grad()
def generate(model):
    step, remembered = torch.jit.script(Step(model).eval()), queues()
    code, t = 128, 0

    def block():
        nonlocal code, t
        for _ in range(320):
            logits = step(code, t, remembered)
            code = int(torch.multinomial(torch.softmax(logits, 0), 1))
            t += 1

    return rates(320, block, ARGS.seconds)


@torch.no_grad()
def check(model):
    codes = torch.randint(LEVELS, (3000,))
    step, remembered = torch.jit.script(Step(model)), queues()
    stepped = torch.stack([step(int(code), t, remembered) for t, code in enumerate(codes)])
    return [float((dense - stepped).abs().max() / dense.abs().max()) for dense in (model.rows(codes), model.maps(codes))]


torch.manual_seed(ARGS.seed)
torch.set_num_threads(ARGS.torch_threads)
MODEL = WaveNet()
found = {"train": train, "generate": generate, "check": check}[ARGS.mode](MODEL)
if ARGS.mode == "check" and max(found) > 1e-4:
    sys.exit(f"wavenet_torch: a step differs from the dense pass by {max(found):.2g}")
unit = {"train": "targetsPerSecond", "generate": "samplesPerSecond", "check": "difference"}[ARGS.mode]
print(json.dumps({
    "mode": ARGS.mode,
    "parameters": sum(p.numel() for p in MODEL.parameters()),
    unit: {"best": max(found), "median": statistics.median(found), "runs": len(found)},
    "threads": {"torch": ARGS.torch_threads, "blas": ARGS.blas_threads},
    "torch": torch.__version__, "python": platform.python_version(),
}))
