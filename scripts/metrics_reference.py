"""Generate ``docs/reference/metrics.md`` from `kuaimei.server.metrics`.

python -m scripts.metrics_reference            # writes the file
python -m scripts.metrics_reference --check    # status 1 if the file is out of date
"""

import re
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client.metrics_core import Metric

from kuaimei.analysis.job import AnalysisCounts as AnalysisCounts
from kuaimei.engines.scheduling import Scheduler
from kuaimei.http.refusals import Refusals
from kuaimei.rendering.model_cache import Counters
from kuaimei.rendering.renderer import RenderingCounts
from kuaimei.server.metrics import Metrics
from scripts.generated import ROOT, table, write_or_check

__all__ = ["TARGET", "render"]

TARGET = ROOT / "docs" / "reference" / "metrics.md"

_INTRO = """# Metrics

Written by `python -m scripts.metrics_reference` from `src/kuaimei/server/metrics.py`.

`/metrics` is in the text form of Prometheus and wants an operator's key. Latencies count from the last
voiced frame of the user. A histogram has `_bucket`, `_sum` and `_count`; a counter's name ends in `_total`.
Beside these stand `process_*` and `python_*`, as of every Python process that Prometheus watches.

```yaml
scrape_configs:
  - job_name: kuaimei
    authorization: {credentials: "km_…"} # kuaimei people add prometheus --role operator
    static_configs:
      - targets: ["127.0.0.1:8000"]
```
"""
_GROUPS = (
    ("Turns", ""),
    ("Engines", "kuaimei_(queue|asr|llm|clause)"),
    ("The beautiful tier", "kuaimei_(hq|models)"),
    ("Analysis", "kuaimei_anal"),
    ("Store", "kuaimei_(store|disk)"),
    ("Background tasks", "kuaimei_task"),
    ("Who was turned away", "kuaimei_refused"),
)


def main() -> None:
    """Write or check the file."""
    write_or_check(TARGET, render(), "scripts.metrics_reference")


def render() -> str:
    """Return the whole document."""
    lines = [_INTRO]
    families = _families()
    for title, _ in _GROUPS:
        rows = [row for row in families if _group(row[0].strip("`")) == title]
        lines += [f"## {title}\n", *table(["metric", "what it tells"], rows)]
    return "\n".join(lines).rstrip() + "\n"


def _group(name: str) -> str:
    for title, pattern in _GROUPS[1:]:
        if re.match(pattern, name):
            return title
    return _GROUPS[0][0]


def _families() -> list[list[str]]:
    """Return name and description of each metric, as exposed by a server with all features."""
    tier = SimpleNamespace(
        counts=RenderingCounts(), model_cache=SimpleNamespace(counters=Counters(), used_mb=0.0)
    )
    room = SimpleNamespace(counts=AnalysisCounts())
    tasks = cast(Any, SimpleNamespace(failures={"jobs": 0}))
    metrics = Metrics((Scheduler("cores", 1),), cast(Any, tier), cast(Any, room), Refusals(), tasks)
    metrics.analysis_backlog(0)
    return [
        [
            f"`{family.name}_total`" if family.type == "counter" else f"`{family.name}`",
            f"{family.documentation.rstrip('.')}. *{family.type}{_by(_labels(metrics, family))}*",
        ]
        for family in metrics.registry.collect()
        if family.name.startswith("kuaimei_")
    ]


def _by(labels: list[str]) -> str:
    return f", by {' and '.join(labels)}" if labels else ""


def _labels(metrics: Metrics, family: Metric) -> list[str]:
    """Return the label names of a metric, including those without samples yet."""
    collector = metrics.registry._names_to_collectors.get(family.name)
    declared = getattr(collector, "_labelnames", ())
    shown = {label for sample in family.samples for label in sample.labels} - {"le"}
    return sorted({*declared, *shown})


if __name__ == "__main__":
    main()
