"""Figures of the measurements: times beside those of other programs, and how they grow."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.programs import BASE, OWN, PROGRAMS
from benchmarks.scaling import SERIES
from benchmarks.tables import SHORT, ratios

BLUE, ORANGE, GRAY = "#0072B2", "#D55E00", "#777777"
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "font.size": 9.0,
    "legend.frameon": False,
    "savefig.dpi": 200,
}


def plain(value, _position=None):
    return f"{value:g}" if value < 1_000 else f"{value:,.0f}"


def shown(found):
    """Programs with times that count, the fastest first."""
    names = [
        n
        for n, own in found["programs"].items()
        if n in PROGRAMS and n not in (OWN, BASE) and own["seconds"] and own.get("agrees", True)
    ]
    return sorted(names, key=lambda n: -min(ratios(found, n)))


def beside_others(results):
    """A panel for each of some jobs: times as multiples of skmixed's, on a logarithmic axis."""
    jobs = [results["jobs"][name] for name in SHORT if name in results["jobs"]]
    shape = {"figsize": (8.4, 7.4), "squeeze": False, "sharex": True}
    figure, axes = plt.subplots(-(-len(jobs) // 2), 2, **shape)
    for ax in axes.flat[len(jobs) :]:
        ax.set_axis_off()
    for ax, found in zip(axes.flat, jobs, strict=False):
        names = shown(found)
        for k, name in enumerate(names):
            own = ratios(found, name)
            ax.plot([min(own), max(own)], [k, k], "o-", color=BLUE, lw=3, ms=4)
        ax.axvline(1.0, color=ORANGE, lw=1.2)
        ax.set(xscale="log", yticks=range(len(names)), yticklabels=names)
        ax.set_ylim(-0.6, max(len(names), 1) - 0.4)
        ax.xaxis.set_major_formatter(FuncFormatter(plain))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_title(found["title"].replace(": ", ":\n"), fontsize=9, loc="left")
        ax.tick_params(labelbottom=True)
    label = "time of a fit, as a multiple of skmixed's (orange line), least to greatest"
    figure.supxlabel(label, fontsize=9)
    return figure


def growth(results):
    """Time and memory of skmixed and of a regression without groups, by size."""
    series = {s.name: results["scaling"][s.name] for s in SERIES}
    shape = {"figsize": (11.0, 4.6), "squeeze": False, "sharey": "row"}
    figure, axes = plt.subplots(2, len(series), **shape)
    for column, own in zip(axes.T, series.values(), strict=True):
        for ax, what, unit in zip(column, ("seconds", "memory"), (1.0, 2**20), strict=True):
            for name, color in ((OWN, BLUE), (BASE, GRAY)):
                values = own["programs"][name][what]
                pairs = [(s, v / unit) for s, v in zip(own["sizes"], values, strict=True) if v]
                label = OWN if name == OWN else "LinearRegression"
                ax.plot(*zip(*pairs, strict=True), "o-", ms=3, color=color, label=label)
            ax.set(xscale="log", yscale="log")
            ax.minorticks_off()
            ax.xaxis.set_major_formatter(FuncFormatter(plain))
            ax.yaxis.set_major_formatter(FuncFormatter(plain))
            ax.set_xticks([own["sizes"][0], own["sizes"][-1]])
        column[0].set_title(own["unit"].replace(" of two", "\nof two"), fontsize=9, loc="left")
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("memory of the fit (MB)")
    axes[0, 0].legend()
    return figure


FIGURES = {"benchmarks.png": beside_others, "scaling.png": growth}


def draw(results, folder, digest):
    """Write all figures; each says of which results it is."""
    with plt.rc_context(STYLE):
        for name, figure_of in FIGURES.items():
            figure = figure_of(results)
            figure.savefig(folder / name, metadata={"Description": digest, "Software": None})
            plt.close(figure)
