"""Doing something right after a module was imported, and answering for modules that no longer exist under their old names."""

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types

from .originals import hidden, hide


@contextlib.contextmanager
def without(*names):
    """While this holds, modules `names` that are not imported yet cannot be: optional parts of a package are then left out."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name, name) is None:
                del sys.modules[name]


class _Loader(importlib.abc.Loader):
    """The real loader, but for what runs the module's body, which is ours."""

    def __init__(self, loader, exec_module):
        self._loader, self.exec_module = loader, exec_module

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def __getattr__(self, name):
        return getattr(self._loader, name)


class AfterImport(importlib.abc.MetaPathFinder):
    """A finder that lets the others find and only adds callbacks: `after("keras", f)` calls `f(module)` once keras was executed."""

    def __init__(self, context):
        self._context = context
        self._callbacks = {}
        self._hidden = {}
        self._before = {}
        self._searching = set()
        self.finder = types.SimpleNamespace(find_spec=hidden(self.find_spec))

    def after(self, name, callback):
        self._callbacks.setdefault(name, []).append(callback)

    def before(self, name, callback):
        """Call `callback()` right before module `name` is executed."""
        self._before.setdefault(name, []).append(callback)
        self._callbacks.setdefault(name, [])

    def hide(self, name, *packages):
        """Leave `packages` out while module `name` is imported."""
        self._hidden[name] = packages
        self._callbacks.setdefault(name, [])

    def find_spec(self, name, path=None, target=None):
        if name not in self._callbacks or name in self._searching:
            return None
        self._searching.add(name)
        try:
            spec = importlib.util.find_spec(name) if path is None else self._find(name, path)
        finally:
            self._searching.discard(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._executing(name, spec.loader))
        return spec

    def _executing(self, name, loader):
        """What runs the body of module `name`, with packages left out meanwhile, and the callbacks before and after it."""

        def exec_module(module):
            own = type(module) is not types.ModuleType  # nobody but the notebook calls this with anything else
            for callback in self._before.get(name, ()):
                with self._context.ours(f"preparing for {name}"):
                    callback()
            with without(*self._hidden.get(name, ())):
                loader.exec_module(module)
            for callback in () if own else self._callbacks[name]:
                with self._context.ours(f"preparing {name}"):
                    callback(module)
            hide(module)
            module.__loader__ = module.__spec__.loader = loader

        return hidden(exec_module)

    def _find(self, name, path):
        for finder in sys.meta_path:
            if finder is not self.finder:
                spec = finder.find_spec(name, path)
                if spec is not None:
                    return spec
        return None


class Made(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for modules made by us: `answer(name) -> module or None` is asked for every import that nobody else could serve."""

    def __init__(self, answer):
        self._answer = answer
        self._made = {}
        self.finder = types.SimpleNamespace(
            **{each.__name__: hidden(each) for each in (self.find_spec, self.create_module, self.exec_module)}
        )

    def find_spec(self, name, path=None, target=None):
        module = self._answer(name)
        if module is None:
            return None
        self._made[name] = module
        return importlib.machinery.ModuleSpec(name, self.finder, is_package=True)

    def create_module(self, spec):
        module = self._made.pop(spec.name)
        hide(module)
        return module

    def exec_module(self, module):
        pass
