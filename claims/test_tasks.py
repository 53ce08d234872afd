"""What replacing channels takes of tasks whose answer is in the prompt, and of those whose answer is in the weights."""

import pytest

from fixtures.claim import claim, tried_on
from fixtures.planted import answers
from lib.judging import item_difference

STUDY = "Jin et al. 2025; Africa 2026, experiment 3"
EDITS = ("massive", "top")
EACH_EDIT = pytest.mark.parametrize("edit", EDITS)
CONTROLS = ("random", "energy", "smallest")
EACH_CONTROL = pytest.mark.parametrize("control", CONTROLS)
BEFORE = {"baseline": 0.85}
"""A share of right answers of which 60 points lie above the chance of one in four."""


def _after(share: float) -> dict[str, float]:
    """Right answers with either edit."""
    return {**BEFORE, **dict.fromkeys(EDITS, share)}


def _with_controls(share: float) -> dict[str, float]:
    """Right answers with any control."""
    return {**BEFORE, **dict.fromkeys(CONTROLS, share)}


@EACH_EDIT
@claim("T1", source=STUDY, published="passkey: 100 to 0 %, IMDB: 44 to 5 %", family="tasks", figure="tasks")
@tried_on(
    supported=answers(_after(0.3), _after(0.8)),
    refuted=answers(_after(0.75), _after(0.8)),
    open=answers(_after(0.55), _after(0.8)),
    inside=answers(_after(0.52), _after(0.8)),
    outside=answers(_after(0.58), _after(0.8)),
)
def test_half_of_what_contextual_tasks_have_above_chance_is_lost(rope_answers, judge, edit):
    """Accuracy of the RoPE arm on contextual tasks, above chance, that is lost with the channels replaced while the
    prompt is read, in percent of what is there with nothing replaced. An answer is right if it is the likeliest choice.
    """
    rope_answers.need("rope", edit, "contextual")
    lost, note = rope_answers.share_lost("rope", "contextual", edit), rope_answers.in_nats("rope", edit, "contextual")
    judge(lost, unit="% of accuracy above chance", note=note).at_least(50)


@EACH_EDIT
@claim("T2", source=STUDY, published="cities: 89.5 to 57.5 %, sports: 60 to 52 %", family="tasks", figure="tasks")
@tried_on(
    supported=answers(_after(0.3), _after(0.8)),
    refuted=answers(_after(0.3), _after(0.5)),
    open=answers(_after(0.3), _after(0.7)),
    inside=answers(_after(0.3), _after(0.72)),
    outside=answers(_after(0.3), _after(0.68)),
)
def test_a_quarter_at_most_of_what_parametric_tasks_have_above_chance_is_lost(rope_answers, judge, edit):
    """Accuracy of the RoPE arm on parametric tasks, above chance, that is lost with the channels replaced while the
    prompt is read, in percent of what is there with nothing replaced. The answers are facts in the weights.
    """
    rope_answers.need("rope", edit, "parametric")
    lost, note = rope_answers.share_lost("rope", "parametric", edit), rope_answers.in_nats("rope", edit, "parametric")
    judge(lost, unit="% of accuracy above chance", note=note).at_most(25)


@EACH_EDIT
@claim("T3", source=STUDY, published="contextual tasks lose more", family="tasks", figure="tasks")
@tried_on(
    supported=answers(_after(0.3), _after(0.8)),
    refuted=answers(_after(0.8), _after(0.3)),
    open=answers(_after(0.5), _after(0.5)),
    inside=answers(_after(0.48), _after(0.52)),
    outside=answers(_after(0.52), _after(0.48)),
)
def test_contextual_tasks_lose_more_than_parametric_ones(rope_answers, judge, edit):
    """Percentage points of accuracy that items of contextual tasks lose in the RoPE arm with the channels replaced,
    minus those that items of parametric tasks lose.
    """
    rope_answers.need("rope", edit, "contextual", "parametric")
    lost = [rope_answers.points_lost("rope", knowledge, edit) for knowledge in ("contextual", "parametric")]
    note = rope_answers.in_nats("rope", edit, "contextual", "parametric")
    judge(item_difference(*lost), unit="percentage points", note=note).above(0)


