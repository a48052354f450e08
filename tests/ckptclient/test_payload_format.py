"""`docs/PAYLOAD.md` is executed: its tags are the code's tags, its examples the golden vectors."""

import datetime as dt
import decimal
import pathlib
import re
import zoneinfo

import numpy as np
import pytest

from ckptclient.payload import decode_value, encode_value, tags

from .payload_values import Colour, Pair, same

TEXT = (pathlib.Path(__file__).parents[2] / "docs" / "PAYLOAD.md").read_text()
EXAMPLES = re.findall(r"^\| `(.+)` \| `([0-9a-f]+)` \|$", TEXT, re.MULTILINE)
NAMES = {
    "datetime": dt.datetime, "timedelta": dt.timedelta, "timezone": dt.timezone, "ZoneInfo": zoneinfo.ZoneInfo,
    "Decimal": decimal.Decimal, "PurePosixPath": pathlib.PurePosixPath, "numpy": np, "Colour": Colour, "Pair": Pair,
}  # fmt: skip


def test_the_table_of_tags_is_complete() -> None:
    documented = {int(number) for number in re.findall(r"^\| (\d+) \| ", TEXT, re.MULTILINE)}
    known = {
        value for name, value in vars(tags).items() if name.isupper() and type(value) is int and name != "TAG_CODE"
    }
    assert documented == known


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 15


@pytest.mark.parametrize(("expression", "hexadecimal"), EXAMPLES, ids=[expression for expression, _ in EXAMPLES])
def test_examples(expression: str, hexadecimal: str) -> None:
    value = eval(expression, NAMES)
    assert encode_value(value).hex() == hexadecimal
    assert same(decode_value(bytes.fromhex(hexadecimal)), value)
