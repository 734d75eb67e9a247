#!/usr/bin/env python3
"""PyTorch on the same GPU: what benches/gpu times here, as one writes it there. The scans are those of benches/peers/spanet.py."""

import pathlib
import statistics
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))
from safetensors.torch import load_file  # noqa: E402
from rranet import Rranet  # noqa: E402
from spanet import Spanet, scan  # noqa: E402

WEIGHTS = pathlib.Path(__file__).resolve().parents[2] / "crates/derain-models/weights"

ROUNDS = 11


def milliseconds(run):
    times = []
    for round in range(ROUNDS + 1):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        if round:
            times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def irnn(x, a, b):
    rows, columns = x.permute(2, 0, 1, 3).contiguous(), x.permute(3, 0, 1, 2).contiguous()
    up, down = (scan(rows, a, b, far).permute(1, 2, 0, 3) for far in (True, False))
    right, left = (scan(columns, a, b, far).permute(1, 2, 3, 0) for far in (False, True))
    return torch.cat([up, right, down, left], 1)


def main():
    if not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    print(f"PyTorch {torch.__version__} on {torch.cuda.get_device_name()}, f32 without TF32, median of {ROUNDS} in ms")
    for shape in [(16, 32, 64, 64), (16, 32, 256, 256), (1, 32, 512, 512), (1, 32, 1080, 1920)]:
        x = torch.rand(shape, device="cuda") - 0.5
        a, b = (torch.full((shape[1], 1), v, device="cuda") for v in (0.2, 0.1))
        weight = (torch.rand(shape[1], shape[1], 3, 3, device="cuda") - 0.5).requires_grad_()
        with torch.no_grad():
            scans = milliseconds(lambda: irnn(x, a, b))
            convolution = milliseconds(lambda: F.conv2d(x, weight, padding=2, dilation=2).relu_())
            copy = milliseconds(lambda: torch.cat([x] * 4, 1))
        wanting = x.clone().requires_grad_()
        both = milliseconds(lambda: F.relu(F.conv2d(wanting, weight, padding=2, dilation=2)).sum().backward())
        print(f"{'x'.join(map(str, shape)):<16} four copies {copy:9.3f}   scans {scans:9.3f}   conv2d {convolution:9.3f}   "
              f"conv2d and its gradients {both:9.3f}")
    networks()


def networks():
    """The shipped networks: forward in f32 and bf16, eager and compiled; forward and backward in f32."""
    load = lambda name: {n: w.float().cuda() for n, w in load_file(WEIGHTS / f"{name}.safetensors").items()}
    spanet, rranet = load("spanet"), load("rranet")
    halved = lambda weights: {n: w.bfloat16() for n, w in weights.items()}
    for side in (512, 1024):
        x = torch.rand(1, 3, side, side, device="cuda")
        for name, make in (("SPANet", lambda w: Spanet(w, "paper")), ("RRANet", lambda w: Rranet(w, stages=3).eval())):
            weights = spanet if name == "SPANet" else rranet
            with torch.inference_mode():
                for precision, w, picture in (("f32", weights, x), ("bf16", halved(weights), x.bfloat16())):
                    network = make(w)
                    eager = milliseconds(lambda: network(picture))
                    # The scans line by line are thousands of operations to a compiler; RRANet's stage is one graph, used three times.
                    if name == "RRANet":
                        network.stage = torch.compile(network.stage)
                        print(f"{name} forward {side} {precision}: eager {eager:9.3f}   torch.compile {milliseconds(lambda: network(picture)):9.3f}")
                    else:
                        print(f"{name} forward {side} {precision}: eager {eager:9.3f}")
    x, truth = torch.rand(16, 3, 64, 64, device="cuda"), torch.rand(16, 3, 64, 64, device="cuda")
    network = Spanet(spanet, "paper", train=True)
    step = milliseconds(lambda: F.mse_loss(network(x)[0], truth).backward())
    print(f"SPANet forward and backward, 16x3x64x64: {step:9.3f}")
    network = Rranet(rranet, fold=False, stages=3)
    for name, parameter in network.named_buffers():
        parameter.requires_grad_("running" not in name)
    step = milliseconds(lambda: F.mse_loss(network(x)[0], truth).backward())
    print(f"RRANet forward and backward, running statistics: {step:9.3f}")


if __name__ == "__main__":
    main()
