"""Tells a terminal how far a campaign is, and its results."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from holdfast.base.console import console, marked
from holdfast.base.progress import rated
from holdfast.fault.results.rates_files import metrics_sentence, rates_tables
from holdfast.fault.results.tables import (
    audit,
    effects_table,
    independent_table,
    pairs_table,
    percent,
    precision,
)

from .campaign import CampaignResult, GuardRun, Observer, Prepared
from .spec import UnitStatistics


class ConsoleObserver(Observer):
    """Prints what a campaign does."""

    def doing(self, what: str) -> AbstractContextManager[Any]:
        return console.status(what)

    def planned(self, prepared: Prepared) -> None:
        """Prints the population, and what is drawn of it."""
        spec, plan = prepared.spec, prepared.plan
        excluded = ", ".join(f"{name} {bits:,} bits" for name, bits in plan.excluded.items())
        whole = sorted(plan.tried_whole(spec.counts))
        text = (
            f" on {spec.program.config.name}, {len(spec.codes)} image(s) of "
            f"{prepared.settings.images.name}: {plan.space.bits():,} bits x {plan.cycles:,} "
            f"{plan.sampler.unit}, {plan.total:,} faults, "
            f"{sum(spec.counts.values()):,} drawn. "
        )
        text += f"All faults of {', '.join(whole)}, each once. " if whole else ""
        text += f"Not injected: {excluded}." if excluded else "Nothing is excluded."
        console.print(marked((spec.program.graph.network, "bold"), text))

    def damaged(self, what: str) -> None:
        console.print(f"{what.removesuffix('.')}: its unit is computed again.")

    @contextmanager
    def computing(self, guard: str, faults: int) -> Iterator[Callable[[UnitStatistics], None]]:
        began = time.monotonic()
        spent = UnitStatistics()
        with rated(f"Faults, guard {guard}", faults, "{:,.0f} faults/s") as show:

            def tell(total: UnitStatistics) -> None:
                nonlocal spent
                spent = total
                show(total.faults)

            yield tell
        console.print(
            f"{spent.faults:,} faults in {time.monotonic() - began:.1f} s; {spent.shortcuts:.1f} s "
            f"of processor time, and {spent.audit:.1f} s for {spent.audited} of them by plain RTL; "
            f"{spent.carried:,} corruptions through the golden model."
        )

    def ended(self, run: GuardRun) -> None:
        summary = run.summary
        console.print(effects_table(summary, run.guard))
        console.print(
            f"Weighted by population: SDC-1 {percent(summary.total['sdc1'])} %, output or end "
            f"wrong (AVF) {percent(summary.total['avf'])} %."
        )
        if summary.sampling:
            console.print(precision(summary.sampling))
        if run.rates:
            for table in rates_tables(run.rates):
                console.print(table)
            console.print(metrics_sentence(run.rates))
        if accuracy := summary.accuracy:
            console.print(
                f"{accuracy.golden} of {accuracy.images} images are classified rightly "
                f"without a fault; an upset costs {percent(accuracy.drop)} % of accuracy."
            )
        console.print(audit(summary.audit))
        files = f"{run.folder / 'report.html'} and {run.folder / 'summary.json'}"
        console.print(f"{files} {'written' if run.written else 'lie there, on a read-only disk'}.")

    def compared(self, result: CampaignResult) -> None:
        """Prints the comparisons between guard settings and with other campaigns."""
        first = next(iter(result.runs))
        if result.pairs:
            console.print(pairs_table(f"guard {first}", result.pairs))
        for name, found in result.against.items():
            console.print(
                pairs_table(name, {first: found["pairs"]})
                if "pairs" in found
                else independent_table(name, found)
            )
