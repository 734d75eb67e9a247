"""Times this project beside PyTorch on the CPU: SPANet inference and a training step, after checking that both agree.

    pip install -r benches/peers/requirements.txt
    python benches/peers/compare.py [--weights FILE.safetensors] [--markdown]

README.md says what is compared, how, and what is not. Tables go to stdout, progress to stderr.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

sys.dont_write_bytecode = True

from race import KEEP_FREED_MEMORY, ROOT, Peer, Race, note

if __name__ == "__main__" and "--keep-freed-memory" in sys.argv and not os.environ.keys() & KEEP_FREED_MEMORY.keys():
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEEP_FREED_MEMORY})

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from spanet import Spanet

TRAINING_BATCH, TRAINING_SIDE = 4, 64
# Initial weights whose result lies inside 0..1 nearly everywhere, so that clamping hides no difference.
SEED = 37
# Largest difference of outputs, and of a gradient relative to its tensor's largest value.
OUTPUT_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-3


def picture(rng, batch, height, width):
    """A clean picture and the same with streaks, [B, 3, H, W] in 0..1, and where they differ, [B, 1, H, W]."""
    y, x = np.mgrid[0:height, 0:width]
    phases = rng.uniform(0, 2 * np.pi, (batch, 3, 2, 1, 1))
    clean = 0.4 + 0.15 * np.sin(x / 9 + phases[:, :, 0]) + 0.15 * np.cos(y / 13 + phases[:, :, 1])
    clean = np.clip(clean + rng.normal(0, 0.02, clean.shape), 0, 1)
    streaks = 0.3 * (rng.random((batch, 1, height, width)) < 0.08)
    rainy = np.clip(clean + streaks, 0, 1)
    as_tensor = lambda values: torch.from_numpy(np.ascontiguousarray(values, np.float32))
    return as_tensor(rainy), as_tensor(clean), as_tensor(streaks > 0)


def infer(network, rainy):
    start = time.perf_counter()
    with torch.inference_mode():
        clean, attention = network(rainy)
        clean = clean.clamp_(0, 1)
    return time.perf_counter() - start, clean, attention


def step(network, rainy, truth, mask):
    for w in network.weights.values():
        w.grad = None
    start = time.perf_counter()
    clean, attention = network(rainy)
    loss = F.l1_loss(clean, truth) + F.mse_loss(attention, mask)
    loss.backward()
    return time.perf_counter() - start, clean.detach(), attention.detach(), loss.detach()


class Agreement:
    """Largest differences between two results; ends the run if one is above its tolerance."""

    def __init__(self, title):
        self.title, self.found, self.bad = title, [], False

    def add(self, name, got, expected, tolerance):
        if got.shape != expected.shape:
            sys.exit(f"{self.title}: {name}: shapes {list(got.shape)} and {list(expected.shape)}")
        difference = (got.double() - expected.double()).abs().max().item()
        self.bad |= not difference <= tolerance
        self.found.append(f"{name} {difference:.1e} (at most {tolerance:.1e})")

    def add_gradients(self, got, weights):
        """Of each tensor relative to its largest value; only the worst is named."""
        expected = {name: w.grad for name, w in weights.items() if w.grad is not None}
        if got.keys() != expected.keys():
            sys.exit(f"{self.title}: gradients of different parameters: {sorted(got.keys() ^ expected.keys())}")
        largest = lambda values: values.abs().max().item()
        tiny = np.finfo(np.float32).tiny
        worst, name = max((largest(got[n] - g) / max(largest(g), tiny), n) for n, g in expected.items())
        self.bad |= not worst <= GRADIENT_TOLERANCE
        count = f"{len(expected)} gradients"
        self.found.append(f"{count} {worst:.1e} of the largest value (at most {GRADIENT_TOLERANCE:.1e}; {name})")

    def close(self):
        text = f"agreement: {self.title}: {', '.join(self.found)}"
        note(text)
        if self.bad:
            sys.exit(f"no timing without agreement: {text}")


def compare_inference(race, folder, weights, form, side, bgr):
    rainy, _, _ = picture(np.random.default_rng(side), 1, side, side)
    save_file({"picture": rainy}, folder / "picture.safetensors")
    contenders = [("derain", lambda: race.peer.ask("infer", input=folder / "picture.safetensors")["seconds"])]
    race.peer.ask("infer", input=folder / "picture.safetensors", output=folder / "derained.safetensors")
    derained = load_file(folder / "derained.safetensors")
    rainy = rainy.flip(1) if bgr else rainy
    variants = (("NCHW, plain scans", {"plain_scans": True}), ("NCHW", {}), ("channels-last", {"channels_last": True}),
                ("channels-last, scans left out", {"channels_last": True, "scans": False}))
    for label, options in variants:
        network = Spanet(weights, form, **options)
        _, clean, attention = infer(network, rainy)
        if options.get("scans", True):
            agreement = Agreement(f"{form} form, inference {side}x{side}, {label}")
            clean = clean.flip(1) if bgr else clean
            inside = ((clean > 0) & (clean < 1)).double().mean().item()
            clean = clean[0].permute(1, 2, 0)
            agreement.add(f"picture ({inside:.0%} of it inside 0..1)", derained["clean"], clean, OUTPUT_TOLERANCE)
            # The map is an 8-bit picture.
            agreement.add("attention", derained["attention"] / 255, attention[0, 0], 0.5 / 255 + OUTPUT_TOLERANCE)
            agreement.close()
        contenders.append((f"PyTorch, {label}", lambda network=network: infer(network, rainy)[0]))
    title = f"Inference, {form} form, 1x3x{side}x{side}"
    return title, race.run(title, contenders)


def compare_training(race, folder, weights, form):
    rainy, clean, mask = picture(np.random.default_rng(0), TRAINING_BATCH, TRAINING_SIDE, TRAINING_SIDE)
    save_file({"rainy": rainy, "clean": clean, "mask": mask}, folder / "batch.safetensors")
    contenders = [("derain", lambda: race.peer.ask("step", input=folder / "batch.safetensors")["seconds"])]
    race.peer.ask("step", input=folder / "batch.safetensors", output=folder / "step.safetensors")
    own = load_file(folder / "step.safetensors")
    gradients = {name.removeprefix("gradient."): g for name, g in own.items() if name.startswith("gradient.")}
    for label, channels_last in (("NCHW", False), ("channels-last", True)):
        network = Spanet(weights, form, channels_last=channels_last, train=True)
        results = step(network, rainy, clean, mask)[1:]
        agreement = Agreement(f"{form} form, training step, {label}")
        for name, result in zip(("clean", "attention", "loss"), results):
            agreement.add(name, own[name], result, OUTPUT_TOLERANCE)
        agreement.add_gradients(gradients, network.weights)
        agreement.close()
        contenders.append((f"PyTorch, {label}", lambda network=network: step(network, rainy, clean, mask)[0]))
    title = f"Training step, {form} form, {TRAINING_BATCH}x3x{TRAINING_SIDE}x{TRAINING_SIDE}"
    return title, race.run(title, contenders)


def machine(threads):
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    rustc = subprocess.run(["rustc", "--version"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    pytorch = f"PyTorch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"
    return f"{cpu}, {threads} threads each, {platform.system()}; rustc {rustc.split()[1]}; {pytorch}"


def show(table, markdown):
    title, rows = table
    if markdown:
        print(f"\n| {title} | median s | min..max | median ratio to derain |\n| --- | --- | --- | --- |")
        for label, median, least, most, ratio in rows:
            print(f"| {label} | {median:.3f} | {least:.3f}..{most:.3f} | {ratio:.2f} |")
    else:
        print(f"\n{title}\n  {'':<40} {'median s':>9} {'min..max':>16} {'ratio to derain':>16}")
        for label, median, least, most, ratio in rows:
            print(f"  {label:<40} {median:>9.3f} {f'{least:.3f}..{most:.3f}':>16} {ratio:>16.2f}")
    sys.stdout.flush()


def parser(what, weights, sizes):
    """The options that every comparison has."""
    threads = int(os.environ.get("RAYON_NUM_THREADS") or os.cpu_count())
    parser = argparse.ArgumentParser(description=f"Times {what} beside PyTorch on the CPU; see README.md.")
    option = parser.add_argument
    option("--weights", type=Path, help=f"{weights}; default: initial values")
    option("--sizes", type=int, nargs="*", default=[256, 512], help=sizes)
    option("--rounds", type=int, default=7, help="timed rounds after one warm-up")
    option("--threads", type=int, default=threads, help="of each side")
    option("--markdown", action="store_true", help="print tables for documents")
    return parser


@contextmanager
def setting(arguments, initial):
    """A race, a folder for what both sides read, and the weights: their file and their tensors; `initial` is the request for initial values."""
    torch.set_num_threads(arguments.threads)
    race = Race(Peer(arguments.threads), arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        path = (arguments.weights or folder / "initial.safetensors").resolve()
        if arguments.weights is None:
            race.peer.ask(initial, path=path, seed=SEED)
        origin = arguments.weights.name if arguments.weights else f"initial, seed {SEED}"
        print(f"{machine(arguments.threads)}; weights: {origin}; {arguments.rounds} rounds", flush=True)
        yield race, folder, path, load_file(path)
    idle = 100 * race.idle_cpu / max(race.measured, 1e-9)
    note(f"\nwhile one side was timed, the other used {idle:.2f} % of one core")


def main():
    options = parser(
        "this project", "a safetensors file (inspect_weights converts .pth)", "sides of the pictures for inference"
    )
    option = options.add_argument
    option("--forms", nargs="*", default=["paper", "release"], choices=["paper", "release"])
    option("--no-training", action="store_true", help="inference only")
    option("--keep-freed-memory", action="store_true", help="let neither process give freed memory back to the system")
    arguments = options.parse_args()

    with setting(arguments, "initial_weights") as (race, folder, path, weights):
        for form in arguments.forms:
            config = race.peer.ask("load", weights=path, form=form)["config"]
            if config["attention"] != "shared":
                sys.exit(f"{path}: compared is one shared attention module, not attention: {config['attention']}")
            for side in arguments.sizes:
                bgr = config["channel_order"] == "bgr"
                show(compare_inference(race, folder, weights, form, side, bgr), arguments.markdown)
            if not arguments.no_training:
                show(compare_training(race, folder, weights, form), arguments.markdown)


if __name__ == "__main__":
    main()
