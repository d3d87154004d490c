from embedded import artifacts
from embedded.artifacts import Artifact


def test_the_lock_file_names_each_jar_once_with_its_sha512():
    jars = artifacts.kafka_artifacts()
    assert len({jar.file_name for jar in jars}) == len(jars) > 40
    assert all(len(bytes.fromhex(jar.sha512)) == 64 and jar.size > 0 for jar in jars)
    assert artifacts.kafka_version() == "4.3.1"


def test_a_lock_file_reads_as_it_was_written():
    assert (
        artifacts.parse_lock_file(artifacts.format_lock_file(artifacts.kafka_artifacts()))
        == artifacts.kafka_artifacts()
    )


def test_path_and_name_hold_classifier_and_packaging():
    assert (
        Artifact("io.example.tools:app:tar.gz:all:3.1", 1, "").path
        == "io/example/tools/app/3.1/app-3.1-all.tar.gz"
    )
