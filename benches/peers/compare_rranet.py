"""Times RRANet's inference beside PyTorch on the CPU, after checking that both agree.

    pip install -r benches/peers/requirements.txt
    python benches/peers/compare_rranet.py [--weights FILE.safetensors] [--markdown]

README.md says what is compared, how, and what is not. Tables go to stdout, progress to stderr.
"""

import sys

sys.dont_write_bytecode = True

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from compare import OUTPUT_TOLERANCE, Agreement, infer, parser, picture, setting, show
from rranet import Rranet


def compare(race, folder, weights, side, compiled):
    rainy, _, _ = picture(np.random.default_rng(side), 1, side, side)
    save_file({"picture": rainy}, folder / "picture.safetensors")
    contenders = [("derain", lambda: race.peer.ask("infer", input=folder / "picture.safetensors")["seconds"])]
    race.peer.ask("infer", input=folder / "picture.safetensors", output=folder / "derained.safetensors")
    derained = load_file(folder / "derained.safetensors")
    variants = [("NCHW", {}), ("channels-last, norms not folded", {"channels_last": True, "fold": False}),
                ("channels-last", {"channels_last": True})]
    variants += [("channels-last, each stage by torch.compile", {"channels_last": True})] if compiled else []
    for label, options in variants:
        network = Rranet(weights, **options).eval()
        if "compile" in label:
            network.stage = torch.compile(network.stage)
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
    options = parser("RRANet", "a safetensors file of the default configuration", "sides of the pictures, multiples of 8")
    options.add_argument("--compile", action="store_true", help="also torch.compile, which needs a C++ compiler")
    arguments = options.parse_args()

    with setting(arguments, "initial_rranet") as (race, folder, path, weights):
        race.peer.ask("load_rranet", weights=path)
        for side in arguments.sizes:
            show(compare(race, folder, weights, side, arguments.compile), arguments.markdown)


if __name__ == "__main__":
    main()
