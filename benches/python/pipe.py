"""Python's Pipe by the same rules as `cargo bench --bench ratios -- Connection`: two processes, each on its own of two CPUs (or both on
one), medians of ten rounds, what comes is checked. `--test` does a little of everything once."""

import multiprocessing
import os
import statistics
import struct
import sys
import time

TEST = "--test" in sys.argv
CPUS = sorted(os.sched_getaffinity(0))[:2]


def sized(count):
    return max(count // 100, 1) if TEST else count


def pinned(cpu, work, *args):
    os.sched_setaffinity(0, {cpu})
    work(*args)


def echo(end, rounds):
    for _ in range(rounds):
        end.send_bytes(end.recv_bytes())


def echo_values(end, rounds):
    for _ in range(rounds):
        end.send(end.recv())


def sink(end, rounds):
    for number in range(rounds):
        message = end.recv_bytes()
        assert struct.unpack_from("Q", message)[0] == number
    end.send_bytes(b"all")


def trips(end, rounds):
    for number in range(rounds):
        message = struct.pack("Q", number)
        end.send_bytes(message)
        assert end.recv_bytes() == message


def value_trips(end, rounds):
    for number in range(rounds):
        end.send(number)
        assert end.recv() == number


def source(size):
    def send(end, rounds):
        rest = bytes(size - 8)
        for number in range(rounds):
            end.send_bytes(struct.pack("Q", number) + rest)
        assert end.recv_bytes() == b"all"

    return send


def seconds(here, there, rounds, apart):
    """The time of one round of the work, with a new pipe and a new process."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    cpu = CPUS[-1 if apart else 0]
    process = context.Process(target=pinned, args=(cpu, there, theirs, rounds))
    process.start()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CPUS[0]})
    begin = time.perf_counter()
    here(ours, rounds)
    end = time.perf_counter()
    os.sched_setaffinity(0, before)
    process.join()
    assert process.exitcode == 0
    return end - begin


def line(what, unit, scale, here, there, rounds, apart=True):
    rounds = sized(rounds)
    times = [seconds(here, there, rounds, apart) for _ in range(1 if TEST else 10)]
    print(f"{what:<62} {scale(statistics.median(times) / rounds):>10.3f}  {unit}")


def microseconds(each):
    return each * 1e6


def millions(each):
    return 1e-6 / each


def gibibytes(each):
    return (64 << 10) / (1 << 30) / each


def main():
    print(f"Python {sys.version.split()[0]}")
    line("Pipe round trip, hot, bytes", "us", microseconds, trips, echo, 10_000)
    line("Pipe round trip, hot, values", "us", microseconds, value_trips, echo_values, 10_000)
    line("Pipe round trip, one CPU, bytes", "us", microseconds, trips, echo, 10_000, apart=False)
    line("Pipe round trip, one CPU, values", "us", microseconds, value_trips, echo_values, 10_000, apart=False)
    line("Pipe 8 B", "M/s", millions, source(8), sink, 100_000)
    line("Pipe 64 KiB", "GiB/s", gibibytes, source(64 << 10), sink, 8_000)


if __name__ == "__main__":
    main()
