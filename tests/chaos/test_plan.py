from tests.chaos.plan import KINDS, plan_disturbances


def test_a_seed_plans_the_same_again():
    assert plan_disturbances(5, 120, 2, KINDS) == plan_disturbances(5, 120, 2, KINDS)


def test_another_seed_plans_something_else():
    assert plan_disturbances(5, 120, 2, KINDS) != plan_disturbances(6, 120, 2, KINDS)


def test_a_long_round_has_every_kind():
    assert {disturbance.kind for disturbance in plan_disturbances(7, 600, 2, KINDS)} == KINDS.keys()


def test_only_what_is_asked_for_is_planned():
    assert {disturbance.kind for disturbance in plan_disturbances(8, 60, 1, {"kill", "stop"})} == {
        "kill",
        "stop",
    }
