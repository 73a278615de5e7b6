"""`leadflow topics`: what lies on the topics, and who is behind."""

from __future__ import annotations

import os
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from leadflow import topics as catalogue
from leadflow.kafka.port import TopicPartition
from leadflow_cli.groups import Groups, group_lags
from leadflow_cli.reading import reader
from leadflow_cli.targets import Target
from leadflow_cli.terminal import console


def topics() -> None:
    """Show every topic with its partitions, its records and each group's lag."""
    bootstrap = Target.find(os.environ).kafka_bootstrap
    with reader(bootstrap) as log:
        places = [place for topic in catalogue.ALL for place in log.partitions(topic.name)]
        ends = log.ends(places)
    print_topics(console(), ends, group_lags(Groups(bootstrap).committed(), ends))


def print_topics(
    out: Console,
    ends: Mapping[TopicPartition, tuple[int, int]],
    lags: Mapping[str, Mapping[str, int]],
) -> None:
    """A row a topic. Records are those that the broker still keeps."""
    table = Table(box=None, pad_edge=False)
    table.add_column("topic")
    table.add_column("partitions", justify="right")
    table.add_column("records", justify="right")
    table.add_column("lag by group")
    for topic in catalogue.ALL:
        bounds = [bound for place, bound in ends.items() if place.topic == topic.name]
        behind = lags.get(topic.name, {})
        table.add_row(
            topic.name,
            str(len(bounds)),
            str(sum(end - low for low, end in bounds)),
            ", ".join(f"{group} {lag}" for group, lag in behind.items()),
        )
    out.print(table)
