"""Source distributions with C code, made here; their build backend lies inside: nothing is fetched."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

# Absolute paths go to the compiler, as CMake's do; a build path that stays is seen at once.
_BACKEND = """\
import hashlib, os, pathlib, shlex, subprocess, sysconfig, zipfile
HERE = pathlib.Path(__file__).resolve().parent

def build_wheel(out, config=None, metadata=None):
    module = "{name}" + sysconfig.get_config_var("EXT_SUFFIX")
    include = sysconfig.get_paths()["include"]
    flags = shlex.split(sysconfig.get_config_var("CFLAGS") + " " + os.environ.get("CFLAGS", ""))
    cc = ["cc", "-shared", "-fPIC", "-I", include, *flags, str(HERE / "code.c"), "-o", module]
    subprocess.run([*cc, *{libraries!r}], check=True)
    tag = "{tag}"
    info = "{name}-1.0.dist-info"
    files = {{
        module: pathlib.Path(module).read_bytes(),
        f"{{info}}/METADATA": b"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n",
        f"{{info}}/WHEEL": f"Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: {{tag}}\\n".encode(),
    }}
    files[f"{{info}}/RECORD"] = "".join(f"{{file}},,\\n" for file in [*files, f"{{info}}/RECORD"]).encode()
    name = f"{name}-1.0-{{tag}}.whl"
    with zipfile.ZipFile(pathlib.Path(out) / name, "w") as wheel:
        for file, content in files.items():
            wheel.writestr(zipfile.ZipInfo(file, (2024, 5, 6, 7, 8, 10)), content)
    return name
"""
_CODE = """\
#include <Python.h>
#include <assert.h>
{declarations}
static PyObject *answer(PyObject *self, PyObject *nothing) {{
    assert(self != NULL);
    return PyUnicode_FromFormat("%s", {expression});
}}
static PyMethodDef methods[] = {{{{"answer", answer, METH_NOARGS, ""}}, {{0}}}};
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "{name}", 0, -1, methods}};
PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModule_Create(&module); }}
"""


def make_sdist(
    folder: Path,
    name: str,
    tag: str,
    *,
    declarations: str = "#include <zlib.h>",
    expression: str = "zlibVersion()",
    libraries: tuple[str, ...] = ("-lz",),
    requires: tuple[str, ...] = (),
) -> Path:
    """Write an sdist of one C module."""
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        "pyproject.toml": (
            f"[build-system]\nrequires = {list(requires)!r}\nbuild-backend = 'backend'\n"
            f"backend-path = ['.']\n[project]\nname = '{name}'\nversion = '1.0'\n"
        ),
        "backend.py": _BACKEND.format(name=name, tag=tag, libraries=list(libraries)),
        "code.c": _CODE.format(name=name, declarations=declarations, expression=expression),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0.tar.gz"
    with (
        gzip.GzipFile(path, "wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for file, text in files.items():
            member = tarfile.TarInfo(f"{name}-1.0/{file}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def unpack(sdist: Path, folder: Path) -> Path:
    """Lay an sdist out as a project."""
    with tarfile.open(sdist) as tar:
        tar.extractall(folder)
    return folder / sdist.name.removesuffix(".tar.gz")


def pinned(path: Path) -> str:
    """The line of a requirements.txt that names a wheel or an sdist."""
    name, version = path.name.removesuffix(".tar.gz").split("-")[:2]
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
