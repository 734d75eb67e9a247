#!/usr/bin/env python3
"""kernels.py TEXTS CUDA: compiles every CUDA text of a folder as derain does at run time, and prints what its kernels take.

CUDA holds bin/ptxas; the folder of its libraries must be on LD_LIBRARY_PATH, as NVRTC opens a second one by its bare name. Exits with 1 if
a text does not compile or a kernel keeps registers or arrays in memory. No GPU is needed.
"""

import ctypes
import pathlib
import re
import subprocess
import sys
import tempfile

# The oldest GPUs with bf16, those that derain is meant for, and newer ones, which take more registers.
CAPABILITIES = ["80", "90", "120"]


def check(nvrtc, code, what):
    if code != 0:
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        sys.exit(f"{what}: {nvrtc.nvrtcGetErrorString(code).decode()}")


def compiled(nvrtc, name, text, capability):
    """The PTX, with the options of derain-ops/src/cuda/compiled.rs."""
    program = ctypes.c_void_p()
    check(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, name.encode(), 0, None, None), name)
    options = [f"--gpu-architecture=compute_{capability}".encode(), b"--std=c++17"]
    failed = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    if failed:
        log = piece(nvrtc, program, "ProgramLog")
        sys.exit(f"{name} does not compile for sm_{capability}:\n{log.decode()}")
    return piece(nvrtc, program, "PTX")


def piece(nvrtc, program, what):
    size = ctypes.c_size_t()
    check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)), what)
    buffer = ctypes.create_string_buffer(size.value)
    check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}")(program, buffer), what)
    return buffer.value


def resources(ptxas, ptx, capability):
    """(kernel, registers, bytes of shared memory, bytes of a thread's own memory) of each kernel: spills, and arrays with varying places."""
    with tempfile.NamedTemporaryFile(suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        command = [ptxas, "-v", f"-arch=sm_{capability}", "-o", "/dev/null", file.name]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"ptxas: {done.stderr}")
    for part in done.stderr.split("Compiling entry function '")[1:]:
        own = sum(map(int, re.findall(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", part)))
        registers = int(re.search(r"Used (\d+) registers", part)[1])
        shared = re.search(r"(\d+) bytes smem", part)
        yield part.split("'")[0], registers, int(shared[1]) if shared else 0, own


def main(texts, cuda):
    nvrtc = ctypes.CDLL("libnvrtc.so.13")
    files = sorted(texts.glob("*.cu"))
    if not files:
        sys.exit(f"there are no texts in {texts}")
    slow = []
    print(f"{'text':<24}{'kernel':<34}{'sm':>3}{'registers':>11}{'shared':>9}{'own':>9}")
    for file in files:
        for capability in CAPABILITIES:
            ptx = compiled(nvrtc, file.name, file.read_bytes(), capability)
            for kernel, registers, shared, own in resources(cuda / "bin" / "ptxas", ptx, capability):
                print(f"{file.stem:<24}{kernel:<34}{capability:>3}{registers:>11}{shared:>9}{own:>9}")
                if own:
                    slow.append(f"{kernel} of {file.stem} for sm_{capability}")
    if slow:
        sys.exit("these kernels keep registers or arrays in memory: " + ", ".join(slow))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*map(pathlib.Path, sys.argv[1:]))
