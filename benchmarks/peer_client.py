#!/usr/bin/env python3
"""Time the peer: experimaestro's own SSH monitoring client, headless.

Run it with the python of a venv that holds `experimaestro==2.7.0`:

    python peer_client.py --host H --workspace DIR --xpm "PATH/experimaestro" -- -p 2222 -i KEY -o UserKnownHostsFile=F

prints one JSON object: seconds from process start to the first experiments list and to all jobs, CPU seconds and peak
memory (MiB) of the client.
"""

import argparse
import json
import resource
import time

START = time.perf_counter()

from experimaestro.scheduler.remote.client import SSHStateProviderClient  # noqa: E402 - timed, too


def main() -> None:
    """Connect, ask for everything once, print how long it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--workspace", required=True)
    parser.add_argument("--xpm", required=True)
    parser.add_argument("options", nargs="*")
    args = parser.parse_args()

    client = SSHStateProviderClient(
        host=args.host,
        remote_workspace=args.workspace,
        ssh_options=args.options,
        remote_xpm_path=args.xpm,
        output_callback=lambda line: None,
    )
    client.connect(timeout=300)
    experiments = client.get_experiments()
    first = time.perf_counter() - START
    jobs = client.get_all_jobs()
    everything = time.perf_counter() - START
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "first_list_s": round(first, 3),
                "all_jobs_s": round(everything, 3),
                "experiments": len(experiments),
                "jobs": len(jobs),
                "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
                "peak_mib": round(usage.ru_maxrss / 1024, 1),
            }
        )
    )
    client.disconnect()


if __name__ == "__main__":
    main()
