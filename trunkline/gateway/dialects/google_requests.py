"""A chat as a `GenerateContentRequest`. https://ai.google.dev/api/generate-content

Two fields that this protocol has under several names are taken in the form that holds standard JSON
schema: `parametersJsonSchema` and `responseJsonSchema`.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from trunkline.gateway.conversation import (
    Conversation,
    Image,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from trunkline.gateway.dialects.google_models import GoogleModel
from trunkline.gateway.protocols import CannotSay
from trunkline.gateway.provider_json import read_arguments

SIGNATURE_MARK = "gemini."
"""Before the signatures of this provider's reasoning, so that those of another (a chat may have
begun with Claude) are told from them: it refuses a signature that it did not make.
"""
# For calls that this provider did not make, which it otherwise refuses from its third generation
# on: https://ai.google.dev/gemini-api/docs/thought-signatures ("FAQs").
_FOREIGN_CALL = "skip_thought_signature_validator"
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
_MOST_STOPS = 5
_FILES_HOST = "generativelanguage.googleapis.com"

Json = dict[str, object]


def request_body(conversation: Conversation, model: GoogleModel, thinking: Json | None) -> Json:
    """The whole request. Raises `CannotSay`."""
    contents = _contents(conversation, model)
    if not contents:
        raise CannotSay(
            "Gemini wants a message beside the system prompt: add one with the role 'user'"
        )
    body: Json = {"contents": contents}
    system: list[object] = [{"text": text.text} for text in conversation.system if text.text]
    if system:
        body["systemInstruction"] = {"parts": system}
    if conversation.tools:
        if conversation.output is not None and not model.takes_json_beside_tools:
            raise CannotSay(
                "Gemini's models take no wish for JSON beside tools before the third generation: "
                "leave one of them out, or use a newer model"
            )
        body["tools"] = [{"functionDeclarations": [_declared(one) for one in conversation.tools]}]
        if conversation.tool_choice is not None:
            calling = _calling(conversation.tool_choice)
            body["toolConfig"] = {"functionCallingConfig": calling}
    config = _generation_config(conversation)
    if thinking is not None:
        config["thinkingConfig"] = thinking
    if config:
        body["generationConfig"] = config
    return body


def _generation_config(conversation: Conversation) -> Json:
    config: Json = {
        name: value
        for name, value in (
            ("maxOutputTokens", conversation.max_output_tokens),
            ("temperature", conversation.temperature),
            ("topP", conversation.top_p),
            ("topK", conversation.top_k),
            ("presencePenalty", conversation.presence_penalty),
            ("frequencyPenalty", conversation.frequency_penalty),
        )
        if value is not None
    }
    if conversation.seed is not None:
        # An int32 there, an int64 at OpenAI: the same seed is still the same.
        config["seed"] = conversation.seed % 2**31
    if len(conversation.stop) > _MOST_STOPS:
        raise CannotSay(
            f"Gemini takes at most {_MOST_STOPS} stop sequences, not {len(conversation.stop)}: "
            "leave some out"
        )
    if conversation.stop:
        config["stopSequences"] = list(conversation.stop)
    if conversation.output is not None:
        config["responseMimeType"] = "application/json"
        if conversation.output.schema is not None:
            config["responseJsonSchema"] = conversation.output.schema
    return config


def _declared(tool: Tool) -> Json:
    declared: Json = {"name": tool.name}
    if tool.description is not None:
        declared["description"] = tool.description
    if tool.parameters is not None:
        declared["parametersJsonSchema"] = tool.parameters
    return declared


def _calling(choice: ToolChoice) -> Json:
    calling: Json = {"mode": _MODES[choice.mode]}
    if choice.mode == "named":
        calling["allowedFunctionNames"] = [choice.name]
    return calling


def _contents(conversation: Conversation, model: GoogleModel) -> list[Json]:
    """The turns, without the empty, which are refused; those of one side that follow each other
    become one.
    """
    contents: list[Json] = []
    names: dict[str, str] = {}
    last_parts: list[Json] = []
    last_role: Role | None = None
    for turn in conversation.turns:
        parts = list(_turn(turn, model, names))
        if not parts:
            continue
        if turn.role is last_role:
            last_parts += parts
            continue
        last_role, last_parts = turn.role, parts
        role = "model" if turn.role is Role.ASSISTANT else "user"
        contents.append({"role": role, "parts": last_parts})
    return contents


def _turn(turn: Turn, model: GoogleModel, names: dict[str, str]) -> Iterator[Json]:
    """A turn's parts; notes the names of the calls in it by their ids, for their results."""
    has_call = False
    for part in turn.parts:
        if isinstance(part, ToolCall):
            names[part.id] = part.name
            # Of calls that stand beside each other only the first is signed.
            yield _call(part, must_sign=model.is_third and not has_call)
            has_call = True
        elif isinstance(part, ToolResult):
            yield from _result(part, model, names)
        else:
            yield from _said(part)


def _said(part: Part) -> Iterator[Json]:
    match part:
        case Text(text=text) | Refusal(text=text):
            if text:
                yield {"text": text}
        case Image():
            yield _image(part)
        case Reasoning(signature=str(signature)) if signature.startswith(SIGNATURE_MARK):
            # As a stream brings it: beside an empty text. The thoughts themselves were a summary.
            yield {"text": "", "thoughtSignature": signature.removeprefix(SIGNATURE_MARK)}


def _call(call: ToolCall, *, must_sign: bool) -> Json:
    part: Json = {
        "functionCall": {"id": call.id, "name": call.name, "args": read_arguments(call)},
    }
    signature = call.signature or (_FOREIGN_CALL if must_sign else None)
    if signature is not None:
        part["thoughtSignature"] = signature
    return part


def _result(result: ToolResult, model: GoogleModel, names: Mapping[str, str]) -> Iterator[Json]:
    """A `functionResponse`; where the model takes no pictures within, they stand behind it."""
    name = result.name or names.get(result.call_id)
    if name is None:
        raise CannotSay(
            f"the tool result for the call '{result.call_id}' can't be told to Gemini, which goes "
            "by the tool's name: send the assistant's message with that call before it"
        )
    text = "\n".join(part.text for part in result.content if isinstance(part, Text))
    images = [_image(part) for part in result.content if isinstance(part, Image)]
    response: Json = {
        "id": result.call_id,
        "name": name,
        "response": {"error" if result.is_error else "output": text},
    }
    if images and model.is_third:
        response["parts"] = images
        images = []
    yield {"functionResponse": response}
    yield from images


def _image(image: Image) -> Json:
    if image.data is not None:
        if image.media_type is None:
            raise CannotSay(
                "Gemini wants to know what an image is: give its media type, such as image/png"
            )
        return {"inlineData": {"mimeType": image.media_type, "data": image.data}}
    if image.url is not None and _is_own_file(image.url):
        file: Json = {"fileUri": image.url}
        if image.media_type is not None:
            file["mimeType"] = image.media_type
        return {"fileData": file}
    raise CannotSay(
        "an image by its URL can't be sent to Gemini: send its data, as a data: URL or in base64"
    )


def _is_own_file(url: str) -> bool:
    """Whether it lies with this provider: its own URIs are taken as they are."""
    try:
        return urlsplit(url).hostname == _FILES_HOST
    except ValueError:
        return False
