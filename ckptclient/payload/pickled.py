"""States as pickles: only for who asks for it by name. Loading one runs whatever code it holds."""

import pickle  # noqa: TID251  (this is the room)
from collections.abc import Callable

from ckptclient.errors import CkptdError, Encoding

from .parts import BUFFER_BYTES_MIN, DOCUMENT, Part, buffer_name


def encode_pickle(state: object) -> list[Part]:
    """Return the pickle, and the large buffers that it leaves out of band (protocol 5), as parts.

    Raises `Encoding` where pickle can't; it has no limit on size.
    """
    found: list[Part] = []

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        data = buffer.raw()
        if data.nbytes < BUFFER_BYTES_MIN:
            return True
        form = {"kind": "bytes", "type": "pickle", "readonly": data.readonly}
        found.append(Part(buffer_name(len(found)), form, data))
        return False

    try:
        document = pickle.dumps(state, protocol=5, buffer_callback=keep_in_band)
    except Exception as error:
        raise Encoding(f"state can't be pickled: {error}", details={"cause": type(error).__name__}) from error
    form = {"kind": "document", "encoding": "pickle", "buffers": len(found)}
    return [Part(DOCUMENT, form, document), *found]


def decode_pickle(document: Part, part: Callable[[str], Part]) -> object:
    """Load a pickle. Raises `Encoding` for whatever goes wrong inside it."""
    count = document.form.get("buffers")
    if type(count) is not int or count < 0:
        raise Encoding(f"a pickle has a number of buffers, not {count!r}")
    try:
        buffers = (_own(part(buffer_name(index))) for index in range(count))
        return pickle.loads(document.data, buffers=buffers)  # noqa: S301
    except CkptdError:
        raise
    except Exception as error:
        raise Encoding(f"the pickle can't be loaded: {error}", details={"cause": type(error).__name__}) from error


def _own(part: Part) -> bytes | bytearray | memoryview:
    """Memory that is as writable as it was: NumPy takes that over from the buffer."""
    if part.form.get("readonly"):
        return bytes(part.data)
    view = memoryview(part.data)
    return bytearray(view) if view.readonly else view
