"""One object of each kind that has a life cycle, every field that a transition could touch filled."""

from local_assistants.engine.objects import (
    FileBatch,
    FunctionArguments,
    LastError,
    Message,
    MessageCreation,
    MessageCreationDetails,
    RequiredAction,
    RequiredCall,
    Run,
    RunStep,
    SubmitToolOutputs,
    Upload,
    VectorStore,
    VectorStoreFile,
    Wire,
)
from local_assistants.engine.states import (
    BATCH,
    MESSAGE,
    RUN,
    STEP,
    STORE_FILE,
    UPLOAD,
    VECTOR_STORE,
    BatchStatus,
    Machine,
    MessageStatus,
    RunStatus,
    StepStatus,
    StoreFileStatus,
    StoreStatus,
    UploadStatus,
)

_CALL = RequiredCall(id="call_1", function=FunctionArguments(name="f", arguments="{}"))
_STAMPS = ("started_at", "cancelled_at", "failed_at", "completed_at", "incomplete_at", "expired_at")

_SAMPLES: dict[str, Wire] = {
    RUN.name: Run(
        id="run_1",
        created_at=1,
        assistant_id="asst_1",
        thread_id="thread_1",
        status=RunStatus.QUEUED,
        expires_at=601,
        required_action=RequiredAction(submit_tool_outputs=SubmitToolOutputs(tool_calls=(_CALL,))),
        model="m",
    ),
    STEP.name: RunStep(
        id="step_1",
        created_at=1,
        run_id="run_1",
        assistant_id="asst_1",
        thread_id="thread_1",
        type="message_creation",
        status=StepStatus.IN_PROGRESS,
        expires_at=601,
        last_error=LastError(code="server_error", message="kept"),
        step_details=MessageCreationDetails(message_creation=MessageCreation(message_id="msg_1")),
    ),
    MESSAGE.name: Message(
        id="msg_1",
        created_at=1,
        thread_id="thread_1",
        status=MessageStatus.IN_PROGRESS,
        role="assistant",
    ),
    VECTOR_STORE.name: VectorStore(id="vs_1", created_at=1, status=StoreStatus.COMPLETED),
    STORE_FILE.name: VectorStoreFile(
        id="file-1", created_at=1, vector_store_id="vs_1", status=StoreFileStatus.IN_PROGRESS
    ),
    BATCH.name: FileBatch(
        id="vsfb_1", created_at=1, vector_store_id="vs_1", status=BatchStatus.IN_PROGRESS
    ),
    UPLOAD.name: Upload(
        id="upload_1",
        bytes=1,
        created_at=1,
        filename="f",
        purpose="assistants",
        status=UploadStatus.PENDING,
        expires_at=3601,
    ),
}


def sample(machine: Machine, status: str) -> Wire:
    """An object of the machine's kind in a status."""
    found = _SAMPLES[machine.name]
    return found.model_copy(update={"status": type(getattr(found, "status"))(status)})  # noqa: B009


def stamps_of(obj: Wire) -> set[str]:
    """The fields of the object that a transition may set to the time."""
    return {name for name in _STAMPS if name in type(obj).model_fields}
