import gzip
import os
import zlib

import numpy as np
import pytest

from omnisyn.volumes import gzip_member
from omnisyn.volumes.gzip_member import pack


def scan(size):
    """Bytes that pack about as well as those of a scan."""
    noise = np.random.default_rng(2).normal(300, 30, size // 2).astype("<i2").tobytes()
    return noise + bytes(size - len(noise))


@pytest.mark.parametrize("size", [0, 1, 5000, 2**20 - 1, 2**20, 2**20 + 1, 5_000_000])
def test_what_is_packed_is_one_member_that_holds_the_content(size):
    content = scan(size)

    packed = b"".join(pack(content))

    member = zlib.decompressobj(wbits=31)
    assert member.decompress(packed) == content
    assert member.eof
    assert member.unused_data == b""
    assert gzip.decompress(packed) == content


def test_the_bytes_do_not_depend_on_the_number_of_cores(monkeypatch):
    content = scan(5_000_000)
    alone = []
    for cores in (1, 2, 7):
        monkeypatch.setattr(gzip_member.os, "cpu_count", lambda cores=cores: cores)
        alone.append(b"".join(pack(content)))

    assert alone[0] == alone[1] == alone[2]


def test_several_contents_follow_each_other():
    values = np.arange(3_000_000, dtype=np.float32)

    assert gzip.decompress(b"".join(pack(b"header", values.data))) == b"header" + values.tobytes()


@pytest.mark.parametrize("content", [scan(3_000_000), os.urandom(3_000_000)])
def test_files_are_at_most_a_tenth_larger_than_zlibs_fastest(content):
    assert sum(map(len, pack(content))) <= 1.1 * len(zlib.compress(content, 1))
