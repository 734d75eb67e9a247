#!/usr/bin/env python3
"""PyTorch on the same GPU: what benches/gpu times here, as one writes it there. The scans are those of benches/peers/spanet.py."""

import pathlib
import statistics
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))
from spanet import scan  # noqa: E402

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
    for shape in [(16, 32, 64, 64), (1, 32, 512, 512), (1, 32, 1080, 1920)]:
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


if __name__ == "__main__":
    main()
