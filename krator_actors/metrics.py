"""What Prometheus is told: every metric's name, meaning and labels, in one place (docs/METRICS.md).

Nothing is asked here and nothing waits: a scrape shows what the gateway knows, with its age.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from krator_actors.core.journal_lag import JournalLag
from krator_actors.core.limit_use import limit_uses
from krator_actors.core.limits import RiskLimits
from krator_actors.core.order_statistics import OrderStatistics
from krator_actors.core.performance import EquitySamples, drawdown
from krator_actors.core.sightings import Sightings
from krator_actors.core.slippage import EDGES_BPS
from krator_actors.messages.risk import PortfolioReport, Scope
from krator_actors.model import NANOS_PER_SEC, OrderStatus, TradingState
from supervisors.status import NodeStatus
from supervisors.times import TimesTaken
