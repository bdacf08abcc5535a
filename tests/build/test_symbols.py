"""What machine code needs, as we find it, is what dpkg-shlibdeps says."""

import random
import shutil
import tracemalloc
from pathlib import Path

import pytest

from debship.build.elf import read_needs
from debship.build.libraries import Libraries, machine_code, shared_libraries
from debship.build.symbols import NotPlain, SystemLibraries, resolved
from debship.run import run

_PYTHON = Path("/usr/bin/python3")


class _NothingIsPlain(SystemLibraries):
    def needed_by(self, files, tree):
        raise NotPlain("everything is asked")


def _asked(files: list[Path], tree: Path, folder: Path) -> Libraries:
    nothing = _NothingIsPlain(Path("/"), run)
    return shared_libraries(files, tree, folder, run, system=nothing)


def _copied(files: list[Path], tree: Path) -> list[Path]:
    (tree / "usr/lib/x").mkdir(parents=True)
    return [Path(shutil.copy(file, tree / "usr/lib/x" / file.name)) for file in files]


def test_programs_and_libraries_of_this_machine_need_what_dpkg_shlibdeps_says(
    tmp_path: Path,
) -> None:
    folders = (Path("/usr/bin"), *Path("/usr/lib").glob("*-linux-gnu*"))
    there = sorted(path for folder in folders for path in folder.glob("*") if path.is_file())
    code = machine_code([path for path in there if not path.is_symlink()], _PYTHON.resolve())
    system = SystemLibraries(Path("/"), run)
    plain = 0
    for number, file in enumerate(random.Random(5).sample(code, 6)):
        tree = tmp_path / f"tree{number}"
        files = _copied([file], tree)
        try:
            ours = Libraries(*system.needed_by(files, tree))
        except NotPlain:
            continue
        assert ours == _asked(files, tree, tmp_path / f"asked{number}"), file
        plain += 1
    assert plain >= 2


def test_a_library_of_the_package_itself_needs_no_relation(tmp_path: Path) -> None:
    source = tmp_path / "x.c"
    source.write_text("int inner(void) { return 1; }\n")
    tree = tmp_path / "tree"
    libs = tree / "usr/lib/x/x.libs"
    libs.mkdir(parents=True)
    run(
        [
            "cc",
            "-shared",
            "-fPIC",
            "-Wl,-soname,libinner.so.1",
            source,
            "-o",
            libs / "libinner.so.1",
        ]
    )
    source.write_text(
        "int inner(void); unsigned long crc32(unsigned long, const char *, unsigned);\n"
        'int outer(void) { return inner() + (int)crc32(0, "x", 1); }\n'
    )
    outer = tree / "usr/lib/x/outer.so"
    found = ["-l:libinner.so.1", f"-L{libs}", "-Wl,-rpath,$ORIGIN/x.libs", "-lz"]
    run(["cc", "-shared", "-fPIC", source, "-o", outer, *found])
    ours = SystemLibraries(Path("/"), run).needed_by([outer], tree)
    assert Libraries(*ours) == _asked([outer], tree, tmp_path / "asked")
    assert any(relation.startswith("zlib1g") for relation in ours[0])
    assert "libinner.so.1" in ours[1]


@pytest.mark.parametrize("content", [b"\x7fELF", b"\x7fELF\x02\x01" + bytes(14), b"\x7fELF" * 40])
def test_what_is_no_whole_elf_file_is_left_to_dpkg_shlibdeps(
    tmp_path: Path, content: bytes
) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(content)
    with pytest.raises(NotPlain):
        SystemLibraries(Path("/"), run).needed_by([broken], tmp_path)


def test_a_list_with_more_than_names_and_versions_is_left_to_dpkg_shlibdeps(
    tmp_path: Path,
) -> None:
    tree = tmp_path / "tree"
    files = _copied([_PYTHON.resolve()], tree)
    root = tmp_path / "root"
    for line in ("#MISSING: 2# gone@Base 1", ' (c++)"f()@Base" 1'):
        asked = SystemLibraries(root, run)
        shutil.rmtree(root, ignore_errors=True)
        for package in ("libc6", "libm6"):
            path = root / f"var/lib/dpkg/info/{package}.symbols"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"libc.so.6 libc6 #MINVER#\n{line}\n")
        with pytest.raises(NotPlain):
            asked.needed_by(files, tree)


def test_links_are_followed_within_the_root(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "usr/lib/libx.so.1").symlink_to("/lib/libx.so.1.2")
    (tmp_path / "usr/lib/libx.so.1.2").touch()
    (tmp_path / "usr/lib/ring").symlink_to("../lib/ring")
    assert resolved("/lib/libx.so.1", tmp_path) == "/usr/lib/libx.so.1.2"
    assert resolved("/lib/ring", tmp_path) == "/lib/ring"
    assert resolved("/nowhere/x", tmp_path) == "/nowhere/x"


def test_of_a_large_library_a_few_pages_are_read(tmp_path: Path) -> None:
    large = tmp_path / "large.so"
    shutil.copyfile(_PYTHON, large)
    wanted = read_needs(large)
    with large.open("r+b") as file:
        file.truncate(256 << 20)
    tracemalloc.start()
    try:
        assert read_needs(large) == wanted
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
