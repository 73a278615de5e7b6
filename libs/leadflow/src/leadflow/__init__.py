"""What every leadflow service shares: records and their codec, Kafka, the database, health, logs.

Transport only. A rule about leads never lives here.
"""
