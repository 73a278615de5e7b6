"""Apache Kafka and PostgreSQL from packages, for machines that have neither."""
