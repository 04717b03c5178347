"""Stand-ins for what a notebook expects of Colab: `google.colab` and `/content`. They do what can be done offline, or say plainly why not.

`google` stays a namespace: only `google.colab…` is answered, so that `google.protobuf` keeps working.
"""

import os
import sys
import types


class ColabUnavailable(RuntimeError):
    """Raised where Colab would ask a person or the network."""


def _module(name, **members):
    module = types.ModuleType(name)
    module.__path__ = []
    module.__dict__.update(members)
    return module


def answerer(context):
    """A function for `imports.Made`: module name -> stand-in module, or None."""

    def mount(path="/content/drive", *_, **__):
        context.note("colab", f"drive.mount({str(path)[:60]!r}) made an empty folder: no Drive is reachable while grading")
        try:
            os.makedirs(os.path.join(str(path), "MyDrive"), exist_ok=True)
            os.makedirs(os.path.join(str(path), "My Drive"), exist_ok=True)
        except OSError:
            pass
        print(f"Mounted at {path} (an empty folder: no Drive is reachable while grading)")

    def upload(*_, **__):
        context.note("colab", "files.upload() has nobody to ask while grading")
        raise ColabUnavailable("files.upload() has nobody to ask while grading; load the data with keras.datasets.cifar10.load_data()")

    def quiet(what):
        def function(*_, **__):
            context.note("colab", f"{what} does nothing while grading")

        return function

    class SecretNotFoundError(Exception):
        pass

    class NotebookAccessError(Exception):
        pass

    def secret(name, *_, **__):
        raise SecretNotFoundError(f"Secret {name!r} does not exist while grading.")

    class MessageError(Exception):
        pass

    members = {
        "drive": {"mount": mount, "flush_and_unmount": quiet("drive.flush_and_unmount()")},
        "files": {"upload": upload, "download": quiet("files.download()"), "view": quiet("files.view()")},
        "auth": {"authenticate_user": quiet("auth.authenticate_user()")},
        "output": {
            "clear": quiet("output.clear()"),
            "eval_js": quiet("output.eval_js()"),
            "enable_custom_widget_manager": quiet("widgets"),
        },
        "userdata": {"get": secret, "SecretNotFoundError": SecretNotFoundError, "NotebookAccessError": NotebookAccessError},
        "runtime": {"unassign": quiet("runtime.unassign()")},
        "data_table": {"enable_dataframe_formatter": quiet("data_table"), "disable_dataframe_formatter": quiet("data_table")},
        "errors": {"MessageError": MessageError},
        "_message": {"MessageError": MessageError},
        "widgets": {},
        "snippets": {},
        "html": {},
    }
    patches = {"cv2_imshow": quiet("cv2_imshow()"), "cv_imshow": quiet("cv_imshow()")}

    def answer(name):
        if name == "google":
            return _module("google")
        if name == "google.colab":
            context.note("colab", "google.colab is answered by a stand-in")
            package = _module(name)
            for part, things in members.items():
                module = sys.modules.setdefault(f"{name}.{part}", _module(f"{name}.{part}", **things))
                setattr(package, part, module)
            return package
        if name == "google.colab.patches":
            return _module(name, **patches)
        part = name.removeprefix("google.colab.")
        if part != name and part in members:
            return _module(name, **members[part])
        return None

    return answer
