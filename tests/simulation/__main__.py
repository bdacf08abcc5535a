"""Play seeds by hand: ``python -m simulation SEED`` tells its story, ``FROM:TO`` looks for trouble."""

import argparse
import sys
import time


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds")
    parser.add_argument("--size", type=int)
    parser.add_argument("--no-faults", action="store_true")
    parser.add_argument("--story", action="store_true")
    parser.add_argument("--most", type=int, default=1, help="failures after which it ends")
    parser.add_argument("--mutant", help="make a mistake; see mutants.py")
    given = parser.parse_args()
    if given.mutant:
        from simulation.mutants import mutate

        mutate(given.mutant)
    from simulation.play import play
    from simulation.scheduler import Endless
    from simulation.world import Broken

    first, _, last = given.seeds.partition(":")
    seeds = range(int(first), int(last)) if last else [int(first)]
    start, failed = time.monotonic(), 0
    for seed in seeds:
        try:
            world = play(seed, size=given.size, faults=not given.no_faults)
        except (Broken, Endless) as broken:
            failed += 1
            print(broken if given.most > 1 else broken.story)
            if broken.__cause__ is not None and given.most == 1:
                raise
            if failed >= given.most:
                break
        else:
            if given.story or len(seeds) == 1:
                print(world.told())
    print(f"{len(seeds)} seeds, {failed} broken, {time.monotonic() - start:.1f} s", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
