"""Files and outputs over the HTTP API: made by code, downloaded, sent back in, changed. The interpreter's small set."""

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.support.conversation import RUN_THE_USER, Conversation
from tests.support.live_server import LiveServer, playing

pytestmark = pytest.mark.slow
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose model runs what the user says."""
    server = LiveServer(playing(RUN_THE_USER, tmp_path_factory.mktemp("outputs")))
    yield server.start()
    server.stop()


@pytest.fixture
def talk(address: str) -> Iterator[Conversation]:
    """A new thread."""
    with Conversation(address) as conversation:
        yield conversation


@pytest.fixture(scope="module")
def long_talk(address: str) -> Iterator[Conversation]:
    """One thread for all tests that leave nothing behind which another could trip over."""
    with Conversation(address) as conversation:
        yield conversation


@pytest.fixture(scope="module")
def greeting(long_talk: Conversation) -> str:
    """The file in.txt in that thread."""
    return long_talk.upload("in.txt", b"hello")


@dataclass(frozen=True)
class Kind:
    """A kind of file: code that makes `name`, what it must hold, code that reads it and what that prints, a change."""

    name: str
    make: str
    holds: Callable[[bytes], object]
    read: str
    printed: str
    change: str


def members(content: bytes) -> dict[str, bytes]:
    """A ZIP's files."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def pdf_text(content: bytes) -> str:
    """All text of a PDF."""
    from pypdf import PdfReader

    return "".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)


def png_size(content: bytes) -> tuple[int, int]:
    """Width and height, from the header."""
    assert content.startswith(PNG)
    width, height = struct.unpack(">II", content[16:24])
    return width, height


