import pytest

from tests.docs.subject import problem


@pytest.mark.parametrize(
    "message",
    [
        "consumer: retry when the answer breaks off\n\nThe why, which may be longer than seventy-two characters are.",
        "producer, consumer: one word for one thing",
        "Merge branch 'main' into a-branch-with-a-name-so-long-that-no-subject-could-hold-it-all",
    ],
)
def test_a_subject_with_its_area_is_right(message):
    assert problem(message) == ""


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("Take an answer that breaks off for none", "area"),
        ("consumer: retry.", "full stop"),
        ("consumer: ", "area"),
        ("consumer: " + "x" * 63, "73 characters"),
    ],
)
def test_another_subject_is_refused_with_the_remedy(message, remedy):
    assert remedy in problem(message)
