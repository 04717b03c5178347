"""Run as a program: what Keras by itself makes of each hole. Prints one JSON object: name -> [in safe mode, not in safe mode]."""

import base64
import json
import marshal  # noqa: TID251  (only to show what the gate keeps out)
import sys
from pathlib import Path

import keras  # noqa: TID251
from holes import LEFT_BEHIND, holes, layer, model

folder = Path(sys.argv[1])
(folder / "words.txt").write_text("secret\nwords\n")
written = folder / "code"
code = base64.b64encode(
    marshal.dumps((lambda x: open("WRITTEN", "w").close() or x).__code__.replace(co_consts=(None, str(written), "w")))
).decode()


def tried(part, *, safe):
    """accepted: it was built, ran: the code in it was run, read: the file was read; else the error's name."""
    written.unlink(missing_ok=True)
    try:
        made = keras.saving.deserialize_keras_object(part, safe_mode=safe)
        if hasattr(made, "get_vocabulary") and "secret" in made.get_vocabulary():
            return "read"
        if isinstance(made, keras.layers.Layer):
            made(keras.KerasTensor((2, 4)))
    except BaseException as error:
        return "ran" if written.exists() else f"{type(error).__name__}: {str(error)[:150]}"
    return "ran" if written.exists() else "accepted"


found = {}
for name, (part, _) in holes(code, str(folder / "words.txt"), str(folder)).items():
    found[name] = [tried(part, safe=True), tried(part, safe=False)]
plain = model(layer("Dense", units=2, name="d"))
found["compile configuration"] = [tried({**plain, **LEFT_BEHIND}, safe=True), tried(plain, safe=True)]
print(json.dumps(found))  # noqa: T201
