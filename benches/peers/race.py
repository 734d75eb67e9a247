"""Contenders in turn, in two processes of which only one computes at a time."""

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# glibc gives large blocks back to the kernel when they are freed, and every new tensor then pays for fresh pages. With these it keeps them,
# in both processes. Read at process start only.
KEEP_FREED_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(1 << 26)}
# Between two turns, so that the threads of the one that has finished are asleep when the other starts.
SETTLE_SECONDS = 0.1
# A round is repeated if other processes use more of the machine than this, so often per round that is asked for.
MOST_OTHERS, MOST_REPEATS = 0.05, 4


def note(text):
    print(text, file=sys.stderr, flush=True)


def busy_seconds():
    """CPU time of the whole machine so far, and what the hypervisor kept from it; None where that is not told."""
    try:
        user, nice, system, _, _, irq, soft_irq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + soft_irq + steal) / os.sysconf("SC_CLK_TCK")


class Peer:
    """The process of main.rs."""

    def __init__(self, threads):
        build = ["cargo", "bench", "--bench", "peers", "--no-run", "--message-format=json-render-diagnostics"]
        messages = subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        artifacts = [m for m in map(json.loads, messages) if m.get("target", {}).get("name") == "peers"]
        environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
        pipe = subprocess.PIPE
        command = [artifacts[-1]["executable"], "--serve"]
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)

    def ask(self, request, **arguments):
        line = json.dumps({request: {k: str(v) if isinstance(v, Path) else v for k, v in arguments.items()}})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"error": "the process ended"}')
        if "error" in answer:
            sys.exit(f"derain: {line}: {answer['error']}")
        return answer

    def cpu_seconds(self):
        """CPU time so far; 0 where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Race:
    """Runs contenders in turn and keeps their times."""

    def __init__(self, peer, rounds):
        self.peer, self.rounds = peer, rounds
        self.idle_cpu = self.measured = 0.0

    def round(self, contenders):
        """Each contender's seconds, and the share of the machine that other processes used meanwhile."""
        clock = lambda: (time.perf_counter(), busy_seconds(), time.process_time() + self.peer.cpu_seconds())
        start, busy, own = clock()
        times = []
        for k, (_, call) in enumerate(contenders):
            time.sleep(SETTLE_SECONDS)
            idle_side = time.process_time if k == 0 else self.peer.cpu_seconds
            before = idle_side()
            times.append(call())
            self.idle_cpu += idle_side() - before
            self.measured += times[-1]
        end, busy_now, own_now = clock()
        others = 0.0 if busy is None else (busy_now - busy - (own_now - own)) / ((end - start) * os.cpu_count())
        return times, others

    def run(self, title, contenders):
        """`contenders`: (label, call that gives seconds), first this project.

        Gives rows of label, median, least and largest seconds, and the median of the round-by-round ratios to the first.
        """
        note(f"timing: {title}")
        gc.collect()
        gc.disable()
        self.round(contenders)
        kept, disturbed, most = [], 0, MOST_REPEATS * self.rounds
        while len(kept) < self.rounds:
            times, others = self.round(contenders)
            if others <= MOST_OTHERS or disturbed >= most:
                kept.append(times)
            else:
                disturbed += 1
        gc.enable()
        if disturbed:
            given_up = "; the rest was kept all the same" if disturbed >= most else ""
            note(f"repeated {disturbed} rounds: other processes used over {MOST_OTHERS:.0%} of the machine{given_up}")
        rows = []
        for k, (label, _) in enumerate(contenders):
            own = [times[k] for times in kept]
            ratio = statistics.median(times[k] / times[0] for times in kept)
            rows.append((label, statistics.median(own), min(own), max(own), ratio))
        return rows
