from leadflow.kafka.port import TopicPartition
from leadflow_cli.groups import WORK, behind, group_lags

MESSAGES = [TopicPartition("messages", number) for number in range(2)]
ENDS = {MESSAGES[0]: (0, 10), MESSAGES[1]: (5, 8)}


def test_a_service_that_committed_to_the_end_is_not_behind() -> None:
    everywhere = {MESSAGES[0]: 10, MESSAGES[1]: 8}
    committed = {"intake": everywhere, "dispatcher": everywhere, "portal-api": everywhere}
    assert behind(committed, ENDS) == []


def test_what_was_never_committed_was_never_read() -> None:
    committed = {"intake": {MESSAGES[0]: 10, MESSAGES[1]: 8}, "dispatcher": {MESSAGES[0]: 9}}
    assert [str(each) for each in behind(committed, ENDS)] == [
        "dispatcher is 4 records behind on messages",
        "portal-api is 13 records behind on messages",
    ]


def test_a_group_of_the_services_name_with_a_suffix_is_the_services() -> None:
    everywhere = {MESSAGES[0]: 10, MESSAGES[1]: 8}
    committed = {
        "intake-messages": everywhere,
        "dispatcher-messages": everywhere,
        "portal-api": everywhere,
        "dispatcher": {},
    }
    assert behind(committed, ENDS) == []


def test_an_empty_partition_is_not_waited_for() -> None:
    assert behind({}, {TopicPartition("messages", 0): (4, 4)}) == []


def test_ticks_and_compacted_topics_are_no_work() -> None:
    names = {topic.name for topic in WORK}
    assert not names & {"sequencer-ticks", "sequence-definitions", "automation-controls"}
    assert {"raw-events", "crm-sync-retry-1h", "intake-dlq"} <= names


def test_lag_is_told_by_topic_and_group() -> None:
    committed = {"dispatcher": {MESSAGES[0]: 7}, "other": {TopicPartition("elsewhere", 0): 1}}
    assert group_lags(committed, ENDS) == {"messages": {"dispatcher": 6}, "elsewhere": {"other": 0}}
