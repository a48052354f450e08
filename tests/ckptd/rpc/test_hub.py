"""What sessions share: refusals are counted, and of writes those that the worker could not help."""

from pathlib import Path

import pytest

from ckptclient.errors import CkptdError, Damaged, Fenced, NoSpace, ReadOnly
from ckptclient.wire.params import Mutate
from ckptd.rpc.methods import Handler
from ckptd.service.caller import Caller
from tests.ckptd.rpc.serving import route, serving


def refusing(error: Exception) -> Handler:
    def handler(_caller: Caller, _params: object) -> dict[str, object]:
        raise error

    return handler


@pytest.mark.parametrize(
    ("error", "mutates", "counted"),
    [
        (Fenced("a newer epoch"), True, {"errors_fenced_total": 1}),
        (NoSpace("full"), True, {"errors_no_space_total": 1}),
        (KeyError("a bug"), True, {"errors_internal_total": 1, "writes_failed_total": 1}),
        (ReadOnly("no writes"), True, {"errors_read_only_total": 1, "writes_failed_total": 1}),
        (Damaged("torn"), False, {"errors_damaged_total": 1}),
    ],
)
async def test_refusals_are_counted(
    tmp_path: Path, error: CkptdError | KeyError, mutates: bool, counted: dict[str, int]
) -> None:
    asked = route("thing.do", refusing(error), params=Mutate, mutates=mutates)
    async with serving(tmp_path, asked) as daemon:
        client = await daemon.client()
        await client.call("thing.do", {"request": 1})
        client.close()
        found = daemon.hub.metrics.snapshot()
    assert {name: value for name, value in found.items() if name.startswith(("errors_", "writes_"))} == counted
