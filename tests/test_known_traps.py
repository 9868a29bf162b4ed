"""Where trackers of usage have gone wrong, and the test here that would show it. A name in this table that is no test or sample fails.

A sample (`wire/…`) is read in every way by `gateway/formats/test_samples.py`: whole, cut at every byte, at random places, packed.
"""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COUNTS, READING, RELAY = "gateway/formats/test_counts.py::", "gateway/test_reading.py::", "gateway/test_relay.py::"

TRAPS: dict[str, list[str]] = {
    # what vendors do
    "cached input is beside the prompt count (Anthropic)": [COUNTS + "test_anthropic_cache_counts_are_input_counted_once"],
    "a delta raises the input, or the start comes twice": [
        "wire/anthropic/delta_raises_input.sse",
        "wire/anthropic/start_arrives_twice.sse",
    ],
    "a later null erases a count": ["wire/anthropic/nulls_do_not_erase.sse"],
    "output counts of deltas are totals, not to be added": ["wire/anthropic/cumulative_output.sse"],
    "input and cache only in the delta (compatible hosts)": ["wire/anthropic/counts_only_in_delta.sse"],
    "compaction is beside the top level, an advisor is another model's": [
        "wire/anthropic/compaction.sse",
        "wire/anthropic/advisor_is_another_model.json",
    ],
    "cache writes told by age only": ["wire/anthropic/cache_write_by_age_only.json"],
    "thoughts are beside the candidates, which may be absent (Gemini)": [
        "wire/gemini/thoughts_only.json",
        "wire/gemini/no_candidates_count.json",
        COUNTS + "test_gemini_thoughts_without_candidates_are_output",
    ],
    "the prompt of tool use is input": ["wire/gemini/tool_use_is_input.json"],
    "every chunk has running totals": [
        "wire/gemini/running_totals.sse",
        "wire/gemini/running_totals.json",
        "wire/openai_chat/running_totals.sse",
    ],
    "the prompt count changes in the stream": ["wire/gemini/prompt_count_changes.sse"],
    "reasoning beside completion in one API, inside in the other (xAI)": [
        "wire/openai_chat/reasoning_outside_completion.json",
        "wire/openai_responses/reasoning_inside_completion.json",
    ],
    "thinking shows in the total only": ["wire/openai_chat/thinking_only_in_total.json"],
    "cache writes of OpenAI and Qwen": ["wire/openai_chat/cached_and_written.json"],
    "blank lines and comments before the answer, for minutes (DeepSeek)": [
        "wire/openai_chat/answer_after_blank_lines.json",
        "wire/openai_chat/usage_in_last_content_chunk_after_keep_alive.sse",
        READING + "test_keep_alive_and_role_are_no_content",
    ],
    "hit and miss instead of a prompt count": ["wire/openai_chat/cache_hit_and_miss_only.json"],
    "an old name is served by a newer model": [
        "gateway/test_models.py::test_what_is_booked_is_the_model_that_answered_by_its_catalogue_name"
    ],
    "who leaves saves money at one vendor and none at another": [
        RELAY + "test_a_client_that_leaves_a_stream_stops_the_vendor_within_a_second",
        RELAY + "test_a_vendor_that_bills_the_whole_answer_is_heard_out",
    ],
    "the usage chunk has no choices, null choices, or none at all": [
        "wire/openai_chat/usage_chunk.sse",
        "wire/openai_chat/usage_chunk_choices_null.sse",
        "wire/openai_chat/usage_chunk_without_choices.sse",
    ],
    "CRLF, comments, no space after data:, data over two lines, no blank line at the end": [
        "wire/openai_chat/crlf_comments_and_no_space.sse",
        "wire/openai_chat/cr_only.sse",
        "wire/openai_chat/data_over_two_lines.sse",
        "wire/openai_chat/no_blank_line_at_the_end.sse",
        "gateway/formats/test_samples.py::test_usage_is_read_wherever_the_pieces_are_cut",
    ],
    "an error inside a 200": [
        "wire/openai_chat/base_resp_rate_limit.json",
        "wire/openai_chat/error_in_200.json",
        "wire/openai_chat/error_in_the_middle.sse",
        "wire/anthropic/overloaded_in_the_middle.sse",
        "gateway/formats/test_failure.py::test_an_error_is_booked_as_its_real_class",
    ],
    "no [DONE], and only a total (MiniMax)": [
        "wire/openai_chat/no_done.sse",
        "wire/openai_chat/only_a_total.json",
        "wire/openai_chat/only_a_total_with_zeros.json",
    ],
    "usage inside the choice (Moonshot), in x_groq (Groq)": [
        "wire/openai_chat/usage_in_choice.sse",
        "wire/openai_chat/usage_only_in_x_groq.sse",
    ],
    "three spellings of cached, audio beside the prompt (Mistral)": [
        "wire/openai_chat/cached_num_cached_tokens.json",
        "wire/openai_chat/cached_prompt_token_details.json",
        "wire/openai_chat/audio_outside_prompt.json",
    ],
    "cached larger than prompt": ["wire/openai_chat/cached_larger_than_prompt.json", COUNTS + "test_parts_never_exceed_their_whole"],
    "an embedding has an output of 0, not null": [COUNTS + "test_embeddings_have_an_output_of_zero"],
    "reading a stored answer, a batch, a count of tokens is no call": [
        RELAY + "test_what_is_not_a_call_is_passed_on_and_not_booked",
        "gateway/test_vendors.py::test_a_vendors_own_path_leads_to_its_host",
    ],
    "unknown fields are refused by some (Mistral)": ["gateway/test_vendors.py::test_usage_is_asked_for_only_where_it_is_known"],
    # what other trackers did
    "usage is lost, or no row, when the client leaves": [
        RELAY + "test_a_client_that_leaves_after_the_usage_has_a_whole_row",
        RELAY + "test_a_client_that_leaves_while_an_answer_is_awaited_gets_its_row",
        READING + "test_the_client_leaves_before_the_usage",
    ],
    "a cut stream loses prompt and cache": ["wire/anthropic/cut_after_content.sse", "wire/gemini/running_totals_cut.sse"],
    "usage is booked at the end of file only": [RELAY + "test_the_record_is_there_before_the_last_byte"],
    "two ways of counting disagree": ["e2e/test_replay.py::test_the_sums_on_every_face_equal_those_of_the_recordings"],
    "cached input is charged or counted twice": [
        COUNTS + "test_gemini_cached_tokens_are_inside_the_prompt",
        "pricing/test_cost.py::test_cost_is_the_exact_product_rounded_once",
        "pricing/test_cost.py::test_published_mispricings_are_priced_right",
    ],
    "prompt + completion is not the total": ["gateway/formats/test_samples.py::test_counts_hold_together"],
    "two rows of one call": [
        "wire/openai_chat/usage_twice_is_not_added.sse",
        "e2e/test_corpus.py::test_every_recorded_exchange_is_booked_as_billed",
    ],
    "streamed responses without counts, incomplete and failed ones ignored": [
        "wire/openai_responses/completed.sse",
        "wire/openai_responses/incomplete.sse",
        "wire/openai_responses/failed_with_usage.sse",
    ],
    "the text of an error is counted as output": ["wire/openai_chat/error_is_not_output.sse"],
    "an unknown price is 0": ["store/test_questions.py::test_cost_is_null_where_unknown_and_counted"],
    "not measured is 0": [COUNTS + "test_what_is_not_known_is_null_and_never_zero"],
    "records are lost when the disk is full or the process killed": [
        "recording/test_journal_faults.py::test_a_really_full_disk_loses_what_it_says_it_lost_and_nothing_else",
        "e2e/test_kills.py::test_nothing_acknowledged_is_lost_or_doubled_when_processes_are_killed",
    ],
    "strangers fill the tables": ["gateway/test_routing.py::test_who_is_not_known_gets_one_and_the_same_401"],
    "a purge leaves files behind": ["test_retention.py::test_nothing_that_a_purge_removed_lies_in_any_file"],
    "days of another zone add up to more": ["store/test_questions.py::test_days_hours_and_months_are_those_of_the_zone"],
    "a key stands in an address or a log": ["gateway/test_routing.py::test_a_key_in_the_address_is_taken_out"],
    "what was said is kept after all": ["privacy/test_canaries.py::test_no_canary_is_anywhere_but_where_it_belongs"],
    "clients break on a chunk that they did not ask for": [RELAY + "test_the_usage_chunk_is_asked_for_and_taken_out_again"],
}


@pytest.mark.parametrize("trap", TRAPS)
def test_each_trap_has_its_test(trap: str):
    for place in TRAPS[trap]:
        file, _, test = place.partition("::")
        assert (HERE / file).is_file(), place
        assert not test or re.search(rf"^def {test}\(", (HERE / file).read_text(encoding="utf-8"), re.M), place