KINDS = [
    Kind(
        name="table.csv",
        make=(
            "import pandas as pd\n"
            "pd.DataFrame({'name': ['Zoë', '日本'], 'n': [1, 2]}).to_csv('table.csv', index=False)"
        ),
        holds=lambda content: "name,n\nZoë,1\n日本,2\n" == content.decode(),
        read="import pandas as pd\nprint(pd.read_csv('table.csv')['name'].tolist())",
        printed="['Zoë', '日本']\n",
        change="open('table.csv', 'a').write('Bo,3\\n')",
    ),
    Kind(
        name="book.xlsx",
        make=(
            "import pandas as pd\nwith pd.ExcelWriter('book.xlsx') as book:\n"
            "    for sheet in ('eins', 'zwei'):\n"
            "        pd.DataFrame({'ü': [1.5, 2]}).to_excel(book, sheet_name=sheet, index=False)"
        ),
        holds=lambda content: (
            {"xl/worksheets/sheet1.xml", "xl/worksheets/sheet2.xml"} <= set(members(content))
        ),
        read=(
            "import pandas as pd\n"
            "for sheet, table in pd.read_excel('book.xlsx', sheet_name=None).items(): print(sheet, table['ü'].sum())"
        ),
        printed="eins 3.5\nzwei 3.5\n",
        change=(
            "import openpyxl\nbook = openpyxl.load_workbook('book.xlsx')\n"
            "book['eins']['A2'] = 7\nbook.save('book.xlsx')"
        ),
    ),
    Kind(
        name="plot.png",
        make=(
            "import matplotlib.pyplot as plt\nfigure = plt.figure(figsize=(3, 2), dpi=100)\n"
            "plt.bar(['a', 'b'], [1, 2])\nplt.savefig('plot.png')\nplt.close()"
        ),
        holds=lambda content: (300, 200) == png_size(content),
        read="from PIL import Image\nprint(Image.open('plot.png').size)",
        printed="(300, 200)\n",
        change="from PIL import Image\nImage.open('plot.png').resize((30, 20)).save('plot.png')",
    ),
    Kind(
        name="letter.pdf",
        make=(
            "from reportlab.pdfgen import canvas\npage = canvas.Canvas('letter.pdf')\n"
            "page.drawString(72, 700, 'Dear reader, 42.')\npage.save()"
        ),
        holds=lambda content: "Dear reader, 42." in pdf_text(content),
        read="from pypdf import PdfReader\nprint(PdfReader('letter.pdf').pages[0].extract_text().strip())",
        printed="Dear reader, 42.\n",
        change=(
            "from pypdf import PdfReader, PdfWriter\nout = PdfWriter(clone_from=PdfReader('letter.pdf'))\n"
            "out.add_blank_page(200, 200)\nout.write('letter.pdf')"
        ),
    ),
    Kind(
        name="report.docx",
        make=(
            "import docx\nreport = docx.Document()\nreport.add_heading('Größe')\n"
            "report.add_table(1, 1).cell(0, 0).text = 'cell 42'\nreport.save('report.docx')"
        ),
        holds=lambda content: b"cell 42" in members(content)["word/document.xml"],
        read=(
            "import docx\nreport = docx.Document('report.docx')\n"
            "print(report.paragraphs[0].text, report.tables[0].cell(0, 0).text)"
        ),
        printed="Größe cell 42\n",
        change=(
            "import docx\nreport = docx.Document('report.docx')\n"
            "report.add_paragraph('more')\nreport.save('report.docx')"
        ),
    ),
    Kind(
        name="slides.pptx",
        make=(
            "from pptx import Presentation\nslides = Presentation()\n"
            "slide = slides.slides.add_slide(slides.slide_layouts[5])\nslide.shapes.title.text = 'Fazit: 42'\n"
            "slides.save('slides.pptx')"
        ),
        holds=lambda content: b"Fazit: 42" in members(content)["ppt/slides/slide1.xml"],
        read="from pptx import Presentation\nprint(Presentation('slides.pptx').slides[0].shapes.title.text)",
        printed="Fazit: 42\n",
        change=(
            "from pptx import Presentation\nslides = Presentation('slides.pptx')\n"
            "slides.slides.add_slide(slides.slide_layouts[6])\nslides.save('slides.pptx')"
        ),
    ),
    Kind(
        name="all.zip",
        make=(
            "import zipfile\nwith zipfile.ZipFile('all.zip', 'w') as archive:\n"
            "    archive.writestr('a.txt', 'one')\n    archive.writestr('b/ü.txt', 'two')"
        ),
        holds=lambda content: {"a.txt": b"one", "b/ü.txt": b"two"} == members(content),
        read="import zipfile\nprint(zipfile.ZipFile('all.zip').read('b/ü.txt').decode())",
        printed="two\n",
        change="import zipfile\nwith zipfile.ZipFile('all.zip', 'a') as archive: archive.writestr('c.txt', 'three')",
    ),
]


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_a_file_goes_out_and_comes_back_in(talk: Conversation, address: str, kind: Kind) -> None:
    """Made by code it is a File with the right bytes; uploaded to another thread, code there reads the same."""
    made = talk.say(kind.make)
    file_id = made.files[kind.name]
    record, content = talk.file(file_id), talk.download(file_id)
    assert ("assistants_output", kind.name) == (record["purpose"], record["filename"])
    assert len(content) == record["bytes"]
    assert kind.holds(content)

    with Conversation(address) as other:
        sent = other.upload(kind.name, content)
        assert kind.printed == other.say(kind.read, sent).logs
        changed = other.say(kind.change).files[kind.name]
        assert changed not in (sent, file_id)
        assert content != other.download(changed)
        assert content == other.download(file_id)


WRITTEN = (
    "😀 [Ünï](sandbox:/mnt/data/Ünï cödé.csv), again [Ünï](sandbox:/mnt/data/Ünï cödé.csv); "
    "[b](sandbox:/mnt/data/out/b.csv), unknown sandbox:/mnt/data/none.csv and sandbox:/mnt/data/out/b.csv."
)


def test_links_have_exact_places(talk: Conversation) -> None:
    """Several, repeated, unknown, with names beyond ASCII: value[start:end] is the link, and it leads to its file."""
    answer = talk.say(
        "import os\nos.makedirs('out')\n"
        "for name in ('Ünï cödé.csv', 'out/b.csv'): open(name, 'w').write(name)\n"
        f"print({WRITTEN!r})"
    )
    value, marks = answer.text["value"], answer.text["annotations"]
    assert value.startswith(WRITTEN)
    assert ["Ünï cödé.csv", "Ünï cödé.csv", "out/b.csv", "out/b.csv"] == [
        mark["text"].removeprefix("sandbox:/mnt/data/") for mark in marks
    ]
    assert [mark["text"] for mark in marks] == [
        value[mark["start_index"] : mark["end_index"]] for mark in marks
    ]
    assert ["Ünï cödé.csv", "out/b.csv"] == [
        talk.download(mark["file_path"]["file_id"]).decode() for mark in (marks[1], marks[2])
    ]
    assert "b.csv" == talk.file(marks[2]["file_path"]["file_id"])["filename"]


