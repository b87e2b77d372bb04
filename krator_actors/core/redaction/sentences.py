"""Words with which a sentence goes on after the name of a secret: ``the password is required``."""

from __future__ import annotations

from typing import Final

_TAIL: Final = b".,;:!?*)]}"
_GOES_ON: Final = frozenset(
    b"""
a abgelaufen accepted access account accounts actor after again algorithm all allowed already
also an and another any api are argument arrived as at attempt attempts auf auth authenticated
authentication authorization backend be because been before begins being bucket budget but by
cache callback cannot change changed changes check checks class client code column command
complexity config configured contains could count counts cram-md5 created credential credentials
database days default denied did differs digest-md5 does during each empty encrypted encryption
endpoint entered entropy entry environment error est et exceeded exchange exchanged expire
expired expires expiry external failed failure falsch field fields file files first flow for
format found from function generated generation given grant granted had handler has hash hashed
hashes hashing have header headers hygiene id ids if ignored im in incorrect incorrecto invalid
is issued issuer ist it its key keys last later leak leaked left length lengths limit limits
list loaded locked login lookup manager mapping matched matches may mechanism message method
mismatch missing mode module must name named names never new next nicht no none not note now
null obtained oder of ok older on once one only or ou our out output parameter parameters parsed
parser passed past path permission permissions plain plugin policies policy pool present prompt
protected provided provider query rate read received redacted refresh refreshed refreshes
refused rejected reload reloaded remains removed renewal renewed repository request requested
requests required requires reset resets response retry revoked role rotate rotated rotation rule
rules same saved scan scanner scheme scope seen sent server service session set settings should
since size source spent state status still storage store stored stores stream strength string
subsystem supplied swap symbol table test tests than that the their them then there they this
time timed timeout to too twice type types unavailable unchanged und unknown unset until update
updated usage use used user username users using valid validated validation validator value
values variable vault verification verified version via volume was were when where which while
who will wird with within without works would write wrong wurde xoauth2 y yet you your
what here how why that's it's he she we somebody
""".split()
)


def goes_on(word: bytes) -> bool:
    """True for a word that is no secret where it follows a secret's name without a sign."""
    return word.strip(_TAIL).lower() in _GOES_ON
