"""A person's own file: schedules, networks, samplers and data sets that stand in the one table beside those of the program.

    from core.extend import dataset, network, sampler, schedule

    @schedule("steep", help="alpha-bar falls late")
    def steep(u: float) -> float:
        return math.cos(u * math.pi / 2) ** 4

`tinydiff-tui --extend FILE` reads it, with every command. Run in any other way, the decorators change nothing.
"""

from core.extend.entries import dataset, network, sampler, schedule

__all__ = ["dataset", "network", "sampler", "schedule"]
