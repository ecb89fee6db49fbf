"""Longwave's models in PyTorch (1.13 API), on the CPU: the peer of `npm run bench:train`. See README.md.

Prints one JSON object. Modes: dense (preset stream, a target at every sample), paper (one target a window), check.
"""
import argparse
import json
import os
import platform
import resource
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from process import KEEP_MEMORY, import_torch, settle

FILTERS, KERNEL = (256, 256, 128, 128, 32), 7
STRIDES, DILATIONS = (2, 3, 2, 3, 2), (1, 2, 6, 12, 36)
READOUT_KERNEL, READOUT_DILATION = 24, 72
FIELD = 1 + (KERNEL - 1) * sum(DILATIONS) + (READOUT_KERNEL - 1) * READOUT_DILATION  # 1999 samples
WIDTH, FEED, HIDDEN, LEVELS = 128, 256, 1024, 256


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--heads", type=int, default=8)
    common.add_argument("--head-dim", type=int, default=128)
    common.add_argument("--layers", type=int, default=3)
    common.add_argument("--seconds", type=float, default=30, help="time for all steps; at least one is run")
    common.add_argument("--seed", type=int, default=1)
    common.add_argument("--lanes", type=int, default=min(2, os.cpu_count() or 1), help="Python threads that share a step")
    common.add_argument("--torch-threads", type=int, default=1, help="OpenMP threads of each lane")
    common.add_argument("--blas-threads", type=int, default=1, help="OpenBLAS threads")
    common.add_argument("--malloc", choices=("keep", "system"), default="keep", help="keep freed memory, huge pages")
    common.add_argument("--encoder", choices=("gemm", "conv"), default="gemm")
    dense = modes.add_parser("dense", parents=[common])
    dense.add_argument("--chunk", type=int, default=2000, help="samples between tokens of a phase")
    dense.add_argument("--tokens", type=int, default=64, help="attention window, in tokens")
    dense.add_argument("--segment-tokens", type=int, default=64, help="tokens of each phase in a step")
    dense.add_argument("--phases", type=int, help="phases trained in a step (default: all of the chunk)")
    dense.add_argument("--absorbed", action="store_true", help="multiply Wq by Wk and Wv by Wo first")
    dense.add_argument("--phase-block", type=int, help="phases in one Transformer pass")
    dense.add_argument("--time-block", type=int, default=2000, help="rows in one product of the gemm encoder")
    paper = modes.add_parser("paper", parents=[common])
    paper.add_argument("--batch", type=int, default=4)
    paper.add_argument("--context", type=int, default=128000)
    paper.add_argument("--chunk", type=int, default=2000)
    modes.add_parser("check", parents=[common])
    return parser.parse_args()


ARGS = arguments()
settle(OPENBLAS_NUM_THREADS=str(ARGS.blas_threads), **({"MALLOC_ARENA_MAX": "1", **KEEP_MEMORY} if ARGS.malloc == "keep" else {}))
torch = import_torch()
import torch.nn.functional as F


class Lanes:
    """Runs tasks on a few threads, each with its own PyTorch thread count: large and small ops use every core."""

    def __init__(self, count, threads):
        torch.set_num_threads(threads)
        self.count = count
        self.pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(threads,))

    def map(self, function, items):
        if self.count == 1 or len(items) == 1:
            return [function(item) for item in items]
        return list(self.pool.map(function, items))


