"""The cases in which other trackers book wrongly, each as a claim about counts."""

import pytest

from byok.gateway.formats import anthropic, embeddings, gemini, gemini_interactions, openai_usage
from byok.usage import TokenCounts


def test_anthropic_cache_counts_are_input_counted_once():
    told = anthropic.counts({"input_tokens": 3, "cache_creation_input_tokens": 12304, "cache_read_input_tokens": 0, "output_tokens": 550})
    assert told == TokenCounts(12307, 550, 12857, 0, 12304, None)


def test_gemini_cached_tokens_are_inside_the_prompt():
    told = gemini.counts(
        {"promptTokenCount": 204800, "cachedContentTokenCount": 200000, "candidatesTokenCount": 100, "totalTokenCount": 204900}
    )
    assert told == TokenCounts(204800, 100, 204900, 200000, None, None)


def test_gemini_thoughts_without_candidates_are_output():
    told = gemini.counts({"promptTokenCount": 10, "thoughtsTokenCount": 60, "totalTokenCount": 70})
    assert (told.completion_tokens, told.reasoning_tokens) == (60, 60)


@pytest.mark.parametrize("total", [303, None, 13])
def test_reasoning_outside_completion_is_seen_by_the_total_or_by_its_size(total: int | None):
    usage = {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": total, "completion_tokens_details": {"reasoning_tokens": 290}}
    assert openai_usage.counts(usage) == TokenCounts(12, 291, 303, None, None, 290)


@pytest.mark.parametrize("recounted", [13, 19])
def test_reasoning_counted_anew_is_no_further_output(recounted: int):
    """A host that counts the text of an answer cut at its bound anew finds a few tokens more than the model made."""
    usage = {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52, "completion_tokens_details": {"reasoning_tokens": recounted}}
    assert openai_usage.counts(usage) == TokenCounts(40, 12, 52, None, None, 12)


def test_reasoning_inside_completion_is_not_added():
    usage = {"input_tokens": 12, "output_tokens": 291, "total_tokens": 303, "output_tokens_details": {"reasoning_tokens": 290}}
    assert openai_usage.counts(usage) == TokenCounts(12, 291, 303, None, None, 290)


def test_what_is_not_known_is_null_and_never_zero():
    assert openai_usage.counts({}) == TokenCounts()
    assert openai_usage.counts({"prompt_tokens": 5}) == TokenCounts(prompt_tokens=5)
    assert openai_usage.counts({"total_tokens": 66}) == TokenCounts(total_tokens=66)
    assert anthropic.counts({"output_tokens": 5}) == TokenCounts(completion_tokens=5)
    assert gemini.counts({"totalTokenCount": 5}) == TokenCounts(total_tokens=5)


def test_the_missing_part_follows_from_the_total():
    assert openai_usage.counts({"prompt_tokens": 5, "total_tokens": 9}).completion_tokens == 4
    assert openai_usage.counts({"completion_tokens": 5, "total_tokens": 9}).prompt_tokens == 4


def test_parts_never_exceed_their_whole():
    usage = {"prompt_tokens": 7, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 161, "cache_write_tokens": 9}}
    told = openai_usage.counts(usage)
    assert (told.prompt_tokens, told.cached_tokens, told.cache_write_tokens) == (7, 7, 7)


def test_what_one_call_wrote_to_the_cache_and_read_from_it_is_told_twice():
    usage = {"prompt_tokens": 900, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 880, "cache_write_tokens": 880}}
    assert openai_usage.counts(usage) == TokenCounts(900, 8, 908, 880, 880, None)


def test_a_total_that_is_too_small_gives_way_to_the_parts():
    assert openai_usage.counts({"prompt_tokens": 7, "completion_tokens": 8, "total_tokens": 3}).total_tokens == 15


@pytest.mark.parametrize("odd", [-1, 1.5, "7 tokens", "-7", "", True, None, [], {}, 2**60, float("nan"), float("inf")])
def test_a_count_that_is_none_is_not_known(odd: object):
    assert openai_usage.counts({"prompt_tokens": odd, "completion_tokens": 3}) == TokenCounts(completion_tokens=3)
    assert anthropic.counts({"input_tokens": odd, "output_tokens": 3}) == TokenCounts(completion_tokens=3)
    assert gemini.counts({"promptTokenCount": odd, "candidatesTokenCount": 3}) == TokenCounts(completion_tokens=3)


