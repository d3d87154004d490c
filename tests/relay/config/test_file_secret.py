import os
import threading

from pydantic import BaseModel, SecretStr
from structlog.testing import capture_logs

from relay.config.file_secret import FileSecret, read_secret_text
from relay.credentials.redaction import file_secrets_in


class Group(BaseModel):
    password: SecretStr
    others: dict[str, SecretStr] = {}


def secret_in(path, text="the-first-password\n"):
    path.write_text(text)
    return FileSecret("kafka.sasl_password_file", path, read_secret_text(path))


def test_a_changed_file_is_the_value_of_the_next_call(tmp_path):
    """Who hides secrets learns the new value first, and the log says that there is one, not which."""
    group = Group(password=secret_in(tmp_path / "password"))
    heard = []
    for each in file_secrets_in(group):
        each.report_to(heard.append)
    before = hash(group.password)
    (tmp_path / "password").write_text("the-second-password\r\n")
    with capture_logs() as lines:
        assert group.password.get_secret_value() == "the-second-password"
        assert group.password.get_secret_value() == "the-second-password"

    assert heard == ["the-second-password"]
    assert [line["setting"] for line in lines] == ["kafka.sasl_password_file"]
    assert "second" not in f"{lines} {group} {group.password!r} {group.model_dump_json()}"
    assert hash(group.password) == before


def test_a_file_without_a_secret_leaves_the_old_value_and_is_named_once(tmp_path):
    """A file is empty while it is written, and gone while it is replaced; one line tells of each, and of the end."""
    secret = secret_in(tmp_path / "password")
    with capture_logs() as lines:
        for content in (b"", b"", b"\xff"):
            (tmp_path / "password").write_bytes(content)
            assert secret.get_secret_value() == "the-first-password"
        (tmp_path / "password").unlink()
        assert secret.get_secret_value() == "the-first-password"
        (tmp_path / "password").write_text("the-second-password")
        assert secret.get_secret_value() == "the-second-password"

    assert [line.get("reason") for line in lines if line["log_level"] == "warning"] == [
        "is empty",
        "cannot be read: not UTF-8 text",
        "cannot be read: No such file or directory",
    ]
    assert "password" not in " ".join(line["event"] for line in lines)


def test_a_pipe_is_read_once(tmp_path):
    """It gives its content once, and a second call would wait for a writer for ever, with the whole process."""
    pipe = tmp_path / "password"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("the-first-password\n",), daemon=True)
    writer.start()
    secret = FileSecret("kafka.sasl_password_file", pipe, read_secret_text(pipe))
    values: list[str] = []
    caller = threading.Thread(target=lambda: values.append(secret.get_secret_value()), daemon=True)
    caller.start()
    caller.join(60)

    assert values == ["the-first-password"]
