"""`stn-rectify models`: proof of a file, one step from one model to the next, and back."""

from __future__ import annotations

import hashlib
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stn_rectify.runtime import ModelFile, StnRectifyError
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.command.upkeep.model_store import ModelStore
from stn_rectify.runtime.process.installation import install_command
from tests.waiting import wait_for

DATA = Path(__file__).parents[4] / "runtime" / "data"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    monkeypatch.setenv("STN_RECTIFY_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("STN_RECTIFY_MODEL_KEY", raising=False)
    return ModelStore(tmp_path / "models")


def test_installed_then_replaced_then_back_and_forward(store: ModelStore, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("fast", "general", "digits"):
        assert main(["models", "install", str(DATA / f"{name}.tflite")]) == 0
        assert store.current.read_bytes() == (DATA / f"{name}.tflite").read_bytes()
    assert str(store.current) in capsys.readouterr().err
    for name in ("general", "digits"):
        assert main(["models", "rollback"]) == 0
        assert ModelFile.open(store.current).metadata.name == name
    # The last two, each with the name of the one it replaced.
    assert {path.name.partition("-")[0] for path in (store.folder / "versions").iterdir()} == {"digits", "general"}
    assert main(["models", "list"]) == 0
    printed = capsys.readouterr().out
    assert "bundled  fast (INT8, in-graph, 104 KB)" in printed
    assert f"in use   {store.in_use}: digits (" in printed
    assert f"before   {store.before}: general (" in printed


def _truncated(content: bytes) -> bytes:
    return content[:-1000]


def _flipped(content: bytes) -> bytes:
    return content[:5000] + bytes([content[5000] ^ 4]) + content[5001:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(_truncated((DATA / "general.tflite").read_bytes()), "cut short", id="truncated"),
        pytest.param(_flipped((DATA / "general.tflite").read_bytes()), "SHA-256", id="a bit flipped"),
        pytest.param((DATA / "demo.jpg").read_bytes(), "not a TensorFlow Lite file", id="foreign"),
        pytest.param((DATA / "digits.recognizer.tflite").read_bytes(), "recognizer", id="a recognizer"),
        pytest.param(b"", "0 bytes", id="empty"),
    ],
)
def test_a_bad_file_leaves_the_model_in_use(
    content: bytes, message: str, store: ModelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["models", "install", "fast"])
    capsys.readouterr()
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(content)
    assert main(["models", "install", str(bad)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("stn-rectify: error: ")
    assert (message in said, str(bad) in said, said.count("\n")) == (True, True, 1), said
    assert store.current.read_bytes() == (DATA / "fast.tflite").read_bytes()
    assert main(["models", "verify", "fast", str(bad), "digits"]) == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["ok", "bad", "ok"]


@pytest.mark.parametrize("beside", [True, False])
def test_the_hash_of_the_file_has_to_be_the_one_given(
    beside: bool, store: ModelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.tflite"
    shutil.copy(DATA / "fast.tflite", file)
    right, wrong = hashlib.sha256(file.read_bytes()).hexdigest(), "0" * 64

    def install(digest: str) -> int:
        if not beside:
            return main(["models", "install", str(file), "--sha256", digest.upper()])
        file.with_name("own.tflite.sha256").write_text(f"{digest}  own.tflite\n")
        return main(["models", "install", str(file)])

    assert install(wrong) == 1
    assert f"its SHA-256 is {right}" in capsys.readouterr().err
    assert store.in_use is None
    assert install(right) == 0
    assert store.current.read_bytes() == file.read_bytes()


def test_where_a_key_is_configured_only_what_it_signed_is_installed_minisign(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    minisign = pytest.importorskip("minisign")
    pair, stranger = minisign.KeyPair.generate(), minisign.KeyPair.generate()
    key = tmp_path / "minisign.pub"
    key.write_bytes(bytes(pair.public_key))
    monkeypatch.setenv("STN_RECTIFY_MODEL_KEY", str(key))

    def sign(secret: object, content: bytes) -> bytes:
        return bytes(secret.sign(content, trusted_comment="a model"))  # type: ignore[attr-defined]

    _check_signatures(
        tmp_path, store, capsys, ".minisig", lambda c: sign(pair.secret_key, c), lambda c: sign(stranger.secret_key, c)
    )


def test_where_a_key_is_configured_only_what_it_signed_is_installed_ed25519(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys and signatures by OpenSSL."""
    pytest.importorskip("cryptography")
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    keys = [tmp_path / name for name in ("ours.pem", "strange.pem")]
    for secret in keys:
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", secret], check=True)
    key = tmp_path / "key.pub"
    subprocess.run(["openssl", "pkey", "-in", keys[0], "-pubout", "-out", key], check=True)
    monkeypatch.setenv("STN_RECTIFY_MODEL_KEY", str(key))

    def sign(secret: Path, content: bytes) -> bytes:
        (tmp_path / "content").write_bytes(content)
        command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", secret, "-in", tmp_path / "content"]
        return subprocess.check_output(command)

    _check_signatures(tmp_path, store, capsys, ".sig", lambda c: sign(keys[0], c), lambda c: sign(keys[1], c))


def _check_signatures(tmp_path, store, capsys, suffix, sign, sign_strangely) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "own.tflite"
    shutil.copy(DATA / "fast.tflite", file)
    signature = file.with_name(file.name + suffix)
    content = file.read_bytes()
    assert main(["models", "install", str(file)]) == 1
    assert f"is not signed: {signature} is missing" in capsys.readouterr().err
    for wrong in (sign_strangely(content), sign(content + b"\0"), b"", b"nonsense\n" * 4):
        signature.write_bytes(wrong)
        assert main(["models", "install", str(file)]) == 1
        assert f"its signature {signature} does not hold" in capsys.readouterr().err
        assert store.in_use is None
    signature.write_bytes(sign(content))
    assert main(["models", "install", str(file)]) == 0
    assert store.current.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN PUBLIC KEY-----\nnonsense\n"])
def test_a_key_that_is_none_is_wrong_usage(
    content: bytes, store: ModelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("minisign")
    key = tmp_path / "key"
    file = tmp_path / "own.tflite"
    shutil.copy(DATA / "fast.tflite", file)
    for suffix in (".sig", ".minisig"):
        file.with_name(file.name + suffix).write_bytes(b"\0" * 64)
    assert main(["models", "install", str(file), "--key", str(key)]) == 2
    key.write_bytes(content)
    assert main(["models", "install", str(file), "--key", str(key)]) == 2
    assert capsys.readouterr().err.count(f"{key}") == 2
    assert store.in_use is None


def test_without_the_extra_a_key_is_one_line_and_nothing_is_installed(store: ModelStore, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n")
    file = tmp_path / "own.tflite"
    shutil.copy(DATA / "fast.tflite", file)
    file.with_name("own.tflite.minisig").write_bytes(b"anything")
    code = (
        "import sys; sys.modules['minisign'] = None\n"
        "from stn_rectify.runtime.command.cli import main\n"
        f"sys.exit(main(['models', 'install', {str(file)!r}, '--key', {str(key)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "signatures need the extra signatures" in done.stderr
    assert done.stderr.endswith(f": {install_command('signatures')}\n")
    assert store.in_use is None


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert main(["models", "install", "fast", "--store", str(tmp_path / "file")]) == 1
    said = capsys.readouterr().err
    assert ("cannot change the models in" in said, said.count("\n")) == (True, 1)


def test_nothing_to_go_back_to(store: ModelStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "rollback"]) == 1
    assert "nothing to go back to" in capsys.readouterr().err
    main(["models", "install", "fast"])
    assert main(["models", "rollback"]) == 1
    assert store.in_use is not None


def test_a_version_before_that_has_been_damaged_is_not_gone_back_to(store: ModelStore) -> None:
    main(["models", "install", "fast"])
    main(["models", "install", "general"])
    assert store.before is not None
    store.before.write_bytes(store.before.read_bytes()[:-10])
    assert main(["models", "rollback"]) == 1
    assert ModelFile.open(store.current).metadata.name == "general"


def test_killed_at_any_moment_one_of_the_two_is_in_use(store: ModelStore) -> None:
    contents = [(DATA / f"{name}.tflite").read_bytes() for name in ("fast", "digits")]
    store.install(contents[0], ModelFile.open)
    code = (
        "import sys; from pathlib import Path\n"
        "from stn_rectify.runtime import ModelFile\n"
        "from stn_rectify.runtime.command.upkeep.model_store import ModelStore\n"
        f"contents = [Path(name).read_bytes() for name in {[str(DATA / 'digits.tflite'), str(DATA / 'fast.tflite')]}]\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    for content in contents:\n"
        f"        ModelStore(Path({str(store.folder)!r})).install(content, ModelFile.open)\n"
    )
    seen = set()

    def both_were_in_use() -> bool:
        seen.add(contents.index(store.current.read_bytes()))
        return seen == {0, 1}

    for round_ in range(6):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            wait_for("both models in use", both_were_in_use)
            for _ in range(200 * (round_ + 1)):  # wherever it is by then
                both_were_in_use()
            process.send_signal(signal.SIGKILL)
        assert contents.index(store.current.read_bytes()) in (0, 1)
    store.install(contents[0], ModelFile.open)
    assert len(list((store.folder / "versions").glob("*.tflite"))) <= 2
    assert not list((store.folder / "versions").glob(".*"))


def test_a_model_that_the_check_refuses_is_not_left_behind(store: ModelStore) -> None:
    def refuse(path: Path) -> ModelFile:
        raise StnRectifyError("no")

    with pytest.raises(StnRectifyError, match="no"):
        store.install((DATA / "fast.tflite").read_bytes(), refuse)
    assert store.in_use is None
    assert not list((store.folder / "versions").iterdir())


def test_of_a_model_for_which_there_is_no_room_nothing_is_left(store: ModelStore) -> None:
    main(["models", "install", "fast"])
    before = sorted(path.name for path in store.folder.rglob("*"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(StnRectifyError, match=r"cannot change the models in .*; the model in use stays"):
            store.install((DATA / "digits.tflite").read_bytes(), ModelFile.open)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(path.name for path in store.folder.rglob("*")) == before
    assert store.current.read_bytes() == (DATA / "fast.tflite").read_bytes()
