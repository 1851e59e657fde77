"""Chat templates: the model's own where it can, plain words where it cannot."""

import pytest

from local_assistants.backends.llama_cpp.plain_words import Message
from local_assistants.backends.llama_cpp.template import ChatTemplate
from local_assistants.engine.errors import BackendFault
from tests.support.toy_gguf import TEMPLATE

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather <b>",
        "parameters": {"type": "object"},
    },
}
CALL = {
    "id": "1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": {"city": "Oslo"}},
}
TALK: list[Message] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "Sunny", "tool_call_id": "1", "name": "get_weather"},
]
PLAIN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
EACH = "{% for m in messages %}REFUSAL[{{ m.role }}]{{ m.content }}{% endfor %}"
NO_SYSTEM = EACH.replace(
    "REFUSAL", "{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
)
STRICT = EACH.replace(
    "REFUSAL",
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('no') }}{% endif %}",
)


def template(source: str | None) -> ChatTemplate:
    """A template with common tokens."""
    return ChatTemplate(source, bos="<s>", eos="</s>")


def test_template_with_tools_is_used_as_it_is() -> None:
    """Tools, calls and their outputs are shown the model's way, without HTML escapes."""
    text = template(TEMPLATE).render(TALK, [TOOL])
    assert '"description": "Weather <b>"' in text
    assert '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}' in text
    assert "<|im_start|>tool\nSunny<|im_end|>" in text
    assert text.endswith("<|im_start|>assistant\n")


def test_template_without_tools_says_it_in_words() -> None:
    """Tools go into the system message, calls and outputs into the messages around them."""
    chat = template(PLAIN)
    assert not chat.knows_tools
    assert chat.render(TALK, [TOOL]) == (
        "[system]Be brief.\n\nYou can call these functions:\n"
        '{"name": "get_weather", "description": "Weather <b>", "parameters": {"type": "object"}}\n'
        "To call one, answer with nothing but a JSON object: "
        '{"name": "the function", "arguments": {its arguments}}'
        "[user]Weather?"
        '[assistant]{"name": "get_weather", "arguments": {"city": "Oslo"}}'
        "[user]Result of get_weather:\nSunny[assistant]"
    )


def test_template_without_system_gets_it_from_the_user() -> None:
    """Instructions are never lost."""
    assert template(NO_SYSTEM).render(TALK[:2]) == "[user]Be brief.\n\nWeather?"


def test_template_that_wants_roles_to_alternate_gets_that() -> None:
    """Neighbouring messages of one role are joined."""
    twice: list[Message] = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    assert template(STRICT).render(twice) == "[user]a\n\nb"


def test_doubled_braces_are_repaired() -> None:
    """The form of a call that the model is shown has single braces again."""
    shown = '{{\\"name\\": <function-name>, \\"arguments\\": <args-json-object>}}'
    source = '{{- "' + shown + '" }}{{ messages[0].content }}'
    text = template(source).render([{"role": "user", "content": "x"}])
    assert text == '{"name": <function-name>, "arguments": <args-json-object>}x'


def test_missing_template_is_a_common_one() -> None:
    """Without a template messages are written in ChatML."""
    text = template(None).render([{"role": "user", "content": "x"}])
    assert text == "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize("source", ["{% if %}", "no messages at all", "{{ nothing.at.all }}"])
def test_useless_template_is_refused(source: str) -> None:
    """A template that cannot show a question is an error at load."""
    with pytest.raises(BackendFault, match="template"):
        template(source)


def test_template_cannot_reach_out() -> None:
    """A hostile template finds nothing of Python's insides."""
    hostile = (
        "{{ messages[0].content }}{% if messages|length > 1 %}{{ ''.__class__.__mro__ }}{% endif %}"
    )
    chat = template(hostile)
    with pytest.raises(BackendFault, match="refuses"):
        chat.render([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}])


def test_no_date_gets_into_prompts() -> None:
    """Templates that print a date if they can are given none, so prompts begin alike every day."""
    source = "{% if strftime_now is defined %}{{ strftime_now('%d') }}{% endif %}{{ messages[0].content }}"
    assert template(source).render([{"role": "user", "content": "x"}]) == "x"
