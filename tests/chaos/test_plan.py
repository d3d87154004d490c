from tests.chaos.plan import KINDS, impossible_kinds, plan_disturbances


def test_a_seed_determines_the_plan():
    assert plan_disturbances(5, 120, 2, KINDS) == plan_disturbances(5, 120, 2, KINDS)


def test_another_seed_makes_another_plan():
    assert plan_disturbances(5, 120, 2, KINDS) != plan_disturbances(6, 120, 2, KINDS)


def test_a_long_round_has_every_kind():
    assert {disturbance.kind for disturbance in plan_disturbances(7, 600, 2, KINDS)} == KINDS.keys()


def test_only_the_given_kinds_are_planned():
    assert {disturbance.kind for disturbance in plan_disturbances(8, 60, 1, {"kill", "stop"})} == {
        "kill",
        "stop",
    }


def test_each_kind_is_possible_with_some_kafka():
    """One broker can lose the end of its log; controllers apart are needed to elect a copy that is behind."""
    single = impossible_kinds(1, controllers_apart=False, processes=2)
    combined = impossible_kinds(3, controllers_apart=False, processes=2)
    apart = impossible_kinds(3, controllers_apart=True, processes=2)

    assert not single & apart
    assert combined - apart == {"controller kill", "unclean election"}
    for brokers in (1, 3):
        alone = impossible_kinds(brokers, controllers_apart=True, processes=1)
        assert alone - impossible_kinds(brokers, controllers_apart=True, processes=2) == {
            "child kill",
            "child freeze",
        }
