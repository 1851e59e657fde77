"""Code is found in whatever a model sends, and is never changed. Pure text."""

import json
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_assistants.tools.code_interpreter.arguments import code_of, is_python, unwrapped

LOOP = "for n in range(3):\n    print(n)"


@pytest.mark.parametrize(
    "arguments",
    [
        '{"code": "print(1)"}',
        '{"input": "print(1)"}',
        "{'code': 'print(1)'}",
        '{"code": """print(1)"""}',
        '"print(1)"',
        "print(1)",
        '{"code": "```python\\nprint(1)\\n```"}',
        "```py\nprint(1)\n```",
        "```Python\nprint(1)```",
        "```python title=one.py\nprint(1)\n```",
        "Let me see:\n```\nprint(1)\n```\nThat prints one.",
        "```python\nprint(1)",
        "python\nprint(1)",
        "`print(1)`",
    ],
)
def test_code_is_found_however_it_is_dressed(arguments: str) -> None:
    """JSON, an object of Python's, other field names, bare code, fences, prose, a fence that was cut off."""
    assert "print(1)" == code_of(arguments)


@pytest.mark.parametrize(
    "arguments", ["", "{}", '{"code": 3}', '{"code": "pri', "{'code': 'pri", "[1]", "null"]
)
def test_what_holds_no_code_gives_none(arguments: str) -> None:
    """Broken or foreign JSON is no code."""
    assert "" == code_of(arguments)


def test_a_whole_call_in_the_place_of_code_is_opened() -> None:
    """As a small model writes that is made to call once more."""
    call = {"name": "code_interpreter", "arguments": {"code": "print(1)"}}
    assert "print(1)" == code_of(json.dumps({"code": json.dumps(call)}))


@pytest.mark.parametrize(
    "code", ['{"name": "x", "arguments": {}}', '{"arguments": {"code": "1"}}', "{1: 2}", "{"]
)
def test_other_objects_in_the_place_of_code_are_left_alone(code: str) -> None:
    """A dictionary is code."""
    assert code == code_of(json.dumps({"code": code}))


def test_a_stray_backslash_warns_nobody() -> None:
    """Python's parser would; its warning would stand in the server's log."""
    assert r"re.findall('\d', 'a1')" == code_of(r"""{'code': "re.findall('\d', 'a1')"}""")


def test_real_line_breaks_in_json_are_accepted() -> None:
    """Models put them into strings against the standard."""
    assert "a = 1\nb = 2" == code_of('{"code": "a = 1\nb = 2"}')


@pytest.mark.parametrize(
    "code",
    [
        'text = """\n```python\nprint(1)\n```\n"""',
        "%matplotlib inline\nx = 1",
        "!ls -la /mnt/data",
        "import pandas as pd\npd.read_csv?",
        "%%time\nsum(range(3))",
        "x = {1, 2}",
        '{"a": 1}["a"]',
        "print('a\\nb')",
        "await something()",
        "import re\nre.findall('\\d', 'a1')",
        "Here = 1; is_ = 2\nprint(Here)",
    ],
)
def test_what_is_code_already_is_left_alone(code: str) -> None:
    """Code that writes markdown, IPython's own lines, sets, escapes in strings."""
    assert code == code_of(json.dumps({"code": code}))


def test_a_bare_set_is_code() -> None:
    """It begins as an object does and is none."""
    assert "{x for x in (1, 2)}" == code_of("{x for x in (1, 2)}")


def test_only_the_fences_of_python_are_run() -> None:
    """Neither the command that a shell was to run nor the output that the model expects."""
    text = (
        "First:\n```bash\npip install pandas\n```\nthen\n```python\na = 1\n```\nand\n```python\nprint(a)\n```\n"
        "which prints\n```\n1 row found\n```"
    )
    assert "a = 1\nprint(a)" == unwrapped(text)


def test_unmarked_fences_that_are_no_code_are_left_out() -> None:
    """The expected output goes, the code stays."""
    assert "print(1)" == unwrapped("```\nprint(1)\n```\nOutput:\n```\nthe answer is 1\n```")


@pytest.mark.parametrize(
    "text",
    [
        f"Here is the code to do it:\n\n{LOOP}",
        f"Sure! I will count for you.\n{LOOP}",
        f"Code:\n{LOOP}",
        f"{LOOP}\n\nThis code prints three numbers.",
        f"1. First we count the rows.\n{LOOP}\n\n- It uses `range(3)` for that.\n- Nothing else is needed.",
        f"Теперь посчитаем все строки:\n{LOOP}",
    ],
)
def test_sentences_around_code_are_taken_off(text: str) -> None:
    """Without them it is Python, so they were no part of it."""
    assert LOOP == unwrapped(text)


@pytest.mark.parametrize(
    "text",
    [
        "for n in range(3)\n    print(n)",
        'print "hello big world"',
        "I would rather not run any code.",
        "if x is None and y:\nprint(1)",
        "x = = 1\nThis assigns one to x.",
    ],
)
def test_what_cannot_be_mended_reaches_the_kernel_as_it_is(text: str) -> None:
    """Its SyntaxError tells the model more than a guess would."""
    assert text == unwrapped(text)


def test_line_breaks_that_were_written_out_are_made_real() -> None:
    """Escaped once too often; what is escaped inside a string stays an escape."""
    assert "a = 1\nprint('x\\ny', \"z\")" == unwrapped("a = 1\\nprint('x\\\\ny', \\\"z\\\")")


@pytest.mark.parametrize(
    "text",
    [
        textwrap.indent(f"n = 0\n{LOOP}", "    "),
        textwrap.indent(f"n = 0\n{LOOP}", "    ").lstrip(),
        textwrap.indent(f"1. Count:\n```python\nn = 0\n{LOOP}\n```", "   "),
    ],
)
def test_indentation_of_the_whole_is_taken_off(text: str) -> None:
    """As in a list of markdown, or where the first line lost its share."""
    assert f"n = 0\n{LOOP}" == unwrapped(text)


def test_a_link_that_is_printed_stays_a_link() -> None:
    """It is for the reader of the answer, and no path that code opens."""
    code = "print('[table](sandbox:/mnt/data/a.csv)')"
    assert code == unwrapped(code)


@pytest.mark.parametrize("link", ["sandbox:/mnt/data/a.csv", "sandbox://mnt/data/a.csv"])
def test_chat_links_become_paths(link: str) -> None:
    """sandbox:/mnt/data is how the chat names what code knows as /mnt/data."""
    assert f"open('{link.removeprefix('sandbox:')}')" == code_of(f"open('{link}')")


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever comes, there is an answer."""
    assert isinstance(code_of(text), str)


@given(st.sampled_from([LOOP, "x = 1", "!ls"]), st.text(alphabet="abc.:` \n", max_size=60))
def test_code_stays_code(code: str, around: str) -> None:
    """What is Python as a whole is what is run, line breaks at its ends aside."""
    text = f"{code}\n{around}"
    if is_python(text):
        assert text.strip("\r\n") == unwrapped(text)


def test_a_huge_text_is_not_looked_at_for_slips() -> None:
    """Parsing megabytes would hold everybody else up."""
    text = "x = 1\n" * 50_000 + "and this is prose here"
    assert text == unwrapped(text)