def test_pictures_come_first_in_the_message(talk: Conversation) -> None:
    """In the order in which they were shown, each a File that can be downloaded."""
    answer = talk.say(
        "import matplotlib.pyplot as plt\nfor width in (2, 3):\n"
        "    plt.figure(figsize=(width, 2), dpi=100)\n    plt.plot([1, width])\n    plt.show()\n"
        "print('drawn')"
    )
    assert ["image", "image", "logs"] == [output["type"] for output in answer.outputs]
    assert ["image_file", "image_file", "text"] == [p["type"] for p in answer.message["content"]]
    shown = [output["image"]["file_id"] for output in answer.outputs if output["type"] == "image"]
    assert shown == answer.pictures
    widths = [png_size(talk.download(file_id))[0] for file_id in answer.pictures]
    assert widths == sorted(widths)
    assert {"assistants_output"} == {talk.file(file_id)["purpose"] for file_id in shown}


def test_prints_are_shown_while_code_runs(talk: Conversation) -> None:
    """Seen in the stream, they are answered with a cancel; the step keeps them, and the session goes on."""
    code = (
        "import time\nkept = 42\nprint('fir' + 'st', flush=True)\ntime.sleep(100)\nprint('never')"
    )
    stopped = talk.stop_at(code, "first")
    assert "cancelled" == stopped.run["status"]
    assert "first\n" == stopped.logs
    assert "42\n" == talk.say("print(kept)").logs


def test_code_that_prints_all_the_time_costs_few_events(talk: Conversation) -> None:
    """Ten thousand prints are joined, complete and in order, and the call's cap is said."""
    answer = talk.say("for n in range(10_000): print(n, flush=True)")
    assert [str(n) for n in range(10_000)] == answer.logs.splitlines()
    assert answer.deltas < 1000
    cut = talk.say("print('x' * 99_990)\nfor n in range(1000): print(n)")
    assert cut.logs.endswith("[output ends here: more than 100000 characters]\n")
    assert len(cut.logs) < 100_100


def test_failed_code_is_no_failed_step(talk: Conversation) -> None:
    """The traceback is in the logs after what was printed, the model reads the error, files are kept."""
    answer = talk.say("print('so far')\nopen('half.txt', 'w').write('x')\n1 / 0")
    assert "completed" == answer.run["status"]
    assert ["completed", "completed"] == [step["status"] for step in answer.steps]
    assert answer.logs.startswith("so far\n")
    assert "ZeroDivisionError: division by zero" in answer.logs
    assert "ZeroDivisionError: division by zero\n(line 3: 1 / 0)" in answer.text["value"]
    assert b"x" == talk.download(answer.files["half.txt"])


@pytest.mark.parametrize(
    "code",
    [
        "Here is the code:\n```python\nprint(open('in.txt').read())\n```\nIt prints the file.",
        "Here is the code:\nprint(open('in.txt').read())\n\nIt prints the whole file.",
        "print(open('sandbox:/mnt/data/in.txt').read())",
        "print(open('./in.txt').read())",
        "print(open('/mnt/data/in.txt').read())",
        "import os\nprint(open(os.path.join(os.getcwd(), 'in.txt')).read())",
        "!cat in.txt\nprint()",
        ">>> print(open('in.txt').read())",
        "    text = open('in.txt').read()\n    print(text)",
        "print(open('in.txt').read())\nexit()",
    ],
    ids=[
        "fences",
        "prose",
        "link",
        "dot",
        "absolute",
        "cwd",
        "shell",
        "prompt",
        "indented",
        "exit",
    ],
)
def test_code_that_is_written_badly_still_works(
    long_talk: Conversation, greeting: str, code: str
) -> None:
    """Each of these small models write, and each means the same."""
    assert "hello\n" == long_talk.say(code, greeting).logs.replace("\r\n", "\n")


@pytest.mark.parametrize("showing", ["plt.show()", "plt.show(block=True)", "", "fig.show()"])
def test_a_chart_is_shown_however_it_is_asked_for(long_talk: Conversation, showing: str) -> None:
    """Once."""
    code = f"import matplotlib.pyplot as plt\nfig = plt.figure()\nplt.plot([1, 2]);\n{showing}"
    answer = long_talk.say(code)
    assert 1 == len(answer.pictures)
    assert "" == answer.logs


def test_a_value_at_the_end_is_shown(long_talk: Conversation) -> None:
    """As a notebook does."""
    assert "[1, 4, 9]\n" == long_talk.say("squares = [n * n for n in (1, 2, 3)]\nsquares").logs