@EACH_EDIT
@claim("T4", source=STUDY, published="100 to 0 %", family="tasks", figure="hidden_facts")
@tried_on(
    supported=answers({**BEFORE, "baseline": 1.0, **dict.fromkeys(EDITS, 0.0)}, _after(0.8)),
    refuted=answers({"baseline": 1.0, **dict.fromkeys(EDITS, 0.5)}, _after(0.8)),
    open=answers({"baseline": 0.9, **dict.fromkeys(EDITS, 0.1)}, _after(0.8)),
    inside={
        "from 90 %": answers({"baseline": 0.92, **dict.fromkeys(EDITS, 0.0)}, _after(0.8)),
        "to 10 %": answers({"baseline": 1.0, **dict.fromkeys(EDITS, 0.08)}, _after(0.8)),
    },
    outside={
        "from 90 %": answers({"baseline": 0.88, **dict.fromkeys(EDITS, 0.0)}, _after(0.8)),
        "to 10 %": answers({"baseline": 1.0, **dict.fromkeys(EDITS, 0.12)}, _after(0.8)),
    },
)
def test_the_pass_key_is_found_no_more(rope_answers, judge, edit):
    """Share of pass keys that the RoPE arm writes by greedy decoding, every digit right: with nothing replaced, and
    with the channels replaced while the prompt is read. What it writes else counts as wrong; what it writes behind the
    key does not count.
    """
    rope_answers.need("rope", edit, task="passkey")
    judge.all_of(
        judge.part(rope_answers.exact("rope", "baseline", "passkey"), of=2, unit="% of keys", label="before").at_least(
            90
        ),
        judge.part(rope_answers.exact("rope", edit, "passkey"), of=2, unit="% of keys", label="replaced").at_most(10),
    )


@EACH_EDIT
@claim(
    "T5", source="Africa 2026, experiment 3", published="passkey: 100 to 0 v 60 to 60 %", family="tasks", figure="tasks"
)
@tried_on(
    supported=answers(_after(0.3), _after(0.8), drope=_after(0.7)),
    refuted=answers(_after(0.7), _after(0.8), drope=_after(0.3)),
    open=answers(_after(0.5), _after(0.8), drope=_after(0.5005)),
    inside=answers(_after(0.5), _after(0.8), drope=_after(0.52)),
    outside=answers(_after(0.5), _after(0.8), drope=_after(0.48)),
)
def test_drope_loses_less_contextual_accuracy(answers, judge, edit):
    """Percentage points of accuracy that an item of a contextual task loses in the RoPE arm with the channels replaced,
    minus those that the same item loses in the DroPE arm.
    """
    for arm in ("rope", "drope"):
        answers.need(arm, edit, "contextual")
    judge(answers.points_lost_more("rope", "drope", "contextual", edit), unit="percentage points").above(0)


@EACH_CONTROL
@claim("T6", source=STUDY, published="no change", family="tasks", figure="tasks")
@tried_on(
    supported=answers(_after(0.3), _after(0.8)),
    refuted=answers(_with_controls(0.7), _after(0.8)),
    open=answers(_with_controls(0.8), _after(0.8)),
    inside={
        "contextual": answers(_with_controls(0.82), _after(0.8)),
        "parametric": answers(_after(0.3), _with_controls(0.82)),
    },
    outside={
        "contextual": answers(_with_controls(0.78), _after(0.8)),
        "parametric": answers(_after(0.3), _with_controls(0.78)),
    },
)
def test_replacing_other_channels_changes_no_accuracy(rope_answers, judge, control):
    """Percentage points of accuracy that items lose in the RoPE arm with other channels replaced: as many random ones,
    random ones of equal energy, or each head's smallest; of contextual and of parametric tasks.
    """
    rope_answers.need("rope", control, "contextual", "parametric")
    lost = {
        knowledge: rope_answers.points_lost("rope", knowledge, control) for knowledge in ("contextual", "parametric")
    }
    parts = [judge.part(of, of=2, unit="percentage points", label=knowledge) for knowledge, of in lost.items()]
    judge.all_of(*(part.within(-5, 5) for part in parts))
