"""Stand-ins for what a notebook expects of Colab: `google.colab`, which does what can be done offline and nothing else.

`google` stays a namespace: only `google.colab…` is answered, so that `google.protobuf` keeps working.
"""

import os
import types

from . import absent
from .originals import hide


def answerer(context):
    """A function for `imports.Made`: module name -> stand-in module, or None."""

    def mount(path="/content/drive", *_, **__):
        context.note("colab", f"drive.mount({str(path)[:60]!r}) made an empty folder: no Drive is available while grading")
        for name in ("MyDrive", "My Drive"):
            try:
                os.makedirs(os.path.join(str(path), name), exist_ok=True)
            except OSError:
                pass
        print(f"Mounted at {path} (an empty folder: no Drive is available while grading)")

    def upload(*_, **__):
        context.note("colab", "files.upload() cannot ask for files while grading: what it returns is unknown")
        return absent.Unknown("files.upload()", context.absent.told, "unknown", "no file can be uploaded while grading")

    def secret(name, *_, **__):
        context.note("colab", "a secret of userdata is answered with an empty text")
        return ""

    known = {"drive": {"mount": mount}, "files": {"upload": upload}, "userdata": {"get": secret}}

    def answer(name):
        if name == "google":
            module = types.ModuleType(name)
            module.__path__ = []
            return module
        if name != "google.colab" and not name.startswith("google.colab."):
            return None
        context.note("colab", "google.colab is answered by a stand-in: what it does not know does nothing while grading")
        module = absent.Module(name, context.absent.told, "quiet")
        module.__dict__.update(known.get(name.removeprefix("google.colab."), {}))
        if name == "google.colab":
            module.__dict__.update({part: answer(f"{name}.{part}") for part in known})
        hide(module)
        return module

    return answer
