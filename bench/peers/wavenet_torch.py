"""WaveNet in PyTorch, sample by sample with what its layers remember: a peer of `npm run bench:stream`.

The preset `wavenet` of Longwave (4.24M parameters; random weights). Prints one JSON object.
"""
import argparse
import json
import os
import sys
import time

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--seconds", type=float, default=10)
parser.add_argument("--threads", type=int, default=1)
args = parser.parse_args()
if os.environ.get("OMP_NUM_THREADS") != str(args.threads):
    os.environ.update(OMP_NUM_THREADS=str(args.threads), OPENBLAS_NUM_THREADS=str(args.threads))
    os.execv(sys.executable, [sys.executable, *sys.argv])
try:
    import torch
except ImportError as error:
    print(f"wavenet_torch: cannot import torch: {error}", file=sys.stderr)
    sys.exit(3)

STACKS, LAYERS, CHANNELS, SKIP, END, EMBEDDING, LEVELS = 4, 10, 64, 1024, 512, 256, 256
torch.set_num_threads(args.threads)
torch.manual_seed(1)


def weights(outputs, inputs):
    return torch.randn(outputs, inputs) * (2 / inputs) ** 0.5


def bias(outputs):
    return torch.zeros(outputs)


class Layer:
    """A gated layer of kernel 2. Its queue holds as many columns as its dilation."""

    def __init__(self, dilation):
        self.w = weights(2 * CHANNELS, 2 * CHANNELS)  # both taps side by side
        self.out = weights(CHANNELS, CHANNELS)
        self.queue = torch.zeros(dilation, CHANNELS)
        self.at = 0

    def step(self, h):
        past = self.queue[self.at]
        both = torch.mv(self.w, torch.cat((past, h)))
        self.queue[self.at] = h
        self.at = (self.at + 1) % len(self.queue)
        gate = torch.tanh(both[:CHANNELS]) * torch.sigmoid(both[CHANNELS:])
        return torch.addmv(h, self.out, gate), gate


table = weights(LEVELS, CHANNELS)  # the embedding and the first convolution in one
layers = [Layer(2**i) for _ in range(STACKS) for i in range(LAYERS)]
skip = weights(SKIP, CHANNELS * len(layers))  # all skip connections as one product
end, end_bias = weights(END, SKIP), bias(END)
out, out_bias = weights(LEVELS, END), bias(LEVELS)  # the decoder multiplied in


def step(code):
    h = table[code]
    gates = []
    for layer in layers:
        h, gate = layer.step(h)
        gates.append(gate)
    total = torch.relu(torch.mv(skip, torch.cat(gates)))
    inner = torch.relu(torch.addmv(end_bias, end, total))
    return torch.addmv(out_bias, out, inner)


with torch.inference_mode():
    code, samples = 128, 0
    for _ in range(50):
        step(code)
    start = time.perf_counter()
    while time.perf_counter() - start < args.seconds:
        code = int(torch.multinomial(torch.softmax(step(code), 0), 1))
        samples += 1
    rate = samples / (time.perf_counter() - start)
print(json.dumps({"torch": torch.__version__, "threads": args.threads, "samplesPerSecond": rate}))
