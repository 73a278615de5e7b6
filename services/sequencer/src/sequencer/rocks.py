"""The local databases of a worker, and how much memory they take together."""

from __future__ import annotations

from pathlib import Path

import rocksdict

MEBIBYTE = 2**20
DEFAULT_MEMORY_MB = 256
BLOOM_BITS = 10


class Databases:
    """Opens databases of bytes to bytes that share one bound of memory.

    `memory_mb` holds the cached blocks, the indexes and filters of the files, and what is
    written but not yet in a file (files are written as soon as that takes half of it), for all
    databases together, however many partitions a worker is dealt. Bulk writing may go beyond it
    while files are being written. Faust's own options give each partition a cache of 2 GiB.
    """

    def __init__(self, memory_mb: int = DEFAULT_MEMORY_MB) -> None:
        bound = memory_mb * MEBIBYTE
        self._cache = rocksdict.Cache(bound)
        self._buffers = rocksdict.WriteBufferManager.new_write_buffer_manager_with_cache(
            bound // 2, False, self._cache
        )

    def open(self, path: Path, *, read_only: bool = False) -> rocksdict.Rdict:
        """The database in the folder `path`, made if there is none. It is Faust's store that
        calls this with `read_only`, which this program never asks for."""
        if read_only:
            raise ValueError("a worker writes its databases")
        return rocksdict.Rdict(str(path), options=self._options())

    def _options(self) -> rocksdict.Options:
        blocks = rocksdict.BlockBasedOptions()
        blocks.set_block_cache(self._cache)
        blocks.set_cache_index_and_filter_blocks(True)
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
        blocks.set_bloom_filter(BLOOM_BITS, block_based=False)
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(blocks)
        options.set_write_buffer_manager(self._buffers)
        options.set_write_buffer_size(16 * MEBIBYTE)
        options.set_max_write_buffer_number(2)
        options.set_target_file_size_base(32 * MEBIBYTE)
        options.set_compression_type(rocksdict.DBCompressionType.lz4())
        options.set_max_open_files(128)
        options.set_keep_log_file_num(2)
        return options
