"""What a client can notice of this server's behaviour that was different with the hosted service, and why.

Shown in docs/compatibility.md beside the fields of differences.py. Standard library only.
"""

BEHAVIOURS = (
    (
        "Model names",
        "names of hosted models (`gpt-4o`, `o3`, …) are answered by the default local model; other unknown names are "
        "refused as ever",
        "code that names a hosted model runs unchanged",
    ),
    (
        "Deleting a model",
        "403 for every served model",
        "only fine-tuned models could be deleted, and there are none here",
    ),
    (
        "Polling",
        "`openai-poll-after-ms` is 100",
        "the server is next door; the SDK's own default is a second or more",
    ),
    (
        "Beta header",
        "accepted, and not insisted on",
        "Azure's service did not ask for it either",
    ),
    (
        "API key",
        "on the loopback address any is accepted until one is made with `local-assistants keys create`",
        "one user, one machine",
    ),
    (
        "Azure's `api-version`",
        "every version is accepted, and none",
        "there is only one behaviour to choose from",
    ),
    (
        "Stream events",
        "carry an SSE `id`, with which a broken stream can be resumed",
        "an addition that clients ignore",
    ),
    (
        "A stream that breaks",
        "the `error` event's payload stands under the key `error`",
        "the published flat form is dropped without a word by the SDK's helpers",
    ),
    (
        "Token budgets",
        "`max_prompt_tokens` and `max_completion_tokens` from 1 (published floor: 256)",
        "small models have small contexts",
    ),
    (
        "Tools of a run",
        "up to 128, as for an assistant (published: 20)",
        "the hosted service's documents disagree; the wider limit breaks nobody",
    ),
    (
        "Citation marks",
        "name the file, as in `【4:0†report.pdf】`",
        "the younger of the hosted service's two styles",
    ),
    (
        "Message status",
        "on every message (the hosted service left it out of plain answers)",
        "the SDK's type requires it",
    ),
    (
        "`object` of a file batch",
        "`vector_store.files_batch`",
        "the SDK's type requires it; the hosted service sent `vector_store.file_batch`",
    ),
    (
        "`rewrite_query` of a search",
        "by rules: questions are evened out and split (file-search.md)",
        "a model's rewriting would cost a turn of it for each search",
    ),
    (
        "`quote` of a citation",
        "the sentence that is cited (the hosted service left it out, or empty)",
        "older samples read it",
    ),
    (
        "Deleting a busy thread",
        "its run is cancelled first",
        "the published documents do not say; a deletion that has to wait ten minutes is none",
    ),
    (
        "`Access-Control-Allow-Origin: *`",
        "not sent, also not for files and uploads",
        "any web page could read what is stored here through its visitor's browser",
    ),
    (
        "`openai-organization`, `openai-project`",
        "not among the headers of an answer, ignored in a request",
        "the key alone says which project it is",
    ),
)