@pytest.mark.parametrize("odd", [None, 3, "x", [1], True])
def test_details_of_another_make_are_passed_over(odd: object):
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": odd, "completion_tokens_details": odd}
    assert openai_usage.counts(usage) == TokenCounts(5, 3, 8)
    assert anthropic.counts({"input_tokens": 5, "output_tokens": 3, "cache_creation": odd, "iterations": odd}) == TokenCounts(5, 3, 8)


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        # what only the total tells is output, unless so much audio or cache lies beside the prompt
        ({"total_tokens": 1725, "prompt_tokens_details": {"audio_tokens": 50}}, (758, 967, 1725, None, None)),
        ({"total_tokens": 1725, "prompt_tokens_details": {"audio_tokens": 865}}, (1623, 102, 1725, None, None)),
        ({"total_tokens": 1725, "prompt_audio_seconds": 30}, (1623, 102, 1725, None, None)),
        ({"total_tokens": 960, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 40}, (858, 102, 960, 60, 40)),
        ({"prompt_tokens_details": {"audio_tokens": 0}, "prompt_token_details": {"cached_tokens": 500}}, (758, 102, 860, 500, None)),
        ({"prompt_tokens_details": {"cached_tokens": 0}, "prompt_token_details": {"cached_tokens": 500}}, (758, 102, 860, 500, None)),
        ({"prompt_tokens_details": {"cached_tokens": 500}, "input_tokens_details": {"cached_tokens": 0}}, (758, 102, 860, 500, None)),
        ({"cache_read_input_tokens": 500, "cache_creation_input_tokens": 20}, (758, 102, 860, 500, 20)),
        (
            {"prompt_tokens_details": {"cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 8}}},
            (758, 102, 860, None, 15),
        ),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 7}}, (758, 102, 860, None, 7)),
    ],
)
def test_details_in_every_spelling(told: dict, counts: tuple):
    assert openai_usage.counts({"prompt_tokens": 758, "completion_tokens": 102, **told}) == TokenCounts(*counts)


def test_reasoning_in_details_of_the_singular():
    usage = {"prompt_tokens": 5, "completion_tokens": 9, "completion_token_details": {"reasoning_tokens": 4}}
    assert openai_usage.counts(usage).reasoning_tokens == 4


def test_what_only_the_total_of_an_interaction_tells_is_output():
    usage = {"total_input_tokens": 20, "total_output_tokens": 5, "total_tokens": 60}
    assert gemini_interactions.counts(usage) == TokenCounts(20, 40, 60)


def test_whole_numbers_written_as_fractions_count():
    assert openai_usage.counts({"prompt_tokens": 5.0, "completion_tokens": 3.0}) == TokenCounts(5, 3, 8)


def test_digits_in_a_text_count():
    assert openai_usage.counts({"prompt_tokens": "5", "completion_tokens": "3", "prompt_tokens_details": {"cached_tokens": "2"}}) == (
        TokenCounts(5, 3, 8, 2)
    )
    assert anthropic.counts({"input_tokens": "5", "cache_read_input_tokens": "2", "output_tokens": "3"}) == TokenCounts(7, 3, 10, 2)
    assert gemini.counts({"promptTokenCount": "5", "candidatesTokenCount": "3"}) == TokenCounts(5, 3, 8)


@pytest.mark.parametrize("odd", [None, -1])
def test_a_part_of_the_input_does_not_stand_for_the_whole(odd: object):
    assert anthropic.counts({"input_tokens": odd, "cache_read_input_tokens": 90, "output_tokens": 3}) == TokenCounts(None, 3, None, 90)
    tools = {"promptTokenCount": odd, "toolUsePromptTokenCount": 771, "candidatesTokenCount": 569}
    assert gemini.counts(tools) == TokenCounts(completion_tokens=569)
    assert gemini.counts({**tools, "totalTokenCount": 1767}) == TokenCounts(1198, 569, 1767)
    assert gemini_interactions.counts({"total_input_tokens": odd, "total_tool_use_tokens": 7, "total_output_tokens": 3}) == (
        TokenCounts(completion_tokens=3)
    )


def test_embeddings_have_an_output_of_zero():
    assert embeddings.counts({"prompt_tokens": 8, "total_tokens": 8}) == TokenCounts(8, 0, 8)
    assert embeddings.counts({}) == TokenCounts()
    assert gemini.embedding_counts({"promptTokenCount": 8}) == TokenCounts(8, 0, 8)
    assert gemini.embedding_counts({"totalTokenCount": 8}) == TokenCounts(8, 0, 8)
