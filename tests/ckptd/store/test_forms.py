"""What the store takes of a form: kinds and sizes of elements, and nothing of what it can't read."""

import msgpack
import numpy as np
import pytest
from hypothesis import given, strategies as st

from ckptclient.payload import encode
from ckptd.store.forms import Form, parse


@pytest.mark.parametrize(
    ("dtype", "element_bytes"),
    [
        ("<f4", 4), (">f8", 8), ("<f2", 2), ("|u1", 1), ("<i8", 8), ("|b1", 1), ("<c8", 4), ("<c16", 8), ("<M8[ns]", 8),
        ("<U10", 4), ("|S7", 1), ("|V2", 1), ("bfloat16", 2), ("float8_e4m3", 1), ("int4", 1), ("complex32", 2),
        ("bcomplex32", 2), ("", 1), ("nonsense", 1), ("<f0", 1), ("<f4444", 1), ({"size": 12, "fields": []}, 1), (4, 1), (None, 1),
    ],
)  # fmt: skip
def test_elements_of_arrays(dtype: object, element_bytes: int) -> None:
    assert parse(msgpack.packb({"kind": "array", "dtype": dtype})) == Form("array", element_bytes)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"kind": "document", "encoding": "msgpack"}, Form("document")),
        ({"kind": "bytes", "type": "bytes"}, Form("bytes")),
        ({"kind": "bytes", "type": "array", "layout": "<d8"}, Form("bytes", 8)),
        ({"kind": "document", "dtype": "<f4"}, Form("document")),
        ({"kind": 3}, Form()),
        ({}, Form()),
        ([1, 2], Form()),
    ],
)
def test_kinds(form: object, expected: Form) -> None:
    assert parse(msgpack.packb(form)) == expected


@given(st.binary(max_size=50))
def test_anything_else_is_a_part_of_no_kind(form: bytes) -> None:
    assert parse(form).element_bytes >= 1


@pytest.mark.parametrize("dtype", ["float32", "int16", "complex128", "bool", "datetime64[s]"])
def test_what_the_client_says_of_its_arrays_is_understood(dtype: str) -> None:
    array = np.zeros(100_000, dtype)
    _, part = encode({"weights": array})
    assert parse(msgpack.packb(part.form)) == Form("array", 8 if dtype == "complex128" else array.itemsize)