class ConvRelu(torch.autograd.Function):
    """relu(conv(x)), x [sequences, time, channels], w [kernel, in, out], valid padding: one product for each tap.

    Blocks of rows stay in the cache while the taps are added up; nothing is unfolded.
    """

    @staticmethod
    def forward(ctx, x, w, b, dilation, stride, relu, block, lanes, drop=0.0, lead=0):
        (count, length, _), (kernel, _, out) = x.shape, w.shape
        steps = (length - dilation * (kernel - 1) - 1) // stride + 1
        padded = x.new_empty(count, lead + steps, out)  # zeros in front: the past of the next layer
        padded[:, :lead] = 0
        y = padded[:, lead:]
        block = max(block, dilation * (kernel - 1))  # see the turns below
        wide = max(1, block // steps)  # short sequences share a block
        ctx.blocks = [(s, min(s + wide, count), t, min(t + block, steps))
                      for s in range(0, count, wide) for t in range(0, steps, block)]

        @torch.no_grad()
        def run(at):
            part = y[at[0]:at[1], at[2]:at[3]].view(-1, out)
            torch.addmm(b, taps(x, at, 0, stride).reshape(part.shape[0], -1), w[0], out=part)
            for k in range(1, kernel):
                part.addmm_(taps(x, at, dilation * k, stride).reshape(part.shape[0], -1), w[k])
            if relu:
                part.relu_()
            if drop:
                part.mul_(scale).masked_fill_(coins(part.shape) < dropped, 0)

        dropped = round(256 * drop)
        scale = 256 / (256 - dropped)
        lanes.map(run, ctx.blocks)
        ctx.save_for_backward(x, w, padded)
        ctx.settings = dilation, stride, relu, lanes, scale, lead
        return padded

    @staticmethod
    def backward(ctx, dy):
        x, w, y = ctx.saved_tensors
        dilation, stride, relu, lanes, scale, lead = ctx.settings
        y, dy = y[:, lead:], dy[:, lead:]
        kernel, _, out = w.shape
        dx = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        sums = {}

        @torch.no_grad()
        def run(at):
            dw, db = sums.setdefault(threading.get_ident(), (torch.zeros_like(w), dy.new_zeros(out)))
            g = dy[at[0]:at[1], at[2]:at[3]]
            if relu:
                g = torch.ops.aten.threshold_backward(g, y[at[0]:at[1], at[2]:at[3]], 0)  # what was dropped is 0 too
                g = g.mul_(scale) if scale > 1 else g
            flat = g.reshape(-1, out)
            db.add_(flat.sum(0))
            for k in range(kernel):
                dw[k].addmm_(taps(x, at, dilation * k, stride).reshape(flat.shape[0], -1).t(), flat)
                if dx is not None:
                    taps(dx, at, dilation * k, stride).baddbmm_(g, w[k].t().expand(g.shape[0], -1, -1))

        for turn in (0, 1):  # a block's dx reaches into the next block: never run neighbours at once
            lanes.map(run, ctx.blocks[turn::2])
        dw, db = (sum(parts) for parts in zip(*sums.values()))
        return dx, dw, db, *[None] * 7


def coins(shape):
    """Random bytes, eight for each number drawn."""
    size = shape[0] * shape[1]
    return torch.empty(-(-size // 8), dtype=torch.int64).random_(-2 ** 63, None).view(torch.uint8)[:size].view(shape)


def taps(x, at, shift, stride):
    """The rows of x that one tap of the convolution reads for the block `at` of its output."""
    first = stride * at[2] + shift
    return x[at[0]:at[1], first:first + stride * (at[3] - at[2] - 1) + 1:stride]


class Model(torch.nn.Module):
    """The parameters of both presets, and the parts they share."""

    def __init__(self, heads, dim, layers, tokens):
        super().__init__()
        self.heads, self.dim, self.layers, self.tokens = heads, dim, layers, tokens
        inner = heads * dim

        def weight(*shape):
            fan = shape[0] * shape[1] if len(shape) == 3 else shape[0]
            return torch.nn.Parameter(torch.randn(shape) * (1 / fan) ** 0.5)

        def constant(*shape, value=0.0):
            return torch.nn.Parameter(torch.full(shape, value))

        p = {}
        for i, (c, f) in enumerate(zip((1, *FILTERS), FILTERS)):
            p[f"conv{i}.w"], p[f"conv{i}.b"] = weight(KERNEL, c, f), constant(f)
        p["readout.w"], p["readout.b"] = weight(READOUT_KERNEL, FILTERS[-1], WIDTH), constant(WIDTH)
        for i in range(layers):
            p[f"{i}.norm1.w"], p[f"{i}.norm1.b"] = constant(WIDTH, value=1.0), constant(WIDTH)
            for name in "qkv":
                p[f"{i}.{name}.w"], p[f"{i}.{name}.b"] = weight(WIDTH, inner), constant(inner)
            p[f"{i}.o.w"], p[f"{i}.o.b"] = weight(inner, WIDTH), constant(WIDTH)
            p[f"{i}.bias"] = constant(heads, tokens)
            p[f"{i}.norm2.w"], p[f"{i}.norm2.b"] = constant(WIDTH, value=1.0), constant(WIDTH)
            p[f"{i}.up.w"], p[f"{i}.up.b"] = weight(WIDTH, FEED), constant(FEED)
            p[f"{i}.down.w"], p[f"{i}.down.b"] = weight(FEED, WIDTH), constant(WIDTH)
        p["norm.w"], p["norm.b"] = constant(WIDTH, value=1.0), constant(WIDTH)
        p["hidden.w"], p["hidden.b"] = weight(WIDTH, HIDDEN), constant(HIDDEN)
        p["out.w"], p["out.b"] = weight(HIDDEN, LEVELS), constant(LEVELS)
        self.p = p
        for name, value in p.items():
            self.register_parameter(name.replace(".", "_"), value)

    def encode(self, x, kind, lanes, block=2000, strided=False, causal=False, drop=0.0):
        """x [sequences, time] -> z [sequences, time - 1998, 128].

        causal: z [sequences, time, 128], every layer starts from zeros; strided: one column, [sequences, 128].
        """
        p = self.p
        layers = [(f"conv{i}", KERNEL, 1 if strided else d, s if strided else 1, drop)
                  for i, (d, s) in enumerate(zip(DILATIONS, STRIDES))]
        layers.append(("readout", READOUT_KERNEL, 1 if strided else READOUT_DILATION, 1, 0.0))
        leads = [(kernel - 1) * dilation if causal else 0 for _, kernel, dilation, _, _ in layers] + [0]
        if kind == "gemm":
            x = F.pad(x, (leads[0], 0)).unfold(1, KERNEL, STRIDES[0] if strided else 1)  # taps become channels
        else:
            x = x.unsqueeze(1)
        for i, (name, kernel, dilation, stride, rate) in enumerate(layers):
            w, b, relu = p[name + ".w"], p[name + ".b"], name != "readout"
            if kind == "conv":
                x = F.conv1d(F.pad(x, (leads[i], 0)), w.permute(2, 1, 0), b, stride, 0, dilation)
                x = F.dropout(x.relu_(), rate) if relu else x
            else:
                w, dilation, stride = (w.view(1, KERNEL, -1), 1, 1) if i == 0 else (w, dilation, stride)
                x = ConvRelu.apply(x, w, b, dilation, stride, relu, block, lanes, rate, leads[i + 1])
        x = x if kind == "gemm" else x.transpose(1, 2)
        return x[:, 0] if strided else x

    def absorb(self):
        """Wq Wk^T, bq Wk^T and Wv Wo of every head, bv Wo + bo: what the scores and the output really need."""
        p, made = self.p, {}
        for i in range(self.layers):
            q, k, v = (p[f"{i}.{n}.w"].view(WIDTH, self.heads, self.dim).transpose(0, 1) for n in "qkv")
            o = p[f"{i}.o.w"].view(self.heads, self.dim, WIDTH)
            bq = p[f"{i}.q.b"].view(self.heads, 1, self.dim)
            made[f"{i}.qk.w"] = (q @ k.transpose(1, 2)).transpose(0, 1).reshape(WIDTH, -1)
            made[f"{i}.qk.b"] = (bq @ k.transpose(1, 2)).reshape(-1)
            made[f"{i}.vo.w"] = (v @ o).reshape(-1, WIDTH)
            made[f"{i}.vo.b"] = p[f"{i}.v.b"] @ p[f"{i}.o.w"] + p[f"{i}.o.b"]
        return made

    def distance_bias(self, i, m):
        """[heads, queries, keys]: the bias of the distance, -inf outside the causal window."""
        at = torch.arange(m)
        distance = at[:, None] - at[None, :]
        bias = self.p[f"{i}.bias"][:, distance.clamp(0, self.tokens - 1)]
        return bias.masked_fill((distance < 0) | (distance >= self.tokens), float("-inf"))

    def attend(self, i, h, bias=None, drop=0.0):
        """Plain attention, h [sequences, tokens, 128]."""
        p, (n, m, _), heads, dim = self.p, h.shape, self.heads, self.dim
        flat = h.reshape(-1, WIDTH)
        q, k, v = (torch.addmm(p[f"{i}.{k}.b"], flat, p[f"{i}.{k}.w"]).view(n, m, heads, dim).transpose(1, 2)
                   .reshape(n * heads, m, dim) for k in "qkv")
        if bias is None:
            scores = torch.bmm(q * dim ** -0.5, k.transpose(1, 2))
        else:
            bias = bias.expand(n, heads, m, m).reshape(-1, m, m)
            scores = torch.baddbmm(bias, q, k.transpose(1, 2), alpha=dim ** -0.5)
        a = F.dropout(scores.softmax(-1), drop)
        mixed = torch.bmm(a, v).view(n, heads, m, dim).transpose(1, 2).reshape(n * m, -1)
        return torch.addmm(p[f"{i}.o.b"], mixed, p[f"{i}.o.w"]).view(n, m, WIDTH)

    def attend_absorbed(self, i, h, bias, made):
        """The same with absorbed weights: no keys or values are made, and nothing is transposed."""
        n, m, _ = h.shape
        q = torch.addmm(made[f"{i}.qk.b"], h.view(-1, WIDTH), made[f"{i}.qk.w"]).view(n, m * self.heads, WIDTH)
        bias = bias.transpose(0, 1).reshape(1, -1, m).expand(n, -1, -1)
        a = torch.baddbmm(bias, q, h.transpose(1, 2), alpha=self.dim ** -0.5).softmax(-1)
        mixed = torch.bmm(a, h).view(n * m, -1)
        return torch.addmm(made[f"{i}.vo.b"], mixed, made[f"{i}.vo.w"]).view(n, m, WIDTH)

    def linear(self, name, h):
        return torch.addmm(self.p[name + ".b"], h.reshape(-1, h.shape[-1]), self.p[name + ".w"]).view(*h.shape[:-1], -1)

    def norm(self, name, h):
        return F.layer_norm(h, (WIDTH,), self.p[name + ".w"], self.p[name + ".b"])

    def stream(self, h, targets, made=None):
        """Summed loss of h [phases, tokens, 128]; pre-norm, causal."""
        for i in range(self.layers):
            n, bias = self.norm(f"{i}.norm1", h), self.distance_bias(i, h.shape[1])
            h = h + (self.attend(i, n, bias) if made is None else self.attend_absorbed(i, n, bias, made))
            h = h + self.linear(f"{i}.down", self.linear(f"{i}.up", self.norm(f"{i}.norm2", h)).relu_())
        logits = self.linear("out", self.linear("hidden", self.norm("norm", h)).relu_())
        return F.cross_entropy(logits.view(-1, LEVELS), targets.reshape(-1), reduction="sum")

    def paper(self, h, targets, drop=0.1, drop_head=0.2):
        """Summed loss of the last token of h [windows, tokens, 128]; post-norm, all tokens see all."""
        n, m, _ = h.shape
        angle = torch.arange(m)[:, None] / 10000 ** (torch.arange(0, WIDTH, 2) / WIDTH)
        h = h + torch.stack([angle.sin(), angle.cos()], -1).view(m, WIDTH).to(h.dtype)
        for i in range(self.layers):
            h = h * F.dropout(torch.ones(n, m, 1), drop)  # whole tokens
            h = self.norm(f"{i}.norm1", h + F.dropout(self.attend(i, h, drop=drop), drop))
            fed = self.linear(f"{i}.down", self.linear(f"{i}.up", h).relu_())
            h = self.norm(f"{i}.norm2", h + F.dropout(fed, drop))
        hidden = F.dropout(self.linear("hidden", h[:, -1]).relu(), drop_head)
        return F.cross_entropy(self.linear("out", hidden), targets, reduction="sum")


def waveform(length, seed):
    """Codes of a few decaying partials with noise."""
    random = torch.Generator().manual_seed(seed)
    t = torch.arange(length) / 16000
    wave = sum(torch.sin(2 * torch.pi * 220 * n * t) / n for n in range(1, 6)) * torch.exp(-3 * (t % 0.5))
    wave = 0.4 * wave + 0.02 * torch.randn(length, generator=random)
    return ((wave.clamp(-1, 1) + 1) * 127.5).round().long()


def values(codes):
    return codes.to(torch.get_default_dtype()) / 127.5 - 1


def latents(model, codes, chunk, m, phases, kind, lanes, block=2000):
    """z of the first phases of every chunk, [1, m * chunk, 128] or [m, phases, 128]."""
    x = values(codes[:-1])
    if phases == chunk:
        return model.encode(x[None], kind, lanes, block, causal=True)
    pieces = F.pad(x, (FIELD - 1, 0)).unfold(0, phases + FIELD - 1, chunk)
    return model.encode(pieces.contiguous(), kind, lanes, block)


def dense_backward(model, codes, chunk, m, phases, absorbed, kind, phase_block, time_block, lanes):
    """Mean loss of m * phases targets, gradients in .grad. codes [m * chunk + 1]. Memory is set by the blocks."""
    z = latents(model, codes, chunk, m, phases, kind, lanes, time_block)
    targets = codes[1:].view(m, chunk)[:, :phases]
    made = model.absorb() if absorbed else None
    leaves = made and {name: value.detach().requires_grad_() for name, value in made.items()}
    by_token, scale = z.detach().reshape(m, phases, WIDTH), 1 / (m * phases)
    dz = torch.empty_like(by_token)

    def run(first):
        block = slice(first, first + phase_block)
        h = by_token[:, block].transpose(0, 1).contiguous().requires_grad_()
        loss = model.stream(h, targets[:, block].t(), leaves) * scale
        loss.backward()  # accumulation into shared .grad is locked by PyTorch
        dz[:, block] = h.grad.transpose(0, 1)
        return loss.detach()

    loss = sum(lanes.map(run, range(0, phases, phase_block)))
    ends, grads = [z], [dz.view_as(z)]
    if absorbed:
        ends += made.values()
        grads += [leaf.grad for leaf in leaves.values()]
    torch.autograd.backward(ends, grads)
    return loss


def paper_backward(model, codes, starts, context, chunk, kind, lanes, drops=(0.2, 0.1)):
    """Mean loss of one target for each window, gradients in .grad; the lanes share the windows."""
    def run(part):
        x = torch.stack([values(codes[s:s + context]) for s in part]).view(-1, chunk)
        targets = torch.stack([codes[s + context] for s in part])
        z = model.encode(x[:, chunk - FIELD:].contiguous(), kind, ALONE, strided=True, drop=drops[0])
        loss = model.paper(z.view(len(part), -1, WIDTH), targets, drops[1], drops[0]) / len(starts)
        loss.backward()
        return loss.detach()

    size = -(-len(starts) // lanes.count)
    return sum(lanes.map(run, [starts[i:i + size] for i in range(0, len(starts), size)]))


def measure(model, optimizer, backward, seconds):
    """Whole steps until the time is used: forward, backward, clip, update. Returns times and losses."""
    times, losses, begin = [], [], time.perf_counter()
    while not times or time.perf_counter() - begin + min(times) < seconds:
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = backward()
        torch.nn.utils.clip_grad_norm_([q for q in model.parameters() if q.grad is not None], 1.0)
        optimizer.step()
        times.append(time.perf_counter() - start)
        losses.append(float(loss))
    return times, losses


def conv_macs():
    layers = [KERNEL * c * f for c, f in zip((1, *FILTERS), FILTERS)]
    return layers, READOUT_KERNEL * FILTERS[-1] * WIDTH


def token_macs(args, absorbed=False):
    attention = 2 * WIDTH * args.heads * WIDTH if absorbed else 4 * WIDTH * args.heads * args.head_dim
    return args.layers * (attention + 2 * WIDTH * FEED)


def report(args, model, times, losses, per_step, macs, run, extra):
    """macs: what the plain model needs for one target; run: what this form really computes, masked scores too."""
    total = sum(macs.values())
    best, median = min(times), statistics.median(times[1:] or times)
    print(json.dumps({
        "peer": "longwave_torch", "mode": args.mode, **extra, "heads": args.heads, "headDim": args.head_dim,
        "layers": args.layers, "encoder": args.encoder,
        "parameters": sum(q.numel() for q in model.parameters() if q.grad is not None),
        "targetsPerStep": per_step, "steps": len(times),
        "secondsPerStep": {"best": best, "median": median, "all": [round(t, 4) for t in times]},
        "targetsPerSecond": {"best": per_step / best, "median": per_step / median},
        "macsPerTarget": {"total": total, **macs, "run": run},
        "gflops": {"best": 6 * total * per_step / best / 1e9, "median": 6 * total * per_step / median / 1e9,
                   "run": 6 * run * per_step / best / 1e9},
        "loss": {"first": losses[0], "last": losses[-1]},
        "peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "threads": {"lanes": args.lanes, "torch": args.torch_threads, "openblas": args.blas_threads, "cpus": os.cpu_count()},
        "malloc": args.malloc, "torch": torch.__version__, "python": platform.python_version(),
    }))


def dense(args, lanes):
    m, phases = args.segment_tokens, args.phases or args.chunk
    if not 1 <= phases <= args.chunk:
        sys.exit("longwave_torch: --phases must be between 1 and --chunk")
    block = args.phase_block or max(1, min(-(-1024 // m), -(-phases // args.lanes)))
    model = Model(args.heads, args.head_dim, args.layers, args.tokens)
    codes = waveform(m * args.chunk + 1, args.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, foreach=True)
    times, losses = measure(model, optimizer, lambda: dense_backward(
        model, codes, args.chunk, m, phases, args.absorbed, args.encoder, block, args.time_block, lanes), args.seconds)
    convs, readout = conv_macs()
    seen = sum(min(t + 1, args.tokens) for t in range(m)) / m
    macs = {"encoder": sum(convs) + readout, "transformer": token_macs(args),
            "attention": args.layers * 2 * args.heads * args.head_dim * seen, "head": WIDTH * HIDDEN + HIDDEN * LEVELS}
    run = macs["encoder"] + token_macs(args, args.absorbed) + macs["head"]
    run += args.layers * 2 * args.heads * (WIDTH if args.absorbed else args.head_dim) * m
    report(args, model, times, losses, m * phases, macs, run, {
        "form": "absorbed" if args.absorbed else "plain", "chunk": args.chunk, "tokens": args.tokens,
        "segmentTokens": m, "phases": phases, "phaseBlock": block, "timeBlock": args.time_block})


def paper(args, lanes):
    model = Model(args.heads, args.head_dim, args.layers, 1)
    tokens = args.context // args.chunk
    if args.context % args.chunk or args.chunk < FIELD:
        sys.exit(f"longwave_torch: --context must be a multiple of --chunk, and --chunk at least {FIELD}")
    codes = waveform(2 * args.context + 1, args.seed)
    random = torch.Generator().manual_seed(args.seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, foreach=True)

    def backward():
        starts = torch.randint(0, args.context + 1, (args.batch,), generator=random).tolist()
        return paper_backward(model, codes, starts, args.context, args.chunk, args.encoder, lanes)

    times, losses = measure(model, optimizer, backward, args.seconds)
    (convs, readout), length, encoder = conv_macs(), args.chunk, 0
    for count, stride in zip(convs, STRIDES):
        length = (length - KERNEL) // stride + 1
        encoder += length * count
    macs = {"encoder": tokens * (encoder + readout), "transformer": tokens * token_macs(args),
            "attention": args.layers * 2 * args.heads * args.head_dim * tokens ** 2, "head": WIDTH * HIDDEN + HIDDEN * LEVELS}
    report(args, model, times, losses, args.batch, macs, sum(macs.values()), {
        "form": "plain", "chunk": args.chunk, "tokens": tokens, "batch": args.batch, "context": args.context})


def check(args, lanes):
    """All forms against one plain pass of the whole graph with Conv1d, and the dense encoder against the strided one."""
    torch.set_default_dtype(torch.float64)  # in float32 a unit of a ReLU may switch, which is no error
    model = Model(2, 16, 2, 4)
    for q in model.parameters():  # no gradient may be hidden by a zero
        q.data.add_(0.1 * torch.randn_like(q))
    chunk, m = 601, 6  # two blocks of time
    codes = waveform(m * chunk + 1, args.seed)

    def gradients(run):
        model.zero_grad(set_to_none=True)
        loss = run().item()
        return loss, {n: q.new_zeros(q.shape) if q.grad is None else q.grad.clone() for n, q in model.p.items()}

    def whole(phases):
        z = latents(model, codes, chunk, m, phases, "conv", lanes).reshape(m, phases, WIDTH)
        loss = model.stream(z.transpose(0, 1), codes[1:].view(m, chunk)[:, :phases].t()) / (m * phases)
        loss.backward()
        return loss.detach()

    errors = {}
    for phases in (chunk, 100):
        loss, expected = gradients(lambda: whole(phases))
        for form in ("plain", "absorbed"):
            for kind in ("conv", "gemm"):
                got, grads = gradients(lambda: dense_backward(
                    model, codes, chunk, m, phases, form == "absorbed", kind, 64, 2000, lanes))
                # the key bias cancels in the softmax: its gradient is rounding only, so it is compared absolutely
                worst = {n: float((grads[n] - e).abs().max() / (1 if n.endswith("k.b") else e.abs().max()))
                         for n, e in expected.items()}
                name = max(worst, key=worst.get)
                errors[f"{form}-{kind}-{phases}"] = {"loss": abs(got - loss) / loss, "gradient": worst[name], "at": name}
    with torch.no_grad():
        x = values(waveform(FIELD + 500, 2))
        z = model.encode(x[None], "gemm", lanes, 2000)[0]
        for kind in ("conv", "gemm"):
            naive = model.encode(x.unfold(0, FIELD, 1).contiguous(), kind, lanes, strided=True)
            errors[f"strided-{kind}"] = {"output": float((naive - z).abs().max() / z.abs().max())}
    starts, context = [0, 100, 700], 2 * 2000
    codes = waveform(context + 1000, 3)
    loss, expected = gradients(lambda: paper_backward_all(model, codes, starts, context, "conv", ALONE))
    got, grads = gradients(lambda: paper_backward_all(model, codes, starts, context, "gemm", lanes))
    errors["paper-gemm"] = {"loss": abs(got - loss) / loss, "gradient": max(
        float((grads[n] - e).abs().max() / (1 if n.endswith("k.b") else e.abs().max())) for n, e in expected.items())}
    ok = all(value <= 1e-8 for row in errors.values() for key, value in row.items() if key != "at")
    print(json.dumps({"peer": "longwave_torch", "mode": "check", "ok": ok, "tolerance": 1e-8, "errors": errors,
                      "torch": torch.__version__}))
    sys.exit(0 if ok else 1)


def paper_backward_all(model, codes, starts, context, kind, lanes):
    for q in model.parameters():  # parameters that the preset lacks get a zero gradient
        q.grad = torch.zeros_like(q)
    return paper_backward(model, codes, starts, context, 2000, kind, lanes, (0.0, 0.0))


torch.manual_seed(ARGS.seed)
torch.set_flush_denormal(True)
LANES = Lanes(ARGS.lanes, ARGS.torch_threads)
ALONE = Lanes(1, ARGS.torch_threads)
{"dense": dense, "paper": paper, "check": check}[ARGS.mode](ARGS, LANES)
