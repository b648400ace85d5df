#!/usr/bin/env python3
"""Runs GoogleTest programs and prints what became of each test as a RESULT line.
    googletest_results.py PROGRAM... [SCENARIO...]"""
import json
import os
import subprocess
import sys
import tempfile


def main():
    programs = [argument for argument in sys.argv[1:] if os.path.exists(argument)]
    only = [argument for argument in sys.argv[1:] if argument not in programs]
    failed = False
    for program in programs:
        with tempfile.TemporaryDirectory() as directory:
            written = f"{directory}/results.json"
            done = subprocess.run([program, f"--gtest_output=json:{written}",
                                   f"--gtest_filter={':'.join(only) or '*'}"], stdout=sys.stderr)
            failed = failed or done.returncode != 0
            if not os.path.exists(written):
                print(f"RESULT\t{os.path.basename(program)}\tfailed\texit status {done.returncode}")
                continue
            with open(written) as file:
                suites = json.load(file)["testsuites"]
        for suite in suites:
            for test in suite["testsuite"]:
                why = " ".join(" ".join(f["failure"] for f in test.get("failures", [])).split())
                outcome = ("failed" if why else
                           "ok" if test["result"] == "COMPLETED" else "skipped")
                print(f"RESULT\t{suite['name']}.{test['name']}\t{outcome}\t{why[:600]}", flush=True)
    sys.exit(1 if failed else 0)


main()
