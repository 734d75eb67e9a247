"""Times RRANet's inference beside PyTorch on the CPU, after checking that both agree.

    pip install -r benches/peers/requirements.txt
    python benches/peers/compare_rranet.py [--weights FILE.safetensors] [--markdown]

README.md says what is compared, how, and what is not. Tables go to stdout, progress to stderr.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from compare import OUTPUT_TOLERANCE, Agreement, infer, machine, picture, show
from race import Peer, Race, note
from rranet import Rranet

SEED = 5


def compare(race, folder, weights, side, compiled):
    rainy, _, _ = picture(np.random.default_rng(side), 1, side, side)
    save_file({"picture": rainy}, folder / "picture.safetensors")
    contenders = [("derain", lambda: race.peer.ask("infer", input=folder / "picture.safetensors")["seconds"])]
    race.peer.ask("infer", input=folder / "picture.safetensors", output=folder / "derained.safetensors")
    derained = load_file(folder / "derained.safetensors")
    variants = [("NCHW", {}), ("channels-last, norms not folded", {"channels_last": True, "fold": False}),
                ("channels-last", {"channels_last": True})]
    variants += [("channels-last, torch.compile", {"channels_last": True})] if compiled else []
    for label, options in variants:
        network = Rranet(weights, **options).eval()
        network = torch.compile(network) if "compile" in label else network
        _, clean, maps = infer(network, rainy)
        agreement = Agreement(f"inference {side}x{side}, {label}")
        inside = ((clean > 0) & (clean < 1)).double().mean().item()
        what = f"picture ({inside:.0%} of it inside 0..1)"
        agreement.add(what, derained["clean"], clean[0].permute(1, 2, 0), OUTPUT_TOLERANCE)
        # The map is an 8-bit picture.
        agreement.add("attention", derained["attention"] / 255, maps[-1][0, 0], 0.5 / 255 + OUTPUT_TOLERANCE)
        agreement.close()
        contenders.append((f"PyTorch, {label}", lambda network=network: infer(network, rainy)[0]))
    title = f"RRANet, inference, 1x3x{side}x{side}"
    return title, race.run(title, contenders)


def main():
    threads = int(os.environ.get("RAYON_NUM_THREADS") or os.cpu_count())
    parser = argparse.ArgumentParser(description="Times RRANet beside PyTorch on the CPU; see README.md.")
    option = parser.add_argument
    option("--weights", type=Path, help="a safetensors file of the default configuration; default: initial values")
    option("--sizes", type=int, nargs="*", default=[256, 512], help="sides of the pictures, multiples of 8")
    option("--rounds", type=int, default=7, help="timed rounds after one warm-up")
    option("--threads", type=int, default=threads, help="of each side")
    option("--compile", action="store_true", help="also torch.compile, which needs a C++ compiler")
    option("--markdown", action="store_true", help="print tables for documents")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    race = Race(Peer(arguments.threads), arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        path = (arguments.weights or folder / "initial.safetensors").resolve()
        if arguments.weights is None:
            race.peer.ask("initial_rranet", path=path, seed=SEED)
        weights = load_file(path)
        origin = arguments.weights.name if arguments.weights else f"initial, seed {SEED}"
        print(f"{machine(arguments.threads)}; weights: {origin}; {arguments.rounds} rounds", flush=True)
        race.peer.ask("load_rranet", weights=path)
        for side in arguments.sizes:
            show(compare(race, folder, weights, side, arguments.compile), arguments.markdown)
    idle = 100 * race.idle_cpu / max(race.measured, 1e-9)
    note(f"\nwhile one side was timed, the other used {idle:.2f} % of one core")


if __name__ == "__main__":
    main()
