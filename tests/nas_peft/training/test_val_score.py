"""The order of validation scores."""

from nas_peft.training.val_score import ValScore


def test_accuracy_decides_and_then_loss():
    scores = [ValScore(0.8, 0.1), ValScore(0.9, 0.9), ValScore(0.9, 0.5)]
    assert sorted(scores, key=ValScore.rank_key) == [scores[2], scores[1], scores[0]]
