"""The table of encodings: what it counts, and that what it shows is what was measured."""

import json
from pathlib import Path

import pytest

from benchmarks import encoding
from benchmarks.peers.archivers import Borg, Restic
from benchmarks.report import BEGIN, END, report
from benchmarks.samples import Sample
from tests.ckptd.store.saving import noise_source

noise = noise_source()
DATA = noise(40_000)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [
        Sample("a document", "document", [DATA, DATA[:100] + b"changed" + DATA[100:]]),
        Sample("an array", "array", [bytes(range(256)) * 400, bytes(range(256)) * 400], "<f4"),
        Sample("a file", "file", [DATA]),
    ]
    monkeypatch.setattr(encoding, "samples", lambda: iter(samples))
    monkeypatch.setattr(encoding, "RECORDS", 200)
    monkeypatch.setattr(encoding, "W2_VERSIONS", 4)
    monkeypatch.setattr(encoding, "DEPTHS", (0, 2))
    monkeypatch.setattr(Restic, "missing", classmethod(lambda _: "not asked for"))
    monkeypatch.setattr(Borg, "missing", classmethod(lambda _: "not asked for"))


def test_versions_that_share_are_counted_once(small: None, tmp_path: Path) -> None:
    document, array, _ = encoding.encoding_lines(tmp_path)
    assert 50 < document["save_percent"] < 52, "the first by itself, the second as a difference"
    assert document["save_by"] == "raw, delta"
    assert array["save_percent"] < 5
    assert document["zstd_percent"] > 99


def test_a_chain_takes_less_than_versions_by_themselves(small: None) -> None:
    whole, chained = encoding.depth_lines()
    assert (whole["depth"], chained["depth"]) == (0, 2)
    assert chained["stored_mb"] < whole["stored_mb"] / 1.5


def test_the_report_has_the_tables(small: None, tmp_path: Path) -> None:
    header = {"kind": "run", "command": "python -m benchmarks encodings", "scale": 1.0, "machine": {}, "versions": {}}
    results, page = tmp_path / "results.jsonl", tmp_path / "page.md"
    lines = [header, *encoding.encoding_lines(tmp_path), *encoding.depth_lines()]
    results.write_text("\n".join(json.dumps(line) for line in lines))
    page.write_text(f"{BEGIN}\n{END}\n")
    report([results], page)
    text = page.read_text()
    assert "| a document |" in text
    assert "| store.delta_depth |" in text
