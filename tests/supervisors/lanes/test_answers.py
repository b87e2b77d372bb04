import sys
from types import ModuleType

import msgspec
import pytest

from supervisors.answers import LoadedAnswers, answer_decoder
from supervisors.frames import encode
from supervisors.messages import Message


class OnlyHere(Message, frozen=True, kw_only=True):
    number: int


class Base(Message, frozen=True, kw_only=True):
    pass


class Grandchild(Base, frozen=True, kw_only=True):
    pass


class Twin(Message, frozen=True, kw_only=True):
    number: int


def other_module(name: str) -> ModuleType:
    """Another module that defines a ``Twin`` of its own."""
    module = ModuleType(name)
    sys.modules[name] = module
    source = (
        "from supervisors.messages import Message\n"
        "class Twin(Message, frozen=True, kw_only=True):\n"
        "    text: str\n"
    )
    exec(source, module.__dict__)
    return module


def test_only_the_given_types_are_read() -> None:
    decode = answer_decoder(OnlyHere | Grandchild)

    assert decode(encode(OnlyHere(number=1))) == OnlyHere(number=1)
    with pytest.raises(msgspec.DecodeError, match="Twin"):
        decode(encode(Twin(number=1)))


def test_any_loaded_message_is_read_by_its_class_name() -> None:
    decode = LoadedAnswers("somewhere")

    assert decode(encode(OnlyHere(number=1))) == OnlyHere(number=1)
    assert decode(encode(Grandchild())) == Grandchild()


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x80", b"\x81\xa1_\xa7Unheard"])
def test_what_no_loaded_class_explains_is_a_decode_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        LoadedAnswers("somewhere")(body)


def test_of_two_classes_with_one_name_the_askers_own_is_meant() -> None:
    other = other_module("trial_module_with_a_twin")
    try:
        theirs = LoadedAnswers(other.__name__)(encode(other.Twin(text="x")))
        ours = LoadedAnswers(__name__)(encode(Twin(number=1)))

        assert type(theirs) is other.Twin
        assert type(ours) is Twin
        with pytest.raises(msgspec.ValidationError, match=r"Twin is defined in .*Actor\.answers"):
            LoadedAnswers("somewhere else")(encode(Twin(number=1)))
    finally:
        del sys.modules[other.__name__]
