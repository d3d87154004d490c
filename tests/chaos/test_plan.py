from tests.chaos.plan import KINDS, plan_disturbances


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
