"""Files of every purpose, uploads in parts, models."""

import hashlib
import io
from typing import Any

import openai

from .cases_objects import DOT
from .reporting import Cases, holds, same
from .world import World, every, got

CASES = Cases()
NAME = "naïve 表.csv"


@CASES("objects", "files: create, retrieve, list, content, delete")
async def files(world: World) -> None:
    """A picture goes up and comes down byte for byte; a tool's input does not come down."""
    api = world.client.files
    picture = await got(api.create(file=("dot.png", DOT), purpose="vision"))
    table = await got(api.create(file=(NAME, io.BytesIO(b"a,b\n1,2\n")), purpose="assistants"))
    same((NAME, 8, "assistants"), (table.filename, table.bytes, table.purpose))
    same(table.model_dump(), (await got(api.retrieve(table.id))).model_dump())
    ready = await got(api.wait_for_processing(table.id))
    same("processed", ready.status)
    content = await got(api.content(picture.id))
    same(DOT, content.content)
    try:
        await got(api.content(table.id))
        raise AssertionError("a tool's input came down")
    except openai.BadRequestError as error:
        holds("Not allowed to download files of purpose" in str(error), str(error))
    gone = await got(api.delete(table.id))
    same((table.id, "file", True), (gone.id, gone.object, gone.deleted))


@CASES("objects", "files: list by purpose, all pages")
async def file_pages(world: World) -> None:
    """Pages of two, one purpose only."""
    api = world.client.files
    made = [
        (await got(api.create(file=(f"{n}.txt", b"x"), purpose="user_data"))).id for n in range(3)
    ]
    found = [item.id for item in await every(api.list(purpose="user_data", limit=2))]
    same(list(reversed(made)), found[:3], "newest first")
    oldest = await every(api.list(purpose="user_data", limit=2, order="asc"))
    same(made, [item.id for item in oldest][-3:], "oldest first")


@CASES("objects", "files: expiry and old names")
async def file_expiry(world: World) -> None:
    """`expires_after` in the form, and content read through the deprecated call."""
    api = world.client.files
    expiry: dict[str, Any] = {"anchor": "created_at", "seconds": 3600}
    made = await got(api.create(file=("dot.png", b"x"), purpose="vision", expires_after=expiry))
    same(3600, made.expires_at - made.created_at)
    same("x", await got(api.retrieve_content(made.id)))


@CASES("objects", "uploads: create, parts, complete")
async def uploads(world: World) -> None:
    """Two parts, put together in the order of the completion, checked by md5."""
    api = world.client.uploads
    whole = b"Hello, world.\n"
    upload = await got(
        api.create(filename="hello.txt", purpose="vision", bytes=len(whole), mime_type="text/plain")
    )
    second = await got(api.parts.create(upload.id, data=whole[7:]))
    first = await got(api.parts.create(upload.id, data=whole[:7]))
    same(upload.id, first.upload_id)
    md5 = hashlib.md5(whole, usedforsecurity=False).hexdigest()
    done = await got(api.complete(upload.id, part_ids=[first.id, second.id], md5=md5))
    same(("completed", "hello.txt", len(whole)), (done.status, done.file.filename, done.file.bytes))
    content = await got(world.client.files.content(done.file.id))
    same(whole, content.content)


@CASES("objects", "uploads: cancel")
async def cancelled_upload(world: World) -> None:
    """After it no part is taken."""
    api = world.client.uploads
    upload = await got(
        api.create(filename="a.txt", purpose="assistants", bytes=3, mime_type="text/plain")
    )
    same("pending", upload.status)
    same("cancelled", (await got(api.cancel(upload.id))).status)
    try:
        await got(api.parts.create(upload.id, data=b"abc"))
    except openai.BadRequestError:
        return
    raise AssertionError("a cancelled upload took a part")


@CASES("helpers", "uploads.upload_file_chunked")
async def chunked(world: World) -> None:
    """The helper cuts, sends and completes."""
    whole = bytes(range(256)) * 40
    done = await got(
        world.client.uploads.upload_file_chunked(
            file=whole,
            filename="all.png",
            bytes=len(whole),
            mime_type="image/png",
            purpose="vision",
            part_size=4096,
        )
    )
    same(("completed", len(whole)), (done.status, done.file.bytes))
    content = await got(world.client.files.content(done.file.id))
    same(whole, content.content)


@CASES("objects", "models: list, retrieve, delete")
async def models(world: World) -> None:
    """Served models are listed; they are no fine-tuned ones, so nobody deletes them."""
    api = world.client.models
    names = [model.id for model in await every(api.list())]
    holds("default" in names, f"the default model is among {names}")
    same("default", (await got(api.retrieve("default"))).id)
    try:
        await got(api.delete("default"))
    except openai.PermissionDeniedError:
        return
    raise AssertionError("a served model was deleted")
