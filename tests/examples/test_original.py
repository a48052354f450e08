"""Programs of the original system run when nothing changes but their import lines.

`original/` has the programs of its documentation, letter by letter. What they import that was never part of it, or
forgot to import, is in `PRELUDES`; those that only define something are driven by the lines in `DRIVERS`.
"""

import re
from pathlib import Path

import pytest

from tests.examples.programs import place

ORIGINAL = Path(__file__).parent / "original"
IMPORT = re.compile(r"^from checkpoint_(?:system|utils) import", re.MULTILINE)

SAYS = {
    "quick_start": (r"^Checkpoint system initialized successfully$", r"^System health: \w+ \(score: "),
    "progress": (
        r"^Progress: 100% - Processing batch 11$",
        r"^Process completed with checkpoint: data_processing_001_",
    ),
    "recovery": (r"^Recovered process at \d+\.0% completion$", r"^Process completed after recovery$"),
    "custom_checkpoints": (
        r"^Created model checkpoint: training_session_001_model_state_",
        r"^Created batch checkpoint: ",
    ),
    "optimization": (r"^  Space freed: \d+\.\d\d MB$", r"^  Storage efficiency: \{"),
    "configuration": (r"^10.0 3600 24$",),
    "monitoring": (r"^Health Score: \d+(\.\d+)?/100$", r"^  Total size: \d+(\.\d+)? MB$", r"^Active Processes: 0$"),
    "pipeline": (r"^final: pipeline_7_processing_state_", r"^100\.0$"),
    "notifications": (r"^alert: Model Checkpoint Created: .* created for epoch 15$",),
}

STAND_INS = """
import asyncio, sys, threading, types
def module(name, **names):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(names)
"""

PRELUDES = {
    "recovery": "import asyncio\n",
    "custom_checkpoints": "import asyncio\n",
    "pipeline": STAND_INS
    + """
class ProcessingPipeline:
    async def process_item(self, item):
        return item.id * 2
module("distributed_processing", ProcessingPipeline=ProcessingPipeline)
""",
    "notifications": STAND_INS
    + """
from ckptclient import CheckpointType, setup_checkpoint_system
told = threading.Event()
class NotificationPriority:
    LOW, HIGH = "low", "high"
class NotificationManager:
    async def send_alert(self, title, message, priority, metadata):
        print(f"alert: {title}: {message}", flush=True)
        told.set()
module("monitoring")
module("monitoring.notification_integrations", NotificationManager=NotificationManager)
""",
}

DRIVERS = {
    "configuration": "print(config.max_storage_size_gb, config.cleanup_interval, config.default_ttl_hours)\n",
    "pipeline": """
pipeline = CheckpointedPipeline()
items = [types.SimpleNamespace(id=number) for number in range(20)]
final = asyncio.run(pipeline.process_batch(7, items))
print(f"final: {final}")
_, data = pipeline.checkpoint_manager.storage.load_checkpoint(final)
state = data["state"]
print(state["progress_percentage"] if isinstance(state, dict) else state.progress_percentage)
""",
    "notifications": """
manager, monitor = setup_checkpoint_system()
CheckpointMonitoringIntegration(monitor, NotificationManager())
manager.create_checkpoint("session", "training", CheckpointType.MODEL_STATE, {"epoch": 15}, description="epoch 15")
assert told.wait(20)
manager.stop_background_tasks()
monitor.stop_monitoring()
""",
}

INTERRUPTED = """
import os, signal
from ckptclient import CheckpointManager
manager = CheckpointManager()
manager.register_process("interrupted_process_001", "work", 20)
for step in range(1, 16):
    manager.update_process_progress("interrupted_process_001", completed_steps=step, current_step=f"step {step}")
os.kill(os.getpid(), signal.SIGKILL)
"""


def ported(name: str) -> str:
    """The original program with other import lines, between its prelude and its driver."""
    text, count = IMPORT.subn("from ckptclient import", (ORIGINAL / f"{name}.txt").read_text())
    assert count == 1 or name == "notifications"
    return PRELUDES.get(name, "") + text + DRIVERS.get(name, "")


def test_every_program_has_a_row() -> None:
    assert {path.stem for path in ORIGINAL.glob("*.txt")} == SAYS.keys()


@pytest.mark.parametrize("name", SAYS)
def test_original(name: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(ported(name))
    with place(tmp_path) as here:
        if name == "recovery":
            here.run("-c", INTERRUPTED, status=-9)
        said = here.run(str(program))
    for words in SAYS[name]:
        assert re.search(words, said, re.MULTILINE), said
