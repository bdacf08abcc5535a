"""What lies beside a package is what its readers read, and says what is so."""

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from debian.deb822 import BuildInfo, Changes
from hypothesis import given, settings
from hypothesis import strategies as st
from sample import DATE, Sample

from debship.build.bundled import Bundled, Component
from debship.build.dists import Dist
from debship.build.installed import Installed, installed_packages
from debship.build.origins import Origin
from debship.build.package import Package
from debship.build.papers.changes import newest_entry
from debship.build.papers.installed import took_part
from debship.build.papers.sbom import sbom
from debship.build.plan import BuildPlan, Surroundings, plan_build
from debship.build.together import together
from debship.debian.checksums import checksums_of
from debship.debian.releases import release as release_named
from debship.errors import Refused
from debship.model import Architecture, Deb, DebVersion
from debship.run import run

MakeSample = Callable[..., Sample]

_VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)
DIST = Dist("lib-a", "1.0", (), True, "about lib_a", "https://a.example/x", "MIT", "Ann")


@pytest.fixture
def package(sample: Sample) -> Package:
    around = Surroundings(sample.machine, frozenset({"requirements.txt"}), DATE)
    return Package(
        plan=plan_build(sample.app, release_named("bookworm"), around),
        version=DebVersion("1:1.0+x-1"),
        architecture=Architecture("all"),
        dists=(DIST,),
        application=DIST,
        own=None,
        date=DATE,
        depends=("python3.11", "libc6 (>= 2.34)", "a | b"),
        compiled=False,
        origins={"lib-a": Origin("lib_a-1.0-py3-none-any.whl", ("ab" * 32,))},
    )


def _beside(deb: Deb, suffix: str) -> Path:
    return deb.path.with_suffix(suffix)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _invalid(text: str) -> object:
    return _VALIDATOR.validate_str(text)


def test_all_papers_lie_beside_the_package(deb: Deb) -> None:
    names = [f"tiny_1.0-1_all.{s}" for s in ("buildinfo", "cdx.json", "changes", "deb")]
    assert _names(deb.path.parent) == [*names, "tiny_1.0-1_all.provenance.json"]
    assert {path.stat().st_mode & 0o777 for path in deb.path.parent.iterdir()} == {0o644}


