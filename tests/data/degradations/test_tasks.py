import pytest

from sesame.data.degradations import TASKS, TRAINING_TASKS, Task

ONE_THING = ("denoise", "dereverberate", "declip", "conceal", "extract", "cancel_echo")


def parts(task):
    return [
        task.room > 0,
        task.noise,
        task.extraction,
        task.echo,
        *(type(each).__name__ for each in task.distortions),
    ]


def test_tasks_of_training_have_weights_that_sum_to_one():
    assert sum(TRAINING_TASKS.values()) == pytest.approx(1)
    assert set(TASKS) == {*TRAINING_TASKS, *ONE_THING}


@pytest.mark.parametrize("name", ONE_THING)
def test_a_task_of_evaluation_does_one_thing(name):
    assert sum(map(bool, parts(TASKS[name]))) == 1


@pytest.mark.parametrize("name", TRAINING_TASKS)
def test_a_task_of_training_has_noise_rooms_clipping_and_loss(name):
    task = TASKS[name]
    assert task.noise and task.room == 0.5
    assert [type(each).__name__ for each in task.distortions] == [
        "Clipping",
        "PacketLoss",
    ]
    assert task.extraction == ("extraction" in name)
    assert task.echo == ("echo" in name)


def test_rooms_are_needed_for_reverberation_and_for_echo():
    needed = {name for name, task in TASKS.items() if task.needs_room}
    assert needed == {*TRAINING_TASKS, "dereverberate", "cancel_echo"}
    assert not Task().needs_room