def test_the_bill_of_materials_is_valid_and_also_in_the_package(deb: Deb, root: Path) -> None:
    text = _beside(deb, ".cdx.json").read_text()
    assert _invalid(text) is None
    assert (root / "usr/share/doc/tiny/sbom.cdx.json").read_text() == text
    bill = json.loads(text)
    names = [component["purl"] for component in bill["components"]]
    assert names[:3] == ["pkg:pypi/lib-a@1.0", "pkg:pypi/lib-b@1.0", "pkg:pypi/tiny@1.0"]
    needs = {entry["ref"]: entry["dependsOn"] for entry in bill["dependencies"]}
    assert needs["pkg:pypi/tiny@1.0"] == ["pkg:pypi/lib-a@1.0", "pkg:pypi/lib-b@1.0"]
    assert uuid.UUID(bill["serialNumber"]).version == 5
    assert bill["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"


def test_a_component_is_the_wheel_that_was_installed(sample: Sample) -> None:
    deb = sample.build()
    bill = json.loads(_beside(deb, ".cdx.json").read_text())
    wheels = {
        path.name.partition("-")[0].replace("_", "-"): path
        for path in sample.app.directory.glob("*/*.whl")
    }
    for component in bill["components"][:3]:
        content = wheels[component["name"]].read_bytes()
        sums = checksums_of("x", content)
        assert component["hashes"] == [{"alg": "SHA-256", "content": sums.sha256}]
        assert component["licenses"] == [{"expression": "MIT"}]


def test_of_a_wheel_that_is_built_here_its_files_are_vouched_for(sample: Sample) -> None:
    """Its archive has the modes of its files from the umask: no two builds need have the same."""
    deb = sample.build(sample.with_build(command="true"))
    bill = json.loads(_beside(deb, ".cdx.json").read_text())
    (own,) = (entry for entry in bill["components"] if entry["name"] == "tiny")
    assert "hashes" not in own
    said = {entry["name"]: entry["value"] for entry in own["properties"]}
    assert said["debship:file"] == "tiny-1.0-py3-none-any.whl"
    assert len(said["debship:record-sha256"]) == 64


def test_what_is_bundled_in_a_wheel_is_listed_in_it(package: Package) -> None:
    bill = Bundled("lib/x y.json", "cd" * 32, (Component("zlib", "1.3", "pkg:generic/zlib@1.3"),))
    text = sbom(replace(package, dists=(replace(DIST, sboms=(bill,)),)))
    assert _invalid(text) is None
    component = json.loads(text)["components"][0]
    assert [inner["purl"] for inner in component["components"]] == ["pkg:generic/zlib@1.3"]
    assert component["externalReferences"][0]["url"] == "file:///usr/lib/tiny/lib/x%20y.json"


def test_where_the_lock_does_not_tell_no_hash_is_claimed(package: Package) -> None:
    unsure = {"lib-a": Origin("", ("ab" * 32, "cd" * 32))}
    component = json.loads(sbom(replace(package, origins=unsure)))["components"][0]
    assert "hashes" not in component
    said = [p["value"] for p in component["properties"] if p["name"] == "debship:one-of-sha256"]
    assert said == ["ab" * 32, "cd" * 32]


def test_what_changes_gives_another_serial_number(package: Package) -> None:
    def serial(changed: Package) -> str:
        number: str = json.loads(sbom(changed))["serialNumber"]
        return number

    assert serial(package) == serial(replace(package))
    assert serial(package) != serial(replace(package, dists=(replace(DIST, license="BSD"),)))


TEXT = st.text(max_size=12)


@settings(max_examples=30, deadline=None)
@given(
    dist=st.builds(
        Dist,
        name=st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True),
        version=st.from_regex(r"[0-9][0-9a-z.+!]{0,8}", fullmatch=True),
        files=st.just(()),
        pure=st.booleans(),
        summary=TEXT,
        homepage=TEXT | st.just("http://[x") | st.just("https://x.example/a?b=c#d"),
        license=TEXT | st.sampled_from(["MIT", "mit or apache-2.0", "LicenseRef-x", "BSD License"]),
        author=TEXT,
        requires=st.lists(st.sampled_from(["a", "b"]), max_size=2).map(tuple),
        sboms=st.lists(
            st.builds(
                Bundled,
                file=TEXT,
                sha256=st.just("ab" * 32),
                components=st.lists(
                    st.builds(Component, name=st.text(min_size=1), version=TEXT, purl=TEXT),
                    max_size=3,
                ).map(tuple),
            ),
            max_size=2,
        ).map(tuple),
    )
)
def test_whatever_wheels_say_it_stays_valid(dist: Dist) -> None:
    plan = _plan()
    version, architecture = DebVersion("1.0-1"), Architecture("all")
    made = Package(plan, version, architecture, (dist,), dist, None, DATE, ("python3.11",), False)
    text = sbom(made)
    assert _invalid(text) is None
    assert text.isascii()


def _plan() -> BuildPlan:
    from debship.config.app import App, BuildSettings
    from debship.model import PackageName

    app = App(
        directory=Path("/x"),
        name=PackageName("tiny"),
        summary="Tiny\nservice",
        maintainer="A <a@b>",
        build=BuildSettings(wheel="*.whl"),
    )
    around = Surroundings(Architecture("amd64"), frozenset({"uv.lock"}), DATE)
    return plan_build(app, release_named("bookworm"), around)


def test_debian_reads_the_changes(deb: Deb) -> None:
    with _beside(deb, ".changes").open() as file:
        changes = Changes(file)
    assert (changes["Source"], changes["Binary"], changes["Version"]) == ("tiny", "tiny", "1.0-1")
    assert [entry["name"] for entry in changes["Files"]] == [
        "tiny_1.0-1_all.deb",
        "tiny_1.0-1_all.buildinfo",
    ]
    for entry in changes["Checksums-Sha256"]:
        sums = checksums_of(entry["name"], (deb.path.parent / entry["name"]).read_bytes())
        assert (entry["sha256"], int(entry["size"])) == (sums.sha256, sums.size)
    assert changes["Changes"].splitlines()[1].startswith(" tiny (1.0-1) ")


def test_dpkg_finds_the_files_that_the_changes_name(deb: Deb) -> None:
    # What dscverify and dput do: the files, their sizes, and all checksums.
    code = """
        use Dpkg::Control; use Dpkg::Checksums;
        my $c = Dpkg::Control->new(type => CTRL_FILE_CHANGES); $c->load($ARGV[0]);
        my $s = Dpkg::Checksums->new(); $s->add_from_control($c);
        $s->add_from_file($_, key => $_) for $s->get_files(); print join(' ', $s->get_files());
    """
    path = _beside(deb, ".changes")
    done = run(["perl", "-e", code, path.name], cwd=path.parent)
    assert done.text == "tiny_1.0-1_all.deb tiny_1.0-1_all.buildinfo"


def test_debian_reads_the_buildinfo(deb: Deb, release) -> None:
    with _beside(deb, ".buildinfo").open() as file:
        info = BuildInfo(file)
    assert info.get_environment() == {"SOURCE_DATE_EPOCH": str(DATE), "PYTHONHASHSEED": "0"}
    assert int(info.get_build_date().timestamp()) == DATE
    there = {relation[0]["name"] for relation in info.relations["installed-build-depends"]}
    assert {
        f"python{release.python}",
        f"libpython{release.python}-minimal",
        "libc6",
        "dpkg",
    } <= there
    assert "Build-Path" not in info
    assert info["Checksums-Sha256"][0]["sha256"] == deb.sha256


def test_what_took_part_is_followed_to_its_end(package: Package) -> None:
    def installed(name: str, *needs: str, essential: bool = False, provides: tuple[str, ...] = ()):
        return Installed(name, "amd64", "1", essential, ", ".join(needs), provides)

    there = [
        installed("python3.11", "virtual"),
        installed("real", "python3.11", provides=("virtual",)),  # a circle
        installed("dash", essential=True),
        installed("gcc", "libgcc"),
        installed("libgcc"),
        installed("libc6"),
        installed("binutils"),
        installed("unrelated"),
    ]
    assert [p.name for p in took_part(there, [package])] == ["dash", "libc6", "python3.11", "real"]
    settings = replace(package.plan.app.build, needs=("gcc:any",))
    app = replace(package.plan.app, build=settings)
    needy = replace(package, plan=replace(package.plan, app=app), compiled=True)
    names = [p.name for p in took_part(there, [needy])]
    assert names == ["binutils", "dash", "gcc", "libc6", "libgcc", "python3.11", "real"]


def test_dpkg_knows_what_is_installed() -> None:
    there = {package.name: package for package in installed_packages(run)}
    assert there["dpkg"].essential
    assert "libc6" in {need for package in there.values() for need in package.needs}


def test_the_provenance_names_what_it_was_built_from(deb: Deb) -> None:
    statement = json.loads(_beside(deb, ".provenance.json").read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [{"name": deb.filename, "digest": {"sha256": deb.sha256}}]
    definition = statement["predicate"]["buildDefinition"]
    found = {
        entry.get("uri") or entry["name"]: entry for entry in definition["resolvedDependencies"]
    }
    assert len(found["pkg:pypi/lib-a@1.0"]["digest"]["sha256"]) == 64
    assert len(found["requirements.txt"]["digest"]["sha256"]) == 64
    assert any(uri.startswith("pkg:deb/debian/dpkg@") for uri in found)
    assert definition["buildType"]
    assert statement["predicate"]["runDetails"]["builder"]["id"]


def test_no_paper_knows_the_machine(deb: Deb) -> None:
    for path in deb.path.parent.iterdir():
        if path.suffix != ".deb":
            text = path.read_text()
            assert str(deb.path.parents[1]) not in text
            assert "/tmp" not in text


def test_papers_are_the_same_bytes_elsewhere(sample_in: MakeSample, tmp_path: Path) -> None:
    made = []
    for place in ("one", "another/place"):
        sample = sample_in(tmp_path / place)
        lock = sample.app.directory / "requirements.txt"
        lock.write_text(lock.read_text().replace(str(sample.app.directory), "."))
        deb = sample.build()
        made.append({path.name: path.read_bytes() for path in deb.path.parent.iterdir()})
    assert made[0] == made[1]
    assert len(made[0]) == 5


def test_the_newest_entry_alone_is_what_changed() -> None:
    log = "a (2) x; urgency=low\n\n  * b  \n\n -- A <a@b>  date\n\na (1) x; urgency=low\n"
    assert newest_entry(log) == ("a (2) x; urgency=low", "", "  * b")


def test_together_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "out" / "b").mkdir(parents=True)
    with pytest.raises(Refused), together(tmp_path / "out") as files:  # noqa: PT012
        for name in ("a", "b"):
            with files.open(name) as (_, sink):
                sink.write(b"x")
        files.appear(["a", "b"])
    assert _names(tmp_path / "out") == ["b"]
    with pytest.raises(KeyboardInterrupt), together(tmp_path / "out") as files:  # noqa: PT012
        with files.open("c") as (_, sink):
            sink.write(b"x")
        raise KeyboardInterrupt
    assert _names(tmp_path / "out") == ["b"]
